// SPDX-License-Identifier: Apache-2.0
// How the machinery is doing: health, what is stored of each day, upkeep, and every file.
import { html, View } from "../view.js";
import { texts } from "../texts.js";
import "../parts/storage_browser.js";
import "../parts/upkeep_form.js";
import "./cascade.js";
import "./health.js";

class Operations_Panel extends View {
  static properties = { zone: {} };

  render() {
    return html`
      <h1 class="window-name">${texts.operations.heading}</h1>
      <health-card class="card"></health-card>
      <stored-calendar class="card" .zone=${this.zone}></stored-calendar>
      <upkeep-form class="cards" .zone=${this.zone}></upkeep-form>
      <storage-browser class="card"></storage-browser>
    `;
  }
}

customElements.define("operations-panel", Operations_Panel);
