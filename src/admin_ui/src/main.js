// SPDX-License-Identifier: Apache-2.0
// The frame of the page: who may see it, which panel is shown, and what is the same above all of them.
import { address, Address } from "./address.js";
import { api, ApiError } from "./api.js";
import { clearFilters } from "./filters.js";
import { localZone } from "./format.js";
import { pulse } from "./pulse.js";
import { texts } from "./texts.js";
import { nextTheme, theme } from "./theme.js";
import { html, nothing, View } from "./view.js";
import "./panels/login.js";
import { messageOf } from "./panels/login.js";
import "./panels/costs.js";
import "./panels/operations.js";
import "./panels/overview.js";
import "./panels/tokens.js";
import "./panels/transfers.js";
import "./parts/health_dot.js";

const panels = {
  overview: (zone) => html`<overview-panel .zone=${zone}></overview-panel>`,
  tokens: (zone) => html`<tokens-panel .zone=${zone}></tokens-panel>`,
  costs: (zone) => html`<costs-panel .zone=${zone}></costs-panel>`,
  transfers: (zone) => html`<transfers-panel .zone=${zone}></transfers-panel>`,
  operations: (zone) => html`<operations-panel .zone=${zone}></operations-panel>`,
};
const names = Object.keys(panels);
const idleMs = 30 * 60_000;

class Admin_Page extends View {
  static properties = { isIn: { state: true }, message: { state: true }, isHelping: { state: true } };

  #idle = 0;
  #touched = () => this.#waitForIdle();

  constructor() {
    super();
    this.isIn = false;
    this.isOpening = api.hasKey;
  }

  connectedCallback() {
    super.connectedCallback();
    this.replaceChildren();
    api.addEventListener("state", () => this.#onState());
    addEventListener("keydown", (event) => this.#onKey(event));
    for (const kind of ["pointerdown", "keydown", "wheel"]) addEventListener(kind, this.#touched, { passive: true });
    if (api.hasKey) void this.#resume();
  }

  get panel() {
    return names.includes(address.panel) ? address.panel : names[0];
  }
  get zone() {
    return address.get("zone") === "local" ? localZone : "UTC";
  }

  /// After a reload; a server that does not answer is waited for.
  async #resume() {
    for (;;) {
      try {
        await api.resume();
        return this.#enter();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (!error.isPassing) return this.#leave(messageOf(error));
        this.message = messageOf(error);
        await new Promise((resolve) => setTimeout(resolve, Math.max(2000, error.retryAfterMs)));
      }
    }
  }

  #enter() {
    Object.assign(this, { isIn: true, isOpening: false, message: "" });
    pulse.start();
    this.#waitForIdle();
  }

  #leave(message = "") {
    api.leave();
    pulse.stop();
    clearTimeout(this.#idle);
    Object.assign(this, { isIn: false, isOpening: false, message });
  }

  #waitForIdle() {
    clearTimeout(this.#idle);
    if (this.isIn) this.#idle = setTimeout(() => this.#leave(texts.login.idle), idleMs);
  }

  #onState() {
    if (api.state === "refused" && this.isIn) this.#leave(texts.login.refused);
    this.requestUpdate();
  }

  render() {
    if (this.isOpening) return html`<p class="opening" role="status">${this.message || texts.common.loading}</p>`;
    if (!this.isIn) return html`<login-form .message=${this.message} @entered=${() => this.#enter()}></login-form>`;
    return html`
      <a class="skip" href="#content" @click=${this.#skip}>${texts.skip}</a>
      ${this.#header()} ${this.#banner()}
      <main id="content" tabindex="-1">${panels[this.panel](this.zone)}</main>
      ${this.isHelping ? this.#help() : nothing}
    `;
  }

  updated() {
    document.title = this.isIn ? `${texts.panels[this.panel]} · ${texts.title}` : texts.title;
    const dialog = this.querySelector("dialog.help");
    if (dialog && !dialog.open) dialog.showModal();
  }

  #header() {
    const t = texts.header;
    const isLocal = address.get("zone") === "local";
    return html`
      <header class="top">
        <strong class="brand">${texts.title}</strong>
        <health-dot></health-dot>
        <nav aria-label=${texts.sections}>
          ${names.map((name) => html`<a href=${this.#link(name)} aria-current=${name === this.panel ? "page" : nothing}>${texts.panels[name]}</a>`)}
        </nav>
        <div class="tools">
          <button type="button" class="quiet" aria-label=${`${t.zone}: ${this.zone}`} @click=${this.#switchZone}>${isLocal ? localZone : "UTC"}</button>
          <button type="button" class="quiet" aria-label=${`${t.theme}: ${t.themes[theme()]}`} @click=${this.#switchTheme}>${t.themes[theme()]}</button>
          <button type="button" class="quiet" aria-label=${t.help} @click=${() => (this.isHelping = true)}>?</button>
          <button type="button" class="quiet" @click=${() => this.#leave()}>${t.leave}</button>
        </div>
      </header>
    `;
  }

  #banner() {
    const isBad = ["slow", "gone", "busy", "failing"].includes(api.state);
    return html`<p class="banner ${isBad ? api.state : ""}" role="status" ?hidden=${!isBad}>${isBad ? texts.state[api.state] : nothing}</p>`;
  }

  #help() {
    const t = texts.help;
    const close = () => (this.isHelping = false);
    return html`
      <dialog class="help card" aria-labelledby="help-heading" @close=${close}>
        <h2 id="help-heading">${t.heading}</h2>
        <dl>${t.rows.map(([keys, what]) => html`<dt>${keys.split(" ").map((key) => (key === "to" ? " to " : html`<kbd>${key}</kbd> `))}</dt><dd>${what}</dd>`)}</dl>
        <form method="dialog"><button class="primary">${texts.common.close}</button></form>
      </dialog>
    `;
  }

  #link(panel) {
    const zone = address.get("zone");
    return Address.of(panel, zone ? { zone } : {});
  }
  #skip(event) {
    event.preventDefault();
    document.getElementById("content").focus();
  }
  #switchZone() {
    address.set({ zone: address.get("zone") === "local" ? "" : "local" });
  }
  #switchTheme() {
    nextTheme();
    this.requestUpdate();
  }

  #onKey(event) {
    if (!this.isIn || event.ctrlKey || event.metaKey || event.altKey || this.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input, textarea, select")) return;
    const overview = this.querySelector("overview-panel");
    const types = { h: "hourly", d: "daily", w: "weekly", m: "monthly", y: "yearly" };
    const keys = {
      ...Object.fromEntries(names.map((name, i) => [i + 1, () => address.go(name, new URLSearchParams(this.#link(name).split("?")[1]))])),
      ...(overview
        ? {
            ...Object.fromEntries(Object.entries(types).map(([key, type]) => [key, () => overview.choose(type)])),
            p: () => overview.earlier(),
            n: () => overview.later(),
            u: () => overview.up(),
            x: () => overview.compare(),
            escape: clearFilters,
          }
        : {}),
      t: () => this.#switchTheme(),
      z: () => this.#switchZone(),
      "/": () => this.querySelector("input[type=search]")?.focus(),
      "?": () => (this.isHelping = true),
    };
    const act = keys[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }
}

customElements.define("admin-page", Admin_Page);
