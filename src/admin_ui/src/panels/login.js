// SPDX-License-Identifier: Apache-2.0
import { api, ApiError } from "../api.js";
import { texts } from "../texts.js";
import { html, nothing, View } from "../view.js";

const t = texts.login;

/// Asks for the key. Event "entered" when the server has taken one.
class Login_Form extends View {
  static properties = { message: {}, isBusy: { state: true } };

  render() {
    return html`
      <main class="login">
        <form class="card" @submit=${this.#submit}>
          <h1>${texts.title}</h1>
          <label for="key">${t.label}</label>
          <input id="key" type="password" autocomplete="off" spellcheck="false" required aria-describedby="key-hint" />
          <p id="key-hint" class="quiet-text">${t.hint}</p>
          ${this.message ? html`<p class="problem" role="alert">${this.message}</p>` : nothing}
          <button type="submit" class="primary" ?disabled=${this.isBusy}>${this.isBusy ? t.opening : t.open}</button>
        </form>
      </main>
    `;
  }

  firstUpdated() {
    this.querySelector("input").focus();
  }

  async #submit(event) {
    event.preventDefault();
    this.isBusy = true;
    try {
      await api.enter(this.querySelector("input").value.trim());
      this.tell("entered");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.message = messageOf(error);
    } finally {
      this.isBusy = false;
    }
  }
}

/// Why the server did not let the key in.
export const messageOf = (error) => (error.status === 401 ? t.refused : error.status === 429 ? t.busy : error.status === 0 ? t.gone : t.failing);

customElements.define("login-form", Login_Form);
