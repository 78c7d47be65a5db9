// SPDX-License-Identifier: Apache-2.0
// A long list of which only the pages are held that were looked at.
import { Answer } from "../view.js";

const pageRows = 100;

export class Pages {
  #pages = new Map();
  #wanted = 0;
  #answer;
  #ask;

  /// @param  ask  (offset, limit, signal) => promise of {rows, total, ...}
  constructor(host, ask) {
    this.#ask = ask;
    this.#answer = new Answer(host, (signal) => this.#load(signal));
  }

  /// The last answer, for what else it says.
  get value() {
    return this.#answer.value;
  }
  get error() {
    return this.#answer.error;
  }
  get count() {
    return this.value?.total ?? 0;
  }
  rowAt = (index) => this.#pages.get(Math.floor(index / pageRows))?.[index % pageRows];

  of(question) {
    if (question === this.question) return;
    this.question = question;
    this.reload();
  }

  /// From the first page, as what is listed has changed.
  reload() {
    this.#pages.clear();
    this.#wanted = 0;
    void this.#answer.refresh();
  }

  /// These rows are looked at.
  see({ first, last }) {
    const missing = [first, last].map((index) => Math.floor(index / pageRows)).find((page) => page >= 0 && !this.#pages.has(page));
    if (missing === undefined || missing * pageRows >= this.count || (this.#answer.isAsking && missing === this.#wanted)) return;
    this.#wanted = missing;
    void this.#answer.refresh();
  }

  async #load(signal) {
    const page = this.#wanted;
    const answer = await this.#ask(page * pageRows, pageRows, signal);
    this.#pages.set(page, answer.rows);
    return answer;
  }
}
