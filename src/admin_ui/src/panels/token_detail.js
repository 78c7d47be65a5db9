// SPDX-License-Identifier: Apache-2.0
import { address } from "../address.js";
import { api, ApiError } from "../api.js";
import { distance, quantity, tickName, time } from "../format.js";
import "../parts/copy_button.js";
import "../parts/data_table.js";
import { qrCode } from "../parts/qr_code.js";
import { exports } from "../parts/save.js";
import "../parts/sure_button.js";
import "../parts/time_chart.js";
import { statusTag, usageBar } from "../parts/token_marks.js";
import { texts } from "../texts.js";
import { rules } from "../token_rules.js";
import { Answer, html, nothing, View } from "../view.js";

const t = texts.tokens.detail;
const moreEvents = 1000;
const minuteMs = 60_000;
const bucketMinutes = [1, 5, 15, 60, 180, 360, 720, 1440, 10_080, 44_640, 527_040];
const mostBuckets = 120;

/// One token: what it is, what happened to it, and what can be done. Event "changed".
class Token_Detail extends View {
  static properties = { name: {}, zone: {}, limit: { state: true }, problem: { state: true } };

  #token = new Answer(this, (signal) => api.get(`tokens/${encodeURIComponent(this.name)}`, {}, { signal }));
  #events = new Answer(this, (signal) => api.get(`tokens/${encodeURIComponent(this.name)}/events`, { limit: this.limit }, { signal }));

  constructor() {
    super();
    this.limit = 100;
  }

  willUpdate() {
    this.#token.of(this.name);
    this.#events.of(`${this.name} ${this.limit}`);
  }

  render() {
    const token = this.#token.value;
    const back = html`<button type="button" class="link" @click=${() => address.set({ token: "" })}>‹ ${t.back}</button>`;
    if (!token) return html`${back}<p class="note" role="status">${this.#token.error?.status === 404 ? t.not_found : texts.common.loading}</p>`;
    const events = this.#events.value?.events ?? [];
    return html`
      <div class="bar">${back}<h1 class="window-name name">${token.token_name}</h1>${statusTag(token)}<copy-button .text=${token.token_name} .what=${texts.tokens.columns.name}></copy-button></div>
      ${this.problem ? html`<p class="problem" role="alert">${texts.common.problem(this.problem)}</p>` : nothing}
      <div class="cards">${this.#facts(token, events)} ${this.#share(token)} ${this.#actions(token)}</div>
      ${events.length > 0 ? this.#timeline(events) : nothing} ${this.#list(events)}
    `;
  }

  #facts(token, events) {
    const c = texts.tokens.columns;
    const visitors = new Set(events.map((event) => event.ip_hash).filter((hash) => hash)).size;
    const rows = [
      [c.usage, html`<span data-fact="usage_count" data-value=${token.usage_count}>${quantity(token.usage_count)}</span> ${usageBar(token)}`],
      [c.limit, token.usage_limit === 0 ? texts.tokens.unlimited : quantity(token.usage_limit)],
      [c.remaining, html`<span data-fact="remaining" data-value=${token.remaining ?? ""}>${token.remaining === null ? texts.tokens.unlimited : quantity(token.remaining)}</span>`],
      [c.created_at, `${time(token.created_at, this.zone)}${token.created_by ? `, ${token.created_by}` : ""}`],
      [c.last_used_at, token.last_used_at ? time(token.last_used_at, this.zone) : texts.tokens.never],
      [c.expires_at, token.expires_at ? `${time(token.expires_at, this.zone)} (${distance(api.now(), token.expires_at)})` : texts.tokens.never],
      ...(token.revoked_at ? [[texts.tokens.statuses.revoked, time(token.revoked_at, this.zone)]] : []),
    ];
    const forecast = this.#forecast(token, events);
    return html`
      <section class="card" aria-label=${t.facts}>
        <div class="card-head"><h2>${t.facts}</h2></div>
        <div class="card-body">
          <dl class="facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
          ${token.usage_count_min < token.usage_count ? html`<p class="quiet-text">${texts.tokens.bound(quantity(token.usage_count_min))}</p>` : nothing}
          <p class="quiet-text">${t.distinct(visitors)} ${forecast}</p>
          ${Object.keys(token.metadata).length > 0 ? html`<h3>${t.metadata}</h3><pre tabindex="0">${JSON.stringify(token.metadata, null, 2)}</pre>` : nothing}
        </div>
      </section>
    `;
  }

  /// At the rate of the uses that are known.
  #forecast(token, events) {
    const granted = events.filter((event) => event.accepted);
    const [newest, oldest] = [granted[0]?.timestamp, granted.at(-1)?.timestamp];
    if (token.status !== "active" || !token.remaining || !(newest > oldest)) return "";
    return t.forecast(distance(0, ((newest - oldest) / (granted.length - 1)) * token.remaining));
  }

  #share(token) {
    return html`
      <section class="card" aria-label=${t.share}>
        <div class="card-head"><h2>${t.share}</h2>${token.share_url ? html`<copy-button .text=${token.share_url} .what=${t.share}></copy-button>` : nothing}</div>
        <div class="card-body share">
          ${token.share_url ? html`<code data-share=${token.share_url}>${token.share_url}</code>${qrCode(token.share_url, t.qr)}` : html`<p class="quiet-text">${t.no_share}</p>`}
        </div>
      </section>
    `;
  }

  #actions(token) {
    const isDead = token.status === "revoked" || token.status === "exhausted";
    return html`
      <section class="card" aria-label=${t.limit}>
        <div class="card-head"><h2>${t.limit}</h2></div>
        <form class="card-body form" @submit=${(event) => this.#setLimit(event, isDead)}>
          <div class="field"><label for="new-limit">${texts.tokens.form.limit}</label><input id="new-limit" inputmode="numeric" .value=${String(token.usage_limit)} aria-describedby="new-limit-hint" /><p id="new-limit-hint" class="quiet-text">${isDead ? t.reactivate_hint : texts.tokens.form.limit_hint}</p></div>
          <div class="form-end">
            <button type="submit" class="primary">${isDead ? t.reactivate : t.set_limit}</button>
            ${token.status === "revoked" ? nothing : html`<sure-button .label=${t.revoke} @sure=${() => this.#do("revoke")}></sure-button>`}
          </div>
        </form>
      </section>
    `;
  }

  #setLimit(event, isDead) {
    event.preventDefault();
    const text = this.querySelector("#new-limit").value.trim();
    this.problem = rules.limit(text);
    if (!this.problem) void this.#do(isDead ? "reactivate" : "limit", { usage_limit: Number(text) });
  }

  async #do(what, body) {
    this.problem = "";
    try {
      await api.post(`tokens/${encodeURIComponent(this.name)}/${what}`, body);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.problem = error.message;
    }
    void this.#token.refresh();
    void this.#events.refresh();
    this.tell("changed");
  }

  /// Uses and refusals by as many minutes as keep it short.
  #timeline(events) {
    const times = events.map((event) => event.timestamp);
    const [first, last] = [Math.min(...times), Math.max(...times)].map((ms) => Math.floor(ms / minuteMs));
    const minutes = bucketMinutes.find((count) => (last - first) / count <= mostBuckets) ?? bucketMinutes.at(-1);
    const start = Math.floor(first / minutes) * minutes;
    const count = Math.floor((last - start) / minutes) + 1;
    const values = [true, false].map((accepted) => {
      const sums = new Array(count).fill(0);
      for (const event of events) if (event.accepted === accepted) ++sums[Math.floor((event.timestamp / minuteMs - start) / minutes)];
      return sums;
    });
    const at = (i) => (start + i * minutes) * minuteMs;
    const windows = values[0].map((_, i) => ({
      name: time(at(i), this.zone),
      tick: tickName(minutes < 1440 ? "hourly" : "daily", at(i), this.zone),
      isOpen: false,
    }));
    const lines = [t.granted, t.refused].map((name, i) => ({ name, unit: "count", values: values[i], show: (at) => quantity(values[i][at]) }));
    return html`<section class="card main" aria-label=${t.timeline}><div class="card-head"><h2>${t.timeline}</h2></div><time-chart .label=${t.timeline} .windows=${windows} .lines=${lines}></time-chart></section>`;
  }

  #list(events) {
    const c = t.columns;
    const columns = [
      { title: c.time, cell: (event) => time(event.timestamp, this.zone) },
      { title: c.action, cell: (event) => event.action },
      { title: c.outcome, cell: (event) => html`<span class=${event.accepted ? "" : "problem"}>${t.reasons[event.rejection_reason] ?? event.rejection_reason}</span>${event.charged > 0 ? ` ${t.charged(quantity(event.charged))}` : ""}` },
      { title: c.visitor, cell: (event) => event.ip_hash },
      { title: c.transfer, cell: (event) => event.transfer_id },
    ];
    return html`
      <section class="card" aria-label=${t.events}>
        <div class="card-head"><h2>${t.events}</h2>${exports(`${this.name} events`, () => events)}</div>
        <data-table .label=${t.events} .columns=${columns} .count=${events.length} .rowAt=${(i) => events[i]} .empty=${t.events_none}></data-table>
        ${events.length >= this.limit && this.limit < 10 * moreEvents ? html`<button type="button" class="quiet" @click=${() => (this.limit = this.limit < moreEvents ? moreEvents : 10 * moreEvents)}>${t.events_more}</button>` : nothing}
      </section>
    `;
  }
}

customElements.define("token-detail", Token_Detail);
