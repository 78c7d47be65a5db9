// SPDX-License-Identifier: Apache-2.0
// What happened: one window with its numbers, its course and its cards.
import { address } from "../address.js";
import { api } from "../api.js";
import { clearFilters, dimensions, filterParameters, pills, removeFilter } from "../filters.js";
import { change, clockTime, quantity, tickName, time, uncertainty, unknown, windowName } from "../format.js";
import { metricOf, metrics } from "../metrics.js";
import { exports } from "../parts/save.js";
import { spark } from "../parts/spark.js";
import { texts } from "../texts.js";
import { Answer, html, nothing, View } from "../view.js";
import "../parts/dimension_card.js";
import "../parts/time_chart.js";
import "./first_run.js";
import "./live.js";

const t = texts.window;
const minute = 60_000;
const refreshMs = 15_000;

/// Windows from the smallest on, and the steps in which each may be seen, the usual one first.
const steps = {
  "30min": ["30min"],
  hourly: ["30min"],
  daily: ["hourly", "30min"],
  weekly: ["daily", "hourly"],
  monthly: ["daily", "weekly"],
  yearly: ["monthly", "weekly", "daily"],
};
const types = Object.keys(steps);
const lengthsMs = { "30min": 30 * minute, hourly: 60 * minute, daily: 1440 * minute, weekly: 7 * 1440 * minute, monthly: 30 * 1440 * minute };
const mostZoomedPoints = 200;

/// Like setting them all anew: what of the address belongs to the graph of one window alone.
const newGraph = { step: "", from: "", to: "" };

class Overview_Panel extends View {
  static properties = { zone: {} };

  #window = new Answer(this, (signal) => this.#askWindow(signal), { everyMs: (row) => (isOpen(row) ? refreshMs : 0) });
  #course = new Answer(this, (signal) => this.#askCourse(signal));
  #cost = new Answer(this, (signal) => this.#askCost(signal));

  get type() {
    const type = address.get("type", "daily");
    return type in steps ? type : "daily";
  }
  get shownMetrics() {
    return address.get("metric", "requests").split(",").slice(0, 2).map(metricOf);
  }
  get compares() {
    return address.get("compare") !== "no";
  }

  willUpdate() {
    this.#window.of(JSON.stringify([this.type, address.get("at"), this.zone, filterParameters()]));
    const row = this.#window.value;
    if (!row) return;
    this.#course.of(JSON.stringify([row.window_type, row.window_start, row.computed_at, row.total_requests, this.zone, filterParameters(), this.#graph(row)]));
    this.#cost.of(JSON.stringify([row.window_type, row.window_key, this.zone]));
  }

  async #row(atMs, signal) {
    const { rows } = await api.get(
      "analytics/series",
      { start: atMs, end: atMs + 1, step: this.type, time_zone: this.zone, compare: "previous", ...filterParameters() },
      { signal },
    );
    return rows[0];
  }

  /// The window of the address, else that of now, else the newest with events.
  async #askWindow(signal) {
    const at = Date.parse(address.get("at"));
    if (at >= 0) return this.#row(at, signal);
    const row = await this.#row(api.now(), signal);
    if (row.recorded || pills().length > 0) return row;
    const latest = await api.get(`analytics/latest/${this.type}`, {}, { signal });
    return latest.recorded ? this.#row(latest.window_start, signal) : row;
  }

  /// What the graph shows of a window: a stretch and a step.
  #graph(row) {
    const [from, to] = [address.get("from"), address.get("to")].map((text) => Date.parse(text));
    const isZoomed = from >= row.window_start && to <= row.window_end && to > from;
    const stretch = isZoomed ? { start: from, end: to } : { start: row.window_start, end: row.window_end };
    const asked = address.get("step");
    const finest = types.find((type) => (stretch.end - stretch.start) / lengthsMs[type] <= mostZoomedPoints);
    const usual = isZoomed ? [types[Math.max(0, types.indexOf(steps[row.window_type][0]) - 1)], finest].sort((a, b) => types.indexOf(b) - types.indexOf(a))[0] : steps[row.window_type][0];
    return { ...stretch, isZoomed, step: steps[row.window_type].includes(asked) ? asked : usual };
  }

  async #askCourse(signal) {
    const row = this.#window.value;
    const { start, end, step } = this.#graph(row);
    const answer = await api.get(
      "analytics/series",
      { start, end: Math.min(end, Math.max(start + 1, row.computed_at, api.now())), step, time_zone: this.zone, compare: this.compares ? "previous" : "", ...filterParameters() },
      { signal },
    );
    return { rows: answer.rows, step };
  }

  /// Costs are known of whole days in UTC.
  async #askCost(signal) {
    const row = this.#window.value;
    if (!["daily", "weekly", "monthly"].includes(row.window_type) || this.zone !== "UTC") return null;
    const report = await api.get(`costs/${row.window_type}/${row.window_key}`, {}, { signal });
    return report.recorded ? report : null;
  }

  render() {
    const row = this.#window.value;
    if (!row) return html`<p class="loading" role="status">${this.#window.error ? texts.common.problem(this.#window.error.message) : texts.common.loading}</p>`;
    if (!row.recorded && !row.previous && address.get("at") === "" && pills().length === 0) return html`<first-run></first-run>`;
    return html`
      <live-pulse .zone=${this.zone}></live-pulse>
      ${this.#head(row)} ${this.#pills()}
      ${row.recorded ? nothing : html`<p class="note" role="status">${t.nothing}</p>`}
      ${this.#strip(row)} ${this.#main(row)}
      ${[false, true].map(
        (isShort) => html`<div class="cards ${isShort ? "small" : ""}">
          ${dimensions.filter((one) => !!one.isShort === isShort).map((dimension) => html`<dimension-card class="card" .dimension=${dimension} .window=${row}></dimension-card>`)}
        </div>`,
      )}
    `;
  }

  // Moving between windows; the keyboard calls these too.

  show(changes) {
    address.set({ ...newGraph, ...changes });
  }
  earlier() {
    this.show({ at: instant(this.#window.value.window_start - 1) });
  }
  later() {
    const { window_end: end } = this.#window.value;
    if (end <= api.now()) this.show({ at: instant(end) });
  }
  choose(type) {
    // A larger window holds this one; of a smaller one the first.
    const row = this.#window.value;
    this.show({ type, at: address.get("at") && row ? instant(row.window_start) : "" });
  }
  up() {
    const larger = { "30min": "hourly", hourly: "daily", daily: "monthly", weekly: "monthly", monthly: "yearly" }[this.type];
    if (larger && this.#window.value) this.show({ type: larger, at: instant(this.#window.value.window_start) });
  }
  compare() {
    address.set({ compare: this.compares ? "no" : "" });
  }

  #head(row) {
    return html`
      <div class="bar">
        <div class="choice" role="group" aria-label=${t.type}>
          ${types.map((type) => html`<button type="button" aria-pressed=${type === this.type} @click=${() => this.choose(type)}>${t.types[type]}</button>`)}
        </div>
        <div class="steps">
          <button type="button" class="icon" aria-label=${t.earlier} @click=${() => this.earlier()}>‹</button>
          <h1 class="window-name">${windowName(row, this.zone)}</h1>
          <button type="button" class="icon" aria-label=${t.later} ?disabled=${row.window_end > api.now()} @click=${() => this.later()}>›</button>
        </div>
        <div class="choice">
          <button type="button" ?disabled=${this.type === "yearly"} @click=${() => this.up()}>${t.up}</button>
          <button type="button" @click=${() => this.show({ at: "" })}>${t.newest}</button>
        </div>
        <p class="standing">
          <span class="tag ${row.final ? "good" : "open"}">${row.final ? t.final : isOpen(row) ? t.open : t.awaited}</span>
          ${row.revision > 0 ? html`<span class="tag">${t.revised(row.revision)}</span>` : nothing}
          ${row.late_events > 0 ? html`<span class="tag">${t.late(quantity(row.late_events))}</span>` : nothing}
          <span class="quiet-text" title=${time(row.computed_at, this.zone)}>${row.recorded ? t.computed(clockTime(row.computed_at, this.zone)) : nothing}</span>
        </p>
      </div>
    `;
  }

  #pills() {
    const all = pills();
    if (all.length === 0) return nothing;
    return html`
      <ul class="pills" aria-label=${texts.filters.pills}>
        ${all.map((pill) => {
          const text = `${pill.dimension.replace("_", " ")} ${pill.isNot ? texts.filters.not : texts.filters.only} ${pill.name}`;
          return html`<li><button type="button" class="pill" aria-label=${texts.filters.remove(text)} @click=${() => removeFilter(pill)}>${text} <span aria-hidden="true">×</span></button></li>`;
        })}
        <li><button type="button" class="quiet" @click=${clearFilters}>${texts.filters.clear}</button></li>
      </ul>
    `;
  }

  #strip(row) {
    const rows = this.#course.value?.rows ?? [];
    return html`
      <div class="strip" role="group" aria-label=${texts.metrics.strip}>
        ${metrics.map((metric) => this.#figure(metric, row, rows))} ${this.#costFigure()}
      </div>
    `;
  }

  #figure(metric, row, rows) {
    const value = metric.value(row);
    const before = metric.value(row.previous);
    const changed = change(value, before);
    const isChosen = this.shownMetrics.includes(metric);
    const isBad = changed.startsWith(metric.isWorse ? "+" : "−");
    return html`
      <button type="button" class="figure" data-metric=${metric.name} data-value=${value ?? ""} aria-pressed=${isChosen} title=${texts.metrics.choose} @click=${(event) => this.#chooseMetric(metric, event.shiftKey)}>
        <span class="figure-name">${metric.title}${metric.name === "visitors" && value !== null ? texts.metrics.once(row.unique_visitors_period) : nothing}</span>
        <span class="figure-value" title=${value ?? texts.operations.unknown}>${quantity(value, metric.unit)}</span>
        <span class="figure-note">
          ${value !== null && metric.error(row) > 0 ? html`<span class="sampled" title=${texts.metrics.sample}>${uncertainty(metric.error(row))}</span>` : nothing}
          ${changed ? html`<span class=${isBad ? "worse" : "better"} title=${texts.metrics.before(quantity(before, metric.unit))}>${changed}</span>` : nothing}
          ${metric.name === "errors" && row.total_requests > 0 ? html`<span title=${texts.metrics.of_requests}>${quantity(value / row.total_requests, "percent")}</span>` : nothing}
        </span>
        ${spark(rows.map(metric.value))}
      </button>
    `;
  }

  #costFigure() {
    const report = this.#cost.value;
    return html`
      <a class="figure" data-metric="cost" data-value=${report?.total_cost_usd ?? ""} href="#costs">
        <span class="figure-name">${texts.metrics.cost}</span>
        <span class="figure-value">${report ? quantity(report.total_cost_usd, "usd") : unknown}</span>
        <span class="figure-note">${report?.estimated ? texts.costs.estimated : nothing}</span>
      </a>
    `;
  }

  #chooseMetric(metric, adds) {
    const [first, second] = this.shownMetrics;
    const others = adds ? [first, second].filter((one) => one && one !== metric) : [];
    address.set({ metric: [...others.slice(-1), metric].map(({ name }) => name).join(",") });
  }

  #main(row) {
    const graph = this.#graph(row);
    const rows = this.#course.value?.rows ?? [];
    const step = this.#course.value?.step ?? graph.step;
    const windows = rows.map((one) => ({ name: windowName(one, this.zone), tick: tickName(step, one.window_start, this.zone), isOpen: isOpen(one) }));
    const shown = (metric) => (one) => [quantity(metric.value(one), metric.unit), metric.value(one) === null ? "" : uncertainty(metric.error(one))].join(" ").trim();
    const lines = this.shownMetrics.map((metric) => ({
      name: metric.title,
      unit: metric.unit,
      values: rows.map(metric.value),
      show: (i) => shown(metric)(rows[i]),
      ...(this.compares ? { before: rows.map((one) => metric.value(one.previous)), showBefore: (i) => shown(metric)(rows[i].previous) } : {}),
    }));
    const table = () =>
      rows.map((one) => ({
        window_start: one.window_start,
        window_key: one.window_key,
        ...Object.fromEntries(this.shownMetrics.flatMap((metric) => [[metric.member, metric.value(one)], ...(this.compares ? [[`previous_${metric.member}`, metric.value(one.previous)]] : [])])),
      }));
    const title = this.shownMetrics.map((metric) => metric.title).join(", ");
    return html`
      <section class="card main" aria-label=${texts.chart.graph}>
        <header>
          <h2>${title}</h2>
          ${graph.isZoomed
            ? html`<button type="button" class="pill" @click=${() => address.set(newGraph)}>${texts.chart.whole} <span aria-hidden="true">×</span></button>`
            : html`<div class="choice" role="group" aria-label=${texts.chart.step}>
                ${steps[row.window_type].map((one) => html`<button type="button" aria-pressed=${one === step} @click=${() => address.set({ step: one })}>${t.types[one]}</button>`)}
              </div>`}
          <button type="button" class="quiet" aria-pressed=${this.compares} @click=${() => this.compare()}>${texts.chart.compare}</button>
          ${exports(`${title} ${row.window_key}`, table)}
        </header>
        <time-chart
          .label=${title}
          .windows=${windows}
          .lines=${lines}
          .leadsOn=${true}
          @open-window=${({ detail }) => this.show({ type: rows[detail].window_type, at: instant(rows[detail].window_start) })}
          @zoom=${({ detail }) => address.set({ step: "", from: instant(rows[detail.first].window_start), to: instant(Math.min(rows[detail.last].window_end, row.window_end)) })}
        ></time-chart>
      </section>
    `;
  }
}

const isOpen = (row) => !row.final && row.window_end > api.now();
const instant = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");

customElements.define("overview-panel", Overview_Panel);
