// SPDX-License-Identifier: Apache-2.0
import { api } from "../api.js";
import { quantity, unknown } from "../format.js";
import { texts } from "../texts.js";
import { Answer, html, nothing, View } from "../view.js";

const t = texts.operations;
const refreshMs = 10_000;

/// {a: {b: 1}} as [["a b", 1]]
const flat = (object, above = "") =>
  Object.entries(object).flatMap(([name, value]) => {
    const whole = above ? `${above} ${name}` : name;
    return value !== null && typeof value === "object" ? flat(value, whole) : [[whole, value]];
  });

class Health_Card extends View {
  #health = new Answer(this, (signal) => api.get("health", {}, { signal }), { everyMs: () => refreshMs });
  #ready = new Answer(this, (signal) => api.get("ready", {}, { signal }), { everyMs: () => refreshMs });

  willUpdate() {
    this.#health.of("");
    this.#ready.of("");
  }

  render() {
    const health = this.#health.error ? null : this.#health.value;
    const logs = Object.values(health?.namespaces ?? {});
    const sum = (member) => (health && logs.some((log) => member in log) ? logs.reduce((all, log) => all + (log[member] ?? 0), 0) : null);
    const dropped = health ? sum("dropped") : null;
    const status = health?.status ?? null;
    const storage = this.#ready.error ? false : this.#ready.value ? true : null;
    const figures = [
      [t.health_rows.status, status ?? unknown, status === "ok" ? "better" : status === null ? "" : "worse", "status", status ?? ""],
      [t.backend, storage === null ? unknown : storage ? t.answers : t.answers_not, storage === false ? "worse" : storage ? "better" : "", "storage", storage ?? ""],
      [t.health_rows.buffered, quantity(sum("waiting_bytes"), "bytes"), "", "waiting_bytes", sum("waiting_bytes") ?? ""],
      [t.health_rows.dropped, quantity(dropped), dropped > 0 ? "worse" : "", "dropped", dropped ?? ""],
    ];
    const problems = logs.map((log) => log.last_problem).filter((text) => text);
    return html`
      <section aria-label=${t.health}>
        <div class="card-head"><h2>${t.health}</h2></div>
        <div class="strip flat">
          ${figures.map(([name, text, kind, id, value]) => html`<div class="figure plain" data-health=${id} data-value=${value}><span class="figure-name">${name}</span><span class="figure-value ${kind}">${text}</span></div>`)}
        </div>
        ${problems.map((text) => html`<p class="problem card-body">${text}</p>`)}
        <details class="card-body">
          <summary>${t.counters}</summary>
          <dl class="facts counters">${health ? flat({ ...health.namespaces, ...health.servers }).map(([name, value]) => html`<dt>${name.replaceAll("_", " ")}</dt><dd>${typeof value === "number" ? quantity(value) : String(value) || unknown}</dd>`) : nothing}</dl>
        </details>
      </section>
    `;
  }
}

customElements.define("health-card", Health_Card);
