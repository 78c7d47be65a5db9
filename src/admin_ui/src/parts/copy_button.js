// SPDX-License-Identifier: Apache-2.0
import { texts } from "../texts.js";
import { html, View } from "../view.js";

class Copy_Button extends View {
  static properties = { text: {}, what: {}, isCopied: { state: true } };

  render() {
    const word = this.isCopied ? texts.common.copied : texts.common.copy;
    return html`<button type="button" class="quiet" aria-label=${`${word}: ${this.what}`} @click=${this.#copy}>${word}</button>`;
  }

  async #copy() {
    await navigator.clipboard.writeText(this.text);
    this.isCopied = true;
    setTimeout(() => (this.isCopied = false), 2000);
  }
}

customElements.define("copy-button", Copy_Button);
