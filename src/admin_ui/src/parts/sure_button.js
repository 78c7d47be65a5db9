// SPDX-License-Identifier: Apache-2.0
import { texts } from "../texts.js";
import { html, View } from "../view.js";

const patienceMs = 4000;

/// Does its work at the second click. Event "sure".
class Sure_Button extends View {
  static properties = { label: {}, isAsked: { state: true } };
  #timer = 0;

  render() {
    return html`<button type="button" class="danger" @click=${this.#onClick}>${this.isAsked ? texts.operations.sure : this.label}</button>`;
  }

  #onClick() {
    clearTimeout(this.#timer);
    const isSure = this.isAsked;
    this.isAsked = !isSure;
    if (isSure) this.tell("sure");
    else this.#timer = setTimeout(() => (this.isAsked = false), patienceMs);
  }
}

customElements.define("sure-button", Sure_Button);
