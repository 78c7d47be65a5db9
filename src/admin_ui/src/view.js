// SPDX-License-Identifier: Apache-2.0
// What all elements of the page share: they render into the page itself, so that one style sheet is for all of them.
import { LitElement } from "lit";
import { address } from "./address.js";
import { ApiError } from "./api.js";

export { html, svg, nothing } from "lit";

export class View extends LitElement {
  #readdressed = () => this.requestUpdate();

  createRenderRoot() {
    return this;
  }

  connectedCallback() {
    super.connectedCallback();
    address.addEventListener("change", this.#readdressed);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    address.removeEventListener("change", this.#readdressed);
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
  }
}

const firstRetryMs = 1000;
const lastRetryMs = 15_000;

/// An answer of the server that a view shows. It is asked for again when the question changes and, if that may help,
/// when the server failed; what was shown stays until the next answer.
export class Answer {
  value = undefined;
  error = null;
  isAsking = false;
  #host;
  #ask;
  #everyMs;
  #question;
  #running = null;
  #timer = 0;
  #failures = 0;

  /// @param  ask      (signal) => promise of the value; may read what the view shows
  /// @param  everyMs  (value) => when to ask again; 0: not by itself
  constructor(host, ask, { everyMs = () => 0 } = {}) {
    this.#host = host;
    this.#ask = ask;
    this.#everyMs = everyMs;
    host.addController(this);
  }

  /// Asks if the question, any text, is not the one that was asked last.
  of(question) {
    if (question === this.#question) return;
    this.#question = question;
    this.refresh();
  }

  async refresh() {
    this.#end();
    const running = (this.#running = new AbortController());
    this.isAsking = true;
    this.#host.requestUpdate();
    try {
      const value = await this.#ask(running.signal);
      if (running.signal.aborted) return;
      Object.assign(this, { value, error: null });
      this.#failures = 0;
      this.#again(this.#everyMs(value));
    } catch (error) {
      if (running.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
      if (!error.isPassing) this.value = undefined;
      if (error.isPassing)
        this.#again(Math.max(error.retryAfterMs, Math.min(firstRetryMs * 2 ** this.#failures++, lastRetryMs)));
    } finally {
      if (this.#running === running) {
        this.isAsking = false;
        this.#host.requestUpdate();
      }
    }
  }

  hostDisconnected() {
    this.#end();
    this.#question = undefined;
  }

  #again(afterMs) {
    if (afterMs > 0) this.#timer = setTimeout(() => this.refresh(), afterMs);
  }

  #end() {
    clearTimeout(this.#timer);
    this.#running?.abort();
    this.#running = null;
  }
}
