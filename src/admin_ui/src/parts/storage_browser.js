// SPDX-License-Identifier: Apache-2.0
import { address } from "../address.js";
import { api, ApiError } from "../api.js";
import { quantity } from "../format.js";
import { texts } from "../texts.js";
import { Answer, html, nothing, View } from "../view.js";
import "./data_table.js";
import { save } from "./save.js";

const t = texts.operations;
const pageFiles = 1000;
const spareRows = 200;
const typingMs = 250;
const mostShownBytes = 1 << 20;

/// Every stored file that may be shown, a page after the other, and what is in one.
class Storage_Browser extends View {
  #timer = 0;
  #files = [];
  #next = "";
  #page = new Answer(this, (signal) => this.#load(signal));
  #file = new Answer(this, (signal) => this.#open(signal));
  #namespaces = new Answer(this, (signal) => api.get("namespaces", {}, { signal }));

  get prefix() {
    return address.get("prefix");
  }
  get path() {
    return address.get("file");
  }

  willUpdate() {
    if (this.#prefix !== this.prefix) {
      this.#prefix = this.prefix;
      this.#files = [];
      this.#next = "";
      void this.#page.refresh();
    }
    this.#namespaces.of("");
    this.#file.of(this.path);
  }
  #prefix = undefined;

  async #load(signal) {
    const page = await api.get("storage/files", { prefix: this.prefix, start_after: this.#next, limit: pageFiles }, { signal });
    this.#files = [...this.#files, ...page.files];
    this.#next = page.next;
    return page;
  }

  async #open(signal) {
    if (!this.path) return null;
    const response = await api.fetch("storage/file", { path: this.path }, { signal });
    const type = response.headers.get("Content-Type");
    const blob = await response.blob();
    const isText = type === "application/json" || type === "application/x-ndjson";
    const text = isText ? await blob.slice(0, mostShownBytes).text() : "";
    return { blob, text: type === "application/json" && blob.size <= mostShownBytes ? pretty(text) : text };
  }

  render() {
    const isMore = this.#next !== "";
    const columns = [
      { title: t.path, cell: (file) => html`<button type="button" class="link path" data-path=${file.path} @click=${() => address.set({ file: file.path })}>${file.path}</button>` },
      { title: t.size, isNumber: true, cell: (file) => quantity(file.size_bytes, "bytes") },
    ];
    const empty = this.#page.error ? texts.common.problem(this.#page.error.message) : this.#page.value ? t.no_files : texts.common.loading;
    return html`
      <section aria-label=${t.storage}>
        <div class="card-head">
          <h2>${t.storage}</h2>
          <span class="quiet-text" data-files=${this.#files.length} data-more=${isMore}>${t.loaded(quantity(this.#files.length), isMore)}</span>
        </div>
        <div class="card-body browse">
          <input type="search" aria-label=${t.prefix} placeholder=${t.prefix} .value=${this.prefix} @input=${this.#onInput} />
          ${(this.#namespaces.value?.namespaces ?? []).map((name) => html`<button type="button" class="quiet" @click=${() => this.#jump(name)}>${name}</button>`)}
        </div>
        ${this.path ? this.#content() : nothing}
        <data-table .label=${t.storage} .columns=${columns} .count=${this.#files.length} .rowAt=${(i) => this.#files[i]} .empty=${empty} @rows-seen=${this.#onSeen}></data-table>
      </section>
    `;
  }

  #content() {
    const file = this.#file.value;
    const name = this.path.split("/").at(-1);
    return html`
      <div class="content" role="region" aria-label=${t.content}>
        <div class="card-head">
          <h3 class="path">${this.path}</h3>
          ${file ? html`<button type="button" class="quiet" @click=${() => save(name, file.blob)}>${t.save}</button>` : nothing}
          <button type="button" class="quiet" @click=${() => address.set({ file: "" })}>${texts.common.close}</button>
        </div>
        ${file ? (file.text ? html`<pre tabindex="0">${file.text}</pre>` : html`<p class="note">${t.packed} ${quantity(file.blob.size, "bytes")}</p>`) : html`<p class="note" role="status">${this.#file.error ? texts.common.problem(this.#file.error.message) : texts.common.loading}</p>`}
      </div>
    `;
  }

  /// The next page is asked for before its first row is needed.
  #onSeen({ detail }) {
    if (this.#next !== "" && !this.#page.isAsking && detail.last + spareRows >= this.#files.length) void this.#page.refresh();
  }

  #onInput({ target }) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => address.set({ prefix: target.value }, { replace: true }), typingMs);
  }

  /// Paths begin with the root prefix, which any path shows.
  #jump(name) {
    const at = this.#files.map(({ path }) => path.match(/^(.*?)[^/]+\/(?:data|refs)\//)?.[1]).find((root) => root !== undefined) ?? "";
    address.set({ prefix: `${at}${name}/`, file: "" });
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

customElements.define("storage-browser", Storage_Browser);
