// SPDX-License-Identifier: Apache-2.0
// Files that the page makes of what it shows.
import { texts } from "../texts.js";
import { html } from "../view.js";

const types = { csv: "text/csv", json: "application/json" };

export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/// What begins like a formula is no formula of whoever opens the table.
const cell = (value) => {
  const text = String(value ?? "");
  const tame = typeof value !== "number" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(tame) ? `"${tame.replaceAll('"', '""')}"` : tame;
};

export const csvOf = (rows) =>
  rows.length === 0 ? "" : [Object.keys(rows[0]), ...rows.map(Object.values)].map((row) => row.map(cell).join(",") + "\r\n").join("");

/// The two buttons of a card.
/// @param  rows  () => array of flat objects with the same members
export const exports = (name, rows) =>
  ["csv", "json"].map(
    (format) => html`<button
      type="button"
      class="quiet"
      aria-label=${texts.common.download(name, texts.common[format])}
      @click=${() => save(`${name.toLowerCase().replaceAll(/\W+/g, "_")}.${format}`, new Blob([format === "csv" ? csvOf(rows()) : JSON.stringify(rows(), null, 2)], { type: types[format] }))}
    >
      ${texts.common[format]}
    </button>`,
  );
