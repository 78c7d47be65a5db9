// SPDX-License-Identifier: Apache-2.0
// The dimensions by which requests are filtered, as parameters of the address and of the API alike: `path=/a` is only
// this one, `path=!/a` all but it.
import { address } from "./address.js";

/// The card of a window and the dimension that its rows filter.
export const dimensions = [
  { card: "paths", member: "top_paths", filter: "path" },
  { card: "referrers", member: "top_referrers", filter: "referrer" },
  { card: "user_agents", member: "top_user_agents", filter: "user_agent" },
  { card: "countries", member: "top_countries", filter: "country", isShort: true },
  { card: "status_codes", member: "status_codes", filter: "status", isShort: true },
  { card: "methods", member: "methods", filter: "method", isShort: true },
  { card: "event_types", member: "event_types", filter: "event_type", isShort: true },
];

const names = dimensions.map(({ filter }) => filter);

/// The name as it is, whatever the API makes of its signs.
const literal = (name) => name.replaceAll("\\", "\\\\").replace(/^!/, "\\!").replace(/\*$/, "\\*");
const spelt = (text) => text.replaceAll(/\\(.)/g, "$1");

export const filterParameters = () => Object.fromEntries(names.map((name) => [name, address.all(name)]));

/// [{dimension, text, name, isNot}] in the order of the cards.
export const pills = () =>
  names.flatMap((dimension) =>
    address.all(dimension).map((text) => ({ dimension, text, isNot: text.startsWith("!"), name: spelt(text.replace(/^!/, "")) })),
  );

export function addFilter(dimension, name, isNot) {
  const text = (isNot ? "!" : "") + literal(name);
  const others = address.all(dimension).filter((one) => one !== text && one !== (isNot ? "" : "!") + literal(name));
  address.set({ [dimension]: [...others, text] });
}

export const removeFilter = ({ dimension, text }) => address.set({ [dimension]: address.all(dimension).filter((one) => one !== text) });

export const clearFilters = () => address.set(Object.fromEntries(names.map((name) => [name, ""])));
