// SPDX-License-Identifier: Apache-2.0
// What a new token may be, so that a form can say it before the server does.
import { texts } from "./texts.js";

const t = texts.tokens.form;
const namePattern = /^[a-z0-9][a-z0-9_-]{0,127}$/;

export const namesOf = (text) => text.split(/[\n,;]/).map((name) => name.trim().toLowerCase()).filter((name) => name !== "");

/// What is wrong with a field; "" if nothing is.
export const rules = {
  names(text) {
    const names = namesOf(text);
    const bad = names.find((name) => !namePattern.test(name));
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    return names.length === 0 ? t.no_name : bad !== undefined ? t.bad_name(bad) : twice !== undefined ? t.twice(twice) : "";
  },
  limit: (text) => (/^\d{1,15}$/.test(text) ? "" : t.bad_limit),
  metadata(text) {
    if (text.trim() === "") return "";
    try {
      const value = JSON.parse(text);
      return value !== null && typeof value === "object" && !Array.isArray(value) ? "" : t.bad_metadata;
    } catch {
      return t.bad_metadata;
    }
  },
  expires: (text) => (text === "" || Date.parse(text) > Date.now() ? "" : t.bad_expiry),
  created_by: () => "",
};
