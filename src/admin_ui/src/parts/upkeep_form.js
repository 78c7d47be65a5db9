// SPDX-License-Identifier: Apache-2.0
import { api, ApiError } from "../api.js";
import { quantity } from "../format.js";
import { texts } from "../texts.js";
import { html, nothing, View } from "../view.js";
import "./sure_button.js";

const t = texts.operations;

/// Rebuild and purge: first what they would do, and at a second click what they did.
class Upkeep_Form extends View {
  static properties = { rebuilt: { state: true }, purged: { state: true }, problem: { state: true } };

  render() {
    if (!api.routes.has("/upkeep/purge")) return html`<p class="card note" role="status">${texts.common.unavailable}</p>`;
    return html`
      <section class="card" aria-label=${t.rebuild}>
        <div class="card-head"><h2>${t.rebuild}</h2></div>
        <div class="card-body form">
          <p class="quiet-text">${t.rebuild_hint}</p>
          ${this.#field("rebuild-from", t.from, "date", "")} ${this.#field("rebuild-to", t.to, "date", "")}
          ${this.#buttons((dryRun) => this.#rebuild(dryRun))}
          <div role="status">${this.rebuilt ? html`<p data-upkeep="rebuild" data-value=${this.rebuilt.rebuilt.length}>${(this.rebuilt.isDry ? t.would_rebuild : t.rebuilt)(quantity(this.rebuilt.rebuilt.length))}</p>${kept(this.rebuilt.refused)}` : nothing}</div>
        </div>
      </section>
      <section class="card" aria-label=${t.purge}>
        <div class="card-head"><h2>${t.purge}</h2></div>
        <div class="card-body form">
          <p class="quiet-text">${t.purge_hint}</p>
          ${this.#field("purge-raw", t.raw_days, "number", "90")} ${this.#field("purge-windows", t.windows_days, "number", "0")}
          ${this.#buttons((dryRun) => this.#purge(dryRun))}
          <div role="status">
            ${Object.entries(this.purged?.of ?? {}).map(([name, report]) => html`<p data-upkeep=${`purge-${name}`} data-value=${report.objects}>${name}: ${(this.purged.isDry ? t.would_delete : t.deleted)(quantity(report.objects), quantity(report.bytes, "bytes"))}</p>${kept(report.kept)}`)}
          </div>
        </div>
      </section>
      ${this.problem ? html`<p class="problem" role="alert">${texts.common.problem(this.problem)}</p>` : nothing}
    `;
  }

  #field(id, label, type, value) {
    return html`<div class="field"><label for=${id}>${label}</label><input id=${id} type=${type} min="0" value=${value} /></div>`;
  }

  #buttons(act) {
    return html`<div class="form-end"><button type="button" class="primary" @click=${() => act(true)}>${t.dry_run}</button><sure-button .label=${t.run} @sure=${() => act(false)}></sure-button></div>`;
  }

  #value(id) {
    return this.querySelector(`#${id}`).value;
  }

  #rebuild(isDry) {
    const instant = (id) => (this.#value(id) ? Date.parse(this.#value(id)) : undefined);
    return this.#try(async () => {
      const report = await api.post("upkeep/rebuild", { from: instant("rebuild-from"), to: instant("rebuild-to"), dry_run: isDry });
      this.rebuilt = { ...report, isDry };
    });
  }

  #purge(isDry) {
    return this.#try(async () => {
      const of = await api.post("upkeep/purge", { raw_days: Number(this.#value("purge-raw")), windows_days: Number(this.#value("purge-windows")), dry_run: isDry, by: "dashboard" });
      this.purged = { of, isDry };
    });
  }

  async #try(work) {
    this.problem = "";
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.problem = error.message;
    }
  }
}

const kept = (list) => (list.length > 0 ? html`<details><summary>${t.kept}: ${quantity(list.length)}</summary><ul>${list.slice(0, 100).map(({ what, why }) => html`<li class="quiet-text">${what}: ${why}</li>`)}</ul></details>` : nothing);

customElements.define("upkeep-form", Upkeep_Form);
