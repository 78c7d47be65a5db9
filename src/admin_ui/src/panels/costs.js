// SPDX-License-Identifier: Apache-2.0
import { address } from "../address.js";
import { api } from "../api.js";
import { change, quantity, tickName, unknown, windowName } from "../format.js";
import { exports } from "../parts/save.js";
import { texts } from "../texts.js";
import { Answer, html, nothing, View } from "../view.js";
import "../parts/data_table.js";
import "../parts/time_chart.js";

const t = texts.costs;
const shownServices = 5;
const usd = (value) => quantity(value, "usd");
const monthKey = /^\d{4}-(0[1-9]|1[0-2])$/;

/// The month in UTC so many months from another.
const monthFrom = (key, months) => new Date(Date.UTC(Number(key.slice(0, 4)), Number(key.slice(5)) - 1 + months)).toISOString().slice(0, 7);

class Costs_Panel extends View {
  #month = new Answer(this, (signal) => (this.key ? api.get(`costs/monthly/${this.key}`, {}, { signal }) : api.get("costs/current", {}, { signal })));
  #days = new Answer(this, (signal) => this.#askDays(signal));
  #budgets = new Answer(this, (signal) => api.get("costs/budgets", {}, { signal }));
  #alerts = new Answer(this, (signal) => api.get("costs/alerts", {}, { signal }));

  get key() {
    return monthKey.test(address.get("month")) ? address.get("month") : "";
  }

  willUpdate() {
    this.#month.of(this.key);
    if (this.#month.value) this.#days.of(JSON.stringify([this.#month.value.window_key, this.#month.value.revision]));
    this.#budgets.of("");
    this.#alerts.of("");
  }

  /// Each known day of the month, with its services.
  async #askDays(signal) {
    const days = Object.keys(this.#month.value.cost_by_day);
    return Promise.all(days.map((day) => api.get(`costs/daily/${day}`, {}, { signal })));
  }

  render() {
    const month = this.#month.value;
    if (!month) return html`<p class="loading" role="status">${this.#month.error ? texts.common.problem(this.#month.error.message) : texts.common.loading}</p>`;
    return html`
      <div class="bar">
        <div class="steps">
          <button type="button" class="icon" aria-label=${texts.window.earlier} @click=${() => address.set({ month: monthFrom(month.window_key, -1) })}>‹</button>
          <h1 class="window-name">${t.heading}: ${windowName(month, "UTC")}</h1>
          <button type="button" class="icon" aria-label=${texts.window.later} ?disabled=${month.window_end > api.now()} @click=${() => address.set({ month: monthFrom(month.window_key, 1) })}>›</button>
        </div>
        <p class="standing"><span class="tag ${month.final ? "good" : "open"}">${month.final ? texts.window.final : t.estimated}</span></p>
      </div>
      ${month.recorded ? nothing : html`<p class="note" role="status">${t.none}</p>`}
      <div class="strip">${this.#figures(month)}</div>
      ${month.recorded ? this.#overTime(month) : nothing}
      <div class="cards">${month.recorded ? this.#services(month) : nothing} ${this.#budgetCard(month)} ${this.#alertCard()}</div>
    `;
  }

  #figures(month) {
    const known = (value) => (month.recorded ? value : null);
    const figures = [
      ["month_to_date_usd", t.month, known(month.month_to_date_usd ?? month.total_cost_usd)],
      ["projected_month_usd", t.projected, known(month.projected_month_usd)],
      ["previous_total_usd", t.previous, month.previous_total_usd],
      ["cost_per_request", t.per.request, known(month.cost_per_request)],
      ["cost_per_transfer", t.per.transfer, known(month.cost_per_transfer)],
      ["cost_per_active_user", t.per.visitor, known(month.cost_per_active_user)],
    ];
    return figures.map(
      ([name, title, value]) => html`<div class="figure plain" data-cost=${name} data-value=${value ?? ""}>
        <span class="figure-name">${title}</span>
        <span class="figure-value" title=${value ?? t.unknown}>${usd(value)}</span>
        <span class="figure-note">${name === "previous_total_usd" && month.delta_percent !== null ? html`<span class=${month.delta_usd > 0 ? "worse" : "better"}>${change(month.total_cost_usd, month.previous_total_usd)}</span>` : nothing}</span>
      </div>`,
    );
  }

  /// The largest services, each on top of those below it; all others are one.
  #overTime(month) {
    const days = this.#days.value ?? [];
    const largest = Object.keys(month.cost_by_service).slice(0, shownServices);
    const rest = (day) => day.total_cost_usd - largest.reduce((sum, name) => sum + (day.cost_by_service[name] ?? 0), 0);
    const shares = [...largest.map((name) => ({ name, of: (day) => day.cost_by_service[name] ?? 0 })), ...(Object.keys(month.cost_by_service).length > shownServices ? [{ name: t.others, of: rest }] : [])];
    const windows = days.map((day) => ({ name: windowName(day, "UTC"), tick: tickName("daily", day.window_start, "UTC"), isOpen: !day.final }));
    const lines = shares.map(({ name, of }, i) => ({
      name,
      unit: "usd",
      isStacked: true,
      values: days.map((day) => shares.slice(0, i + 1).reduce((sum, share) => sum + share.of(day), 0)),
      show: (at) => usd(of(days[at])),
    }));
    const table = () => days.map((day) => ({ day: day.window_key, total_cost_usd: day.total_cost_usd, ...day.cost_by_service }));
    return html`
      <section class="card main" aria-label=${t.over_time}>
        <div class="card-head"><h2>${t.over_time}</h2>${exports(`costs ${month.window_key}`, table)}</div>
        <time-chart .label=${t.over_time} .windows=${windows} .lines=${lines}></time-chart>
      </section>
    `;
  }

  #services(month) {
    const rows = Object.entries(month.cost_by_service).sort(([, a], [, b]) => b - a);
    const columns = [
      { title: t.service, cell: ([name]) => name },
      { title: t.cost, isNumber: true, cell: ([name, cost]) => html`<span data-service=${name} data-value=${cost}>${usd(cost)}</span>` },
      { title: t.driver, isNumber: true, cell: ([name]) => (name in month.top_cost_drivers ? quantity(month.top_cost_drivers[name] / 100, "percent") : unknown) },
    ];
    return html`
      <section class="card" aria-label=${t.services}>
        <div class="card-head"><h2>${t.services}</h2>${exports(t.services, () => rows.map(([service, cost_usd]) => ({ service, cost_usd })))}</div>
        <data-table .label=${t.services} .columns=${columns} .count=${rows.length} .rowAt=${(i) => rows[i]}></data-table>
      </section>
    `;
  }

  #budgetCard(month) {
    const budgets = this.#budgets.value?.budgets ?? [];
    return html`
      <section class="card" aria-label=${t.budgets}>
        <div class="card-head"><h2>${t.budgets}</h2></div>
        <ul class="card-body budgets">
          ${budgets.length === 0 ? html`<li class="quiet-text">${t.no_budgets}</li>` : budgets.map((budget) => this.#budget(budget, month))}
        </ul>
      </section>
    `;
  }

  /// Of a monthly budget how much of it the month has used up, and would if it goes on.
  #budget(budget, month) {
    const amount = Number(budget.amount_usd);
    const spent = budget.period !== "monthly" || !month.recorded ? null : budget.service ? (month.cost_by_service[budget.service] ?? 0) : month.total_cost_usd;
    const share = spent === null || amount === 0 ? 0 : Math.max(0, spent / amount);
    const projected = budget.service || budget.period !== "monthly" ? null : month.projected_month_usd;
    const text = t.of(usd(spent), usd(amount));
    return html`<li data-budget=${budget.name}>
      <strong class="name">${budget.name}</strong> <span class="quiet-text">${budget.service || t.all_services}</span>
      <span class="usage ${share >= 1 ? "bad" : share >= 0.8 ? "open" : "good"}" role="img" aria-label=${text}><i .style=${`width:${100 * Math.min(1, share)}%`}></i></span>
      <span>${text}</span> ${projected === null ? nothing : html`<span class="quiet-text">${t.projected}: <span class=${projected > amount ? "worse" : ""}>${usd(projected)}</span></span>`}
    </li>`;
  }

  #alertCard() {
    const alerts = this.#alerts.value?.alerts ?? [];
    return html`
      <section class="card" aria-label=${t.alerts}>
        <div class="card-head"><h2>${t.alerts}</h2></div>
        <ul class="card-body budgets">
          ${alerts.length === 0 ? html`<li class="quiet-text">${t.no_alerts}</li>` : alerts.map((alert) => html`<li><span class="tag bad">${alert.threshold_percent} %</span> ${t.alert(alert.budget, alert.threshold_percent, alert.window_key)} <span class="quiet-text">${t.of(usd(Number(alert.spent_usd)), usd(Number(alert.budget_usd)))}</span></li>`)}
        </ul>
      </section>
    `;
  }
}

customElements.define("costs-panel", Costs_Panel);
