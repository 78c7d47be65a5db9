// SPDX-License-Identifier: Apache-2.0
import { texts } from "../texts.js";
import { html, View } from "../view.js";

class First_Run extends View {
  render() {
    const t = texts.first_run;
    return html`
      <section class="card first-run">
        <h1>${t.heading}</h1>
        <p>${t.text}</p>
        <dl>${t.ways.map(([what, how]) => html`<dt>${what}</dt><dd><code>${how}</code></dd>`)}</dl>
      </section>
    `;
  }
}

customElements.define("first-run", First_Run);
