// SPDX-License-Identifier: Apache-2.0
import { address } from "../address.js";
import { api } from "../api.js";
import { quantity, time, uncertainty } from "../format.js";
import { exports } from "../parts/save.js";
import { texts } from "../texts.js";
import { Answer, html, nothing, View } from "../view.js";
import "../parts/data_table.js";

const t = texts.transfers;
const choices = [60, 360, 1440];
const refreshMs = 15_000;
const shownEvents = 1000;

class Transfers_Panel extends View {
  static properties = { zone: {} };

  #active = new Answer(this, (signal) => api.get("transfers/active", { window_minutes: this.minutes }, { signal }), { everyMs: () => refreshMs });
  #receipt = new Answer(this, (signal) => (this.id ? api.get(`transfers/${encodeURIComponent(this.id)}/summary`, {}, { signal }) : undefined));

  #log = new Answer(this, (signal) => (this.id ? api.get(`transfers/${encodeURIComponent(this.id)}/events`, { limit: shownEvents }, { signal }) : undefined));

  get minutes() {
    const minutes = Number(address.get("minutes"));
    return choices.includes(minutes) ? minutes : choices[0];
  }
  get id() {
    return address.get("transfer");
  }
  get isThere() {
    return api.routes.has("/transfers/active");
  }

  willUpdate() {
    if (!this.isThere) return;
    this.#active.of(String(this.minutes));
    this.#receipt.of(this.id);
    this.#log.of(this.id);
  }

  render() {
    const heading = html`<h1 class="window-name">${t.heading}</h1>`;
    if (!this.isThere) return html`${heading}<p class="card note" role="status">${texts.common.unavailable}</p>`;
    const active = this.#active.value;
    return html`
      <div class="bar">
        ${heading}
        <div class="choice" role="group" aria-label=${t.within}>
          ${choices.map((one) => html`<button type="button" aria-pressed=${one === this.minutes} @click=${() => address.set({ minutes: String(one) })}>${t.minutes(one)}</button>`)}
        </div>
        <form class="lookup" @submit=${this.#show}>
          <input type="search" aria-label=${t.id} placeholder=${t.id} .value=${this.id} />
          <button type="submit">${t.show}</button>
        </form>
      </div>
      ${this.id ? this.#card() : nothing} ${active ? this.#list(active) : html`<p class="loading" role="status">${this.#active.error ? texts.common.problem(this.#active.error.message) : texts.common.loading}</p>`}
    `;
  }

  #show(event) {
    event.preventDefault();
    address.set({ transfer: this.querySelector(".lookup input").value.trim() });
  }

  #list(active) {
    const rows = active.transfers;
    const c = t.columns;
    const number = (title, member, unit) => ({ title, isNumber: true, cell: (row) => html`<span data-member=${member} data-value=${row[member]}>${quantity(row[member], unit)}</span>` });
    const columns = [
      { title: c.id, cell: (row) => html`<button type="button" class="link name" data-transfer=${row.transfer_id} @click=${() => address.set({ transfer: row.transfer_id })}>${row.transfer_id}</button>` },
      number(c.events, "events"),
      number(c.views, "views"),
      number(c.downloads, "downloads"),
      number(c.bytes, "bytes", "bytes"),
      { title: c.last, cell: (row) => time(row.last_activity_at, this.zone) },
    ];
    return html`
      <section class="card" aria-label=${t.active}>
        <div class="card-head"><h2>${t.active}</h2><span class="quiet-text">${texts.cards.more(quantity(active.active_transfers))}</span>${exports(t.active, () => rows)}</div>
        <data-table .label=${t.active} .columns=${columns} .count=${rows.length} .rowAt=${(i) => rows[i]} .empty=${t.none}></data-table>
      </section>
    `;
  }

  #card() {
    const receipt = this.#receipt.value;
    if (!receipt) return html`<p class="card note" role="status">${this.#receipt.error?.status === 404 ? t.not_found : this.#receipt.error ? texts.common.problem(this.#receipt.error.message) : texts.common.loading}</p>`;
    const number = (member, unit) => html`<span data-receipt=${member} data-value=${receipt[member]}>${quantity(receipt[member], unit)}</span>`;
    const r = t.receipt_rows;
    const rows = [
      [r.created_at, time(receipt.created_at, this.zone)],
      [r.views, number("total_views")],
      [r.downloads, number("total_downloads")],
      [r.downloaders, html`${number("unique_downloaders")} <span class="sampled">${uncertainty(receipt.unique_downloaders_error)}</span>`],
      [r.bytes, number("total_bytes", "bytes")],
      [r.first_download_at, time(receipt.first_download_at, this.zone)],
      [r.last_download_at, time(receipt.last_download_at, this.zone)],
      [r.last_activity_at, time(receipt.last_activity_at, this.zone)],
      [r.countries, Object.entries(receipt.active_countries).map(([name, count]) => `${name} ${quantity(count)}`).join(", ") || texts.cards.nothing],
    ];
    return html`
      <section class="card" aria-label=${t.receipt}>
        <div class="card-head"><h2 class="name">${t.receipt}: ${receipt.transfer_id}</h2><button type="button" class="quiet" @click=${() => address.set({ transfer: "" })}>${texts.common.close}</button></div>
        <div class="card-body receipt"><dl class="facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>${this.#hours(receipt.active_hours)}</div>
        ${this.#events(receipt.transfer_id)}
      </section>
    `;
  }

  #events(id) {
    const events = this.#log.value?.events;
    const c = t.log_columns;
    const columns = [
      { title: c.time, cell: (event) => time(event.timestamp, this.zone) },
      { title: c.act, cell: (event) => t.acts[event.event_type] ?? event.event_type },
      { title: c.country, cell: (event) => event.country },
      { title: c.visitor, cell: (event) => event.ip_hash },
      { title: c.bytes, isNumber: true, cell: (event) => quantity(event.content_bytes, "bytes") },
    ];
    const empty = events ? t.log_none : this.#log.error ? texts.common.problem(this.#log.error.message) : texts.common.loading;
    return html`
      <div class="card-head"><h3>${t.log}</h3>${events?.length > 0 ? exports(`${t.receipt} ${id}`, () => events) : nothing}</div>
      <data-table .label=${t.log} .columns=${columns} .count=${events?.length ?? 0} .rowAt=${(i) => events[i]} .empty=${empty}></data-table>
    `;
  }

  /// The hours of the day, the busier the darker.
  #hours(hours) {
    const counts = Array.from({ length: 24 }, (_, hour) => hours[hour] ?? hours[String(hour).padStart(2, "0")] ?? 0);
    const most = Math.max(1, ...counts);
    return html`
      <div>
        <h3>${t.hours}</h3>
        <ol class="hours">${counts.map((count, hour) => html`<li class="heat-${Math.ceil((4 * count) / most)}" data-hour=${hour} data-value=${count} title=${`${hour}:00: ${quantity(count)}`}><span>${hour}</span><b>${count > 0 ? quantity(count) : ""}</b></li>`)}</ol>
      </div>
    `;
  }
}

customElements.define("transfers-panel", Transfers_Panel);
