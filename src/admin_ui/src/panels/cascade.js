// SPDX-License-Identifier: Apache-2.0
import { address } from "../address.js";
import { dayOf, quantity } from "../format.js";
import { storedDays } from "../stored_days.js";
import { texts } from "../texts.js";
import { Answer, html, nothing, View } from "../view.js";
import "../parts/data_table.js";

const t = texts.operations;
const states = ["empty", "raw", "computed", "final", "revised"];
const namespace = "analytics";

/// A month of the cascade: what is stored of each day, and how far it is computed.
class Stored_Calendar extends View {
  static properties = { zone: {} };

  #month = new Answer(this, (signal) => storedDays(namespace, this.month, signal));

  get month() {
    return /^\d{4}-(0[1-9]|1[0-2])$/.test(address.get("month")) ? address.get("month") : new Date().toISOString().slice(0, 7);
  }

  willUpdate() {
    this.#month.of(this.month);
  }

  refresh() {
    void this.#month.refresh();
  }

  render() {
    const month = this.#month.value;
    const start = Date.parse(`${this.month}-01T00:00Z`);
    const chosen = month?.days.find(({ key }) => key === address.get("day"));
    return html`
      <section aria-label=${t.cascade}>
        <div class="card-head">
          <h2>${t.cascade}</h2>
          <label class="inline">${t.month} <input type="month" .value=${this.month} @change=${({ target }) => address.set({ month: target.value, day: "" })} /></label>
        </div>
        <div class="card-body">
          <p class="quiet-text">${t.cascade_hint}</p>
          <ul class="legend">${states.map((state) => html`<li><i class="swatch day-${state}"></i>${t.states[state]}</li>`)}</ul>
          <ol class="calendar" .style=${`--first-day:${((new Date(start).getUTCDay() + 6) % 7) + 1}`}>
            ${(month?.days ?? []).map((day) => html`<li><button type="button" class="day day-${day.state}" data-day=${day.key} data-state=${day.state} data-value=${day.bytes} aria-pressed=${day === chosen} aria-label=${`${dayOf(Date.parse(day.key), "UTC")}: ${t.states[day.state]}, ${t.bytes(quantity(day.bytes, "bytes"))}`} @click=${() => address.set({ day: day.key })}><b>${Number(day.key.slice(8))}</b><span>${day.bytes > 0 ? quantity(day.bytes, "bytes") : ""}</span></button></li>`)}
          </ol>
          ${month ? nothing : html`<p class="loading" role="status">${this.#month.error ? texts.common.problem(this.#month.error.message) : texts.common.loading}</p>`}
          ${month && !month.isWhole ? html`<p class="quiet-text">${t.not_whole}</p>` : nothing}
        </div>
        ${chosen ? this.#day(chosen) : nothing}
      </section>
    `;
  }

  #day(day) {
    const columns = [
      { title: t.window, cell: (window) => html`<button type="button" class="link" @click=${() => address.set({ file: window.path })}>${texts.window.types[window.type]} ${window.time}</button>` },
      { title: t.size, isNumber: true, cell: (window) => quantity(window.bytes, "bytes") },
    ];
    return html`
      <div class="card-head">
        <h3>${t.day_of(dayOf(Date.parse(day.key), "UTC"))}</h3>
        <span class="quiet-text">${t.raw}: ${quantity(day.rawBytes, "bytes")}</span>
        ${day.revision > 0 ? html`<span class="tag">${texts.window.revised(day.revision)}</span>` : nothing}
      </div>
      <data-table .label=${t.cascade} .columns=${columns} .count=${day.windows.length} .rowAt=${(i) => day.windows.at(-1 - i)} .empty=${t.no_windows}></data-table>
    `;
  }
}

customElements.define("stored-calendar", Stored_Calendar);
