// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them. An unknown value (null, undefined) is never shown as a zero.

const locale = "en-GB";
export const unknown = "–";

const whole = new Intl.NumberFormat(locale);
const significant = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });
const tenths = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const shortest = new Intl.NumberFormat(locale, { notation: "compact", maximumSignificantDigits: 3 });
const isUnknown = (value) => value === null || value === undefined;

const scaled = (value, units, base) => {
  const power = value > 0 ? Math.min(Math.floor(Math.log(value) / Math.log(base)), units.length - 1) : 0;
  const at = Math.max(power, 0);
  return `${significant.format(value / base ** at)} ${units[at]}`;
};

const dollars = (value) => {
  const size = Math.abs(value);
  const digits = size > 0 && size < 0.01 ? { maximumSignificantDigits: 3 } : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return new Intl.NumberFormat(locale, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...digits }).format(value);
};

const milliseconds = (value) =>
  value >= 60_000 ? scaled(value / 1000, ["s"], 1000) : value >= 1000 ? `${significant.format(value / 1000)} s` : `${significant.format(value)} ms`;

const formats = {
  count: (value) => whole.format(value),
  bytes: (value) => scaled(value, ["B", "kB", "MB", "GB", "TB", "PB"], 1000),
  ms: milliseconds,
  usd: dollars,
  percent: (value) => (value > 0 && value < 0.001 ? "< 0.1 %" : `${tenths.format(100 * value)} %`),
};

/// @param unit  count, bytes, ms, usd or percent (of a ratio)
export const quantity = (value, unit = "count") => (isUnknown(value) ? unknown : formats[unit](value));

/// For axes, where a word less matters more than a digit more.
export const shortQuantity = (value, unit) => (unit === "count" ? shortest.format(value) : quantity(value, unit));

/// "" if the value is exact.
export const uncertainty = (relative) => (relative > 0 ? `± ${significant.format(100 * relative)} %` : "");

/// How a value has changed: "+12 %"; "" where there is nothing to compare with, or nothing to tell.
export function change(now, before) {
  if (isUnknown(now) || isUnknown(before)) return "";
  if (now === before) return "";
  if (before === 0) return "new";
  const ratio = (now - before) / before;
  const size = Math.abs(ratio) < 10 ? `${tenths.format(Math.abs(100 * ratio))} %` : `${significant.format(Math.abs(ratio))} ×`;
  return (ratio > 0 ? "+" : "−") + size;
}

const timeFormats = new Map();
const spell = (ms, zone, options) => {
  const name = zone + JSON.stringify(options);
  if (!timeFormats.has(name)) timeFormats.set(name, new Intl.DateTimeFormat(locale, { timeZone: zone, hourCycle: "h23", ...options }));
  return timeFormats.get(name).format(ms);
};

const day = { day: "numeric", month: "short", year: "numeric" };
const clock = { hour: "2-digit", minute: "2-digit" };

export const time = (ms, zone) => (ms ? spell(ms, zone, { ...day, ...clock, second: "2-digit" }) : unknown);
export const clockTime = (ms, zone) => spell(ms, zone, { ...clock, second: "2-digit" });
export const dayOf = (ms, zone) => spell(ms, zone, day);

/// @param window  with window_type, window_start, window_end and window_key
export function windowName({ window_type: type, window_start: start, window_end: end, window_key: key }, zone) {
  switch (type) {
    case "30min":
    case "hourly":
      return `${spell(start, zone, { weekday: "short", ...day })}, ${spell(start, zone, clock)} to ${spell(end, zone, clock)}`;
    case "daily":
      return spell(start, zone, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
    case "weekly":
      return `Week ${Number(key.split("W")[1])}: ${spell(start, zone, { day: "numeric", month: "short" })} to ${spell(end - 1, zone, day)}`;
    case "monthly":
      return spell(start, zone, { month: "long", year: "numeric" });
    default:
      return spell(start, zone, { year: "numeric" });
  }
}

/// As short as an axis needs it.
export function tickName(type, start, zone) {
  const parts = {
    "30min": clock,
    hourly: clock,
    daily: { day: "numeric", month: "short" },
    weekly: { day: "numeric", month: "short" },
    monthly: { month: "short", year: "2-digit" },
    yearly: { year: "numeric" },
  };
  return spell(start, zone, parts[type]);
}

/// "in 3 days", "2 h ago"; of two instants in ms.
export function distance(from, to) {
  const minutes = Math.round(Math.abs(to - from) / 60_000);
  const text = minutes < 1 ? "moments" : minutes < 90 ? `${minutes} min` : minutes < 36 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`;
  return to >= from ? `in ${text}` : `${text} ago`;
}

export const localZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
