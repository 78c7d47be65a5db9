// SPDX-License-Identifier: Apache-2.0
import { api, ApiError } from "../api.js";
import { texts } from "../texts.js";
import { namesOf, rules } from "../token_rules.js";
import { html, nothing, View } from "../view.js";

const t = texts.tokens.form;

/// Makes one token or many. Event "created" with their names.
class Token_Form extends View {
  static properties = { zone: {}, problems: { state: true }, outcome: { state: true }, isBusy: { state: true }, count: { state: true } };

  constructor() {
    super();
    this.problems = {};
    this.outcome = [];
    this.count = 1;
  }

  render() {
    return html`
      <form class="card form" novalidate @submit=${this.#submit} @input=${this.#onInput}>
        <h2>${t.heading}</h2>
        ${this.#field("names", html`<textarea id="names" rows="2" spellcheck="false" aria-invalid=${!!this.problems.names} aria-describedby="names-hint"></textarea>`, t.names_hint)}
        ${this.#field("limit", html`<input id="limit" inputmode="numeric" value="10" aria-invalid=${!!this.problems.limit} aria-describedby="limit-hint" />`, t.limit_hint)}
        ${this.#field("expires", html`<input id="expires" type="datetime-local" aria-invalid=${!!this.problems.expires} aria-describedby="expires-hint" />`, t.expires_hint)}
        ${this.#field("created_by", html`<input id="created_by" aria-describedby="created_by-hint" />`, "")}
        ${this.#field("metadata", html`<textarea id="metadata" rows="2" spellcheck="false" aria-invalid=${!!this.problems.metadata} aria-describedby="metadata-hint"></textarea>`, t.metadata_hint)}
        <div class="form-end">
          <button type="submit" class="primary" ?disabled=${this.isBusy}>${t.submit(this.count)}</button>
          <button type="button" @click=${() => this.tell("closed")}>${texts.common.close}</button>
        </div>
        <div role="status">${this.outcome.map(({ text, isGood }) => html`<p class=${isGood ? "better" : "problem"}>${text}</p>`)}</div>
      </form>
    `;
  }

  firstUpdated() {
    this.querySelector("#names").focus();
  }

  #field(name, input, hint) {
    return html`<div class="field field-${name}">
      <label for=${name}>${t[name]}</label>${input}
      <p id="${name}-hint" class=${this.problems[name] ? "problem" : "quiet-text"}>${this.problems[name] || hint || nothing}</p>
    </div>`;
  }

  #text(name) {
    return this.querySelector(`#${name}`).value;
  }

  #onInput({ target }) {
    this.count = namesOf(this.#text("names")).length;
    this.problems = { ...this.problems, [target.id]: rules[target.id](target.value) };
  }

  async #submit(event) {
    event.preventDefault();
    this.problems = Object.fromEntries(Object.keys(rules).map((name) => [name, rules[name](this.#text(name))]));
    const bad = Object.keys(rules).find((name) => this.problems[name]);
    if (bad) return this.querySelector(`#${bad}`).focus();
    this.isBusy = true;
    const expires = this.#text("expires");
    const wanted = {
      usage_limit: Number(this.#text("limit")),
      created_by: this.#text("created_by"),
      // The form has the time as a clock shows it in the zone of the page.
      expires_at: expires === "" ? 0 : Date.parse(this.zone === "UTC" ? `${expires}Z` : expires),
      metadata: JSON.parse(this.#text("metadata") || "{}"),
    };
    const made = [];
    const outcome = [];
    for (const name of namesOf(this.#text("names"))) {
      try {
        await api.post("tokens/create", { token_name: name, ...wanted });
        made.push(name);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        outcome.push({ text: t.failed(name, error.message), isGood: false });
      }
    }
    this.isBusy = false;
    this.outcome = made.length > 0 ? [{ text: t.done(made.length), isGood: true }, ...outcome] : outcome;
    if (made.length > 0) {
      this.querySelector("#names").value = "";
      this.tell("created", made);
    }
  }
}

customElements.define("token-form", Token_Form);
