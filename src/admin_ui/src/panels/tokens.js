// SPDX-License-Identifier: Apache-2.0
import { address } from "../address.js";
import { api, ApiError } from "../api.js";
import { quantity, time } from "../format.js";
import { Pages } from "../parts/pages.js";
import { texts } from "../texts.js";
import { html, nothing, View } from "../view.js";
import "../parts/data_table.js";
import "../parts/sure_button.js";
import "../parts/token_form.js";
import { statusTag, usageBar } from "../parts/token_marks.js";
import "./token_detail.js";

const t = texts.tokens;
const searchDelayMs = 250;

class Tokens_Panel extends View {
  static properties = { zone: {}, isMaking: { state: true }, chosen: { state: true }, outcome: { state: true } };

  #timer = 0;
  #pages = new Pages(this, async (offset, limit, signal) => {
    const answer = await api.get("tokens", { ...this.#question(), offset, limit }, { signal });
    return { rows: answer.tokens, total: answer.total, byStatus: answer.by_status };
  });

  constructor() {
    super();
    this.chosen = new Set(); // of names, whatever page of the list they are on
    this.outcome = [];
  }

  #question() {
    return { search: address.get("search"), status: address.get("status"), sort: address.get("sort", "token_name"), order: address.get("order", "ascending") };
  }

  willUpdate() {
    if (!address.get("token")) this.#pages.of(JSON.stringify(this.#question()));
  }

  render() {
    const name = address.get("token");
    if (name) return html`<token-detail .name=${name} .zone=${this.zone} @changed=${() => this.#pages.reload()}></token-detail>`;
    const { search, status, sort, order } = this.#question();
    const counts = this.#pages.value?.byStatus ?? {};
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
    return html`
      <div class="bar">
        <h1 class="window-name">${t.heading}</h1>
        <span class="quiet-text" data-count=${all}>${this.#pages.value ? t.summary(quantity(all), quantity(counts.active)) : nothing}</span>
        <button type="button" class="primary" @click=${() => (this.isMaking = true)}>${t.create}</button>
      </div>
      ${this.isMaking ? html`<token-form .zone=${this.zone} @created=${() => this.#pages.reload()} @closed=${() => (this.isMaking = false)}></token-form>` : nothing}
      <div class="bar">
        <input type="search" class="search" aria-label=${t.search} placeholder=${t.search} .value=${search} @input=${this.#onSearch} />
        <div class="choice" role="group" aria-label=${t.status}>
          ${["", ...Object.keys(t.statuses)].map((one) => html`<button type="button" aria-pressed=${one === status} @click=${() => address.set({ status: one })}>${one ? t.statuses[one] : t.any} <span class="quiet-text">${this.#pages.value ? quantity(one ? counts[one] : all) : ""}</span></button>`)}
        </div>
      </div>
      ${this.chosen.size > 0 ? this.#chosenBar() : nothing}
      ${this.outcome.length > 0 ? html`<div role="status">${this.outcome.map(({ text, isGood }) => html`<p class=${isGood ? "better" : "problem"}>${text}</p>`)}</div>` : nothing}
      <section class="card">
        <data-table
          .label=${t.heading}
          .columns=${this.#columns()}
          .count=${this.#pages.count}
          .rowAt=${this.#pages.rowAt}
          .order=${{ by: sort, descending: order === "descending" }}
          .empty=${!this.#pages.value ? (this.#pages.error ? texts.common.problem(this.#pages.error.message) : texts.common.loading) : search || status ? t.no_match : t.none}
          @sort=${({ detail }) => address.set({ sort: detail.by, order: detail.descending ? "descending" : "" })}
          @rows-seen=${({ detail }) => this.#pages.see(detail)}
        ></data-table>
      </section>
    `;
  }

  #columns() {
    const c = t.columns;
    return [
      { title: c.name, sort: "token_name", cell: (token) => html`<span class="choosable"><input type="checkbox" aria-label=${t.bulk.choose(token.token_name)} .checked=${this.chosen.has(token.token_name)} @change=${({ target }) => this.#choose(token.token_name, target.checked)} /><button type="button" class="link name" data-token=${token.token_name} @click=${() => address.set({ token: token.token_name })}>${token.token_name}</button></span>` },
      { title: c.status, sort: "status", cell: statusTag },
      { title: "", cell: usageBar },
      { title: c.usage, sort: "usage_count", isNumber: true, cell: (token) => quantity(token.usage_count) },
      { title: c.limit, sort: "usage_limit", isNumber: true, cell: (token) => (token.usage_limit === 0 ? "∞" : quantity(token.usage_limit)) },
      { title: c.remaining, sort: "remaining", isNumber: true, cell: (token) => (token.remaining === null ? "∞" : quantity(token.remaining)) },
      { title: c.created_by, sort: "created_by", cell: (token) => token.created_by },
      { title: c.created_at, sort: "created_at", cell: (token) => time(token.created_at, this.zone) },
      { title: c.last_used_at, sort: "last_used_at", cell: (token) => (token.last_used_at ? time(token.last_used_at, this.zone) : t.never) },
      { title: c.expires_at, sort: "expires_at", cell: (token) => (token.expires_at ? time(token.expires_at, this.zone) : t.never) },
    ];
  }

  #chosenBar() {
    return html`
      <div class="bar chosen" role="group" aria-label=${t.bulk.heading}>
        <span data-chosen=${this.chosen.size}>${t.bulk.count(quantity(this.chosen.size))}</span>
        <sure-button .label=${t.detail.revoke} @sure=${() => this.#revokeChosen()}></sure-button>
        <button type="button" class="quiet" @click=${() => (this.chosen = new Set())}>${t.bulk.none}</button>
      </div>
    `;
  }

  #choose(name, isChosen) {
    this.outcome = [];
    this.chosen = new Set(isChosen ? [...this.chosen, name] : [...this.chosen].filter((one) => one !== name));
  }

  /// One after the other; those that failed stay chosen.
  async #revokeChosen() {
    const failed = [];
    const all = this.chosen.size;
    for (const name of this.chosen) {
      try {
        await api.post(`tokens/${encodeURIComponent(name)}/revoke`);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        failed.push({ name, message: error.message });
      }
    }
    this.chosen = new Set(failed.map(({ name }) => name));
    this.outcome = [
      ...(failed.length < all ? [{ text: t.bulk.revoked(quantity(all - failed.length)), isGood: true }] : []),
      ...failed.map(({ name, message }) => ({ text: t.form.failed(name, message), isGood: false })),
    ];
    this.#pages.reload();
  }

  #onSearch({ target }) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => address.set({ search: target.value }, { replace: true }), searchDelayMs);
  }
}

customElements.define("tokens-panel", Tokens_Panel);
