// SPDX-License-Identifier: Apache-2.0
// The names of one dimension in a window, the most frequent first. A row filters by its name.
import { addFilter } from "../filters.js";
import { quantity } from "../format.js";
import { texts } from "../texts.js";
import { html, nothing, View } from "../view.js";
import { exports } from "./save.js";

const t = texts.cards;

class Dimension_Card extends View {
  /// dimension: one of filters.js; window: an answer of the API
  static properties = { dimension: { attribute: false }, window: { attribute: false } };

  render() {
    const { card, member } = this.dimension;
    const rows = Object.entries(this.window[member] ?? {}).sort(([, a], [, b]) => b - a);
    const known = this.window.dimensions?.[card] ?? {};
    const most = Math.max(1, ...rows.map(([, count]) => count));
    const share = (count) => (known.total > 0 ? quantity(count / known.total, "percent") : "");
    const table = () => rows.map(([name, count]) => ({ name, count }));
    return html`
      <section aria-label=${t[card]} data-card=${card}>
        <header>
          <h2>${t[card]}</h2>
          <span class="quiet-text">${known.distinct > 0 ? `${t.more(quantity(known.distinct))}${known.distinct_error > 0 ? " ±" : ""}` : nothing}</span>
          ${rows.length > 0 ? exports(t[card], table) : nothing}
        </header>
        ${rows.length === 0
          ? html`<p class="empty">${t.nothing}</p>`
          : html`<ol class="rows">
              ${rows.map(
                ([name, count]) => html`<li>
                  <button type="button" class="row" title=${t.filter(name)} data-name=${name} data-value=${count} @click=${(event) => addFilter(this.dimension.filter, name, event.shiftKey)}>
                    <span class="row-bar" .style=${`width:${(100 * count) / most}%`}></span>
                    <span class="row-name">${name || t.unnamed}</span>
                    <span class="row-value">${quantity(count)}</span>
                    <span class="row-share">${share(count)}</span>
                  </button>
                </li>`,
              )}
            </ol>`}
        <footer class="quiet-text">
          ${known.other > 0 ? html`<span>${t.other(quantity(known.other))}</span>` : nothing}
          ${known.error > 0 ? html`<span class="sampled">${t.within(quantity(known.error))}</span>` : nothing}
        </footer>
      </section>
    `;
  }
}

customElements.define("dimension-card", Dimension_Card);
