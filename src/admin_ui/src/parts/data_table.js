// SPDX-License-Identifier: Apache-2.0
// The one table element. It draws the rows that can be seen, however many there are, and says which it needs.
import { html, nothing, View } from "../view.js";

const rowPx = 36;
const seenRows = 15;
const spareRows = 10;
const mostWholeRows = 100; // so many are drawn all at once

class Data_Table extends View {
  static properties = {
    label: {},
    /// [{title, cell: (row) => template, isNumber?, sort?: name}]
    columns: { attribute: false },
    count: { type: Number },
    /// (index) => row; undefined for one that is not there yet
    rowAt: { attribute: false },
    /// {by, descending}: the column by which the rows are in order
    order: { attribute: false },
    empty: {},
    first: { state: true },
  };

  constructor() {
    super();
    this.columns = [];
    this.count = 0;
    this.first = 0;
  }

  willUpdate(changed) {
    if (changed.has("count")) this.first = Math.min(this.first, Math.max(0, this.count - 1));
  }

  render() {
    const isWhole = this.count <= mostWholeRows;
    const first = isWhole ? 0 : Math.max(0, this.first - spareRows);
    const end = isWhole ? this.count : Math.min(this.count, this.first + seenRows + spareRows);
    const isLong = this.count > seenRows;
    if (this.count === 0) return html`<p class="empty">${this.empty ?? nothing}</p>`;
    return html`
      <div class="table-box ${isLong ? "is-long" : ""}" tabindex="0" role="region" aria-label=${this.label} @scroll=${this.#onScroll}>
        <table aria-rowcount=${this.count + 1}>
          <thead>
            <tr aria-rowindex="1">
              ${this.columns.map((column) => this.#head(column))}
            </tr>
          </thead>
          <tbody>
            ${spacer(first, this.columns.length)}
            ${Array.from({ length: Math.max(0, end - first) }, (_, i) => this.#row(first + i))}
            ${spacer(this.count - end, this.columns.length)}
          </tbody>
        </table>
      </div>
    `;
  }

  updated() {
    this.tell("rows-seen", { first: Math.max(0, this.first - spareRows), last: Math.min(this.count - 1, this.first + seenRows + spareRows) });
  }

  scrollToTop() {
    this.querySelector(".table-box")?.scrollTo(0, 0);
  }

  #head(column) {
    const isOrder = column.sort && this.order?.by === column.sort;
    const sorted = isOrder ? (this.order.descending ? "descending" : "ascending") : "none";
    return html`<th scope="col" class=${column.isNumber ? "number" : ""} aria-sort=${column.sort ? sorted : nothing}>
      ${column.sort
        ? html`<button type="button" class="sort" @click=${() => this.tell("sort", { by: column.sort, descending: isOrder ? !this.order.descending : !!column.isNumber })}>${column.title}<span aria-hidden="true">${isOrder ? (this.order.descending ? " ↓" : " ↑") : ""}</span></button>`
        : column.title}
    </th>`;
  }

  #row(index) {
    const row = this.rowAt(index);
    return html`<tr aria-rowindex=${index + 2}>
      ${this.columns.map((column, i) => {
        const content = row === undefined ? (i === 0 ? "…" : "") : column.cell(row);
        const kind = column.isNumber ? "number" : "";
        return i === 0 ? html`<th scope="row" class=${kind}>${content}</th>` : html`<td class=${kind}>${content}</td>`;
      })}
    </tr>`;
  }

  #onScroll(event) {
    this.first = Math.floor(event.target.scrollTop / rowPx);
  }
}

const spacer = (rows, columns) =>
  rows > 0 ? html`<tr aria-hidden="true" class="spacer"><td colspan=${columns} .style=${`height:${rows * rowPx}px`}></td></tr>` : nothing;

customElements.define("data-table", Data_Table);
