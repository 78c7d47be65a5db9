// SPDX-License-Identifier: Apache-2.0
import { Address } from "../address.js";
import { api } from "../api.js";
import { texts } from "../texts.js";
import { Answer, html, View } from "../view.js";

const t = texts.header.health;
const refreshMs = 10_000;

/// How the server does, at a glance: good only while it says so itself, and never of what is not known.
class Health_Dot extends View {
  #health = new Answer(this, (signal) => api.get("health", {}, { signal }), { everyMs: () => refreshMs });
  #stateChanged = () => this.requestUpdate();

  connectedCallback() {
    super.connectedCallback();
    api.addEventListener("state", this.#stateChanged);
  }
  disconnectedCallback() {
    super.disconnectedCallback();
    api.removeEventListener("state", this.#stateChanged);
  }

  willUpdate() {
    this.#health.of("");
  }

  get health() {
    if (this.#health.error || !this.#health.value || ["gone", "failing"].includes(api.state)) return "unknown";
    return this.#health.value.status === "ok" ? "good" : "bad";
  }

  render() {
    return html`<a class="health" href=${Address.of("operations")} data-state=${this.health} title=${t[this.health]}>
      <span class="dot ${this.health}" aria-hidden="true"></span><span class="only-read">${t[this.health]}</span>
    </a>`;
  }
}

customElements.define("health-dot", Health_Dot);
