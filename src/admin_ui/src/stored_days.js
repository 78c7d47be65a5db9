// SPDX-License-Identifier: Apache-2.0
// What is stored of the days of a month, read from the names of the files: raw events lie below their day, and a window is
// saved when it is final.
import { api } from "./api.js";

const pageFiles = 1000;
const mostPages = 30;

async function filesBelow(prefix, signal) {
  const files = [];
  let next = "";
  let pages = 0;
  do {
    const page = await api.get("storage/files", { prefix, start_after: next, limit: pageFiles }, { signal });
    files.push(...page.files);
    next = page.next;
  } while (next !== "" && ++pages < mostPages);
  return { files, isWhole: next === "" };
}

/// The root prefix of the service: what all paths begin with.
async function rootOf(namespace, signal) {
  const { files } = await api.get("storage/files", { limit: 1 }, { signal });
  const first = files[0]?.path ?? "";
  const { namespaces } = await api.get("namespaces", {}, { signal });
  const known = [...namespaces, namespace].map((name) => first.indexOf(`${name}/data/`)).filter((at) => at >= 0);
  return known.length > 0 ? first.slice(0, Math.min(...known)) : "";
}

/// @param  month  "2026-02"
/// @return {days, isWhole}; a day is {key, rawBytes, bytes, windows: [{type, time, path, bytes}], revision, state}, its state
///         one of empty, raw, computed, final, revised
export async function storedDays(namespace, month, signal) {
  const root = `${await rootOf(namespace, signal)}${namespace}/data/`;
  const folder = month.replace("-", "/");
  const [raw, ...levels] = await Promise.all(["raw", "aggregations/30min", "aggregations/hourly", "aggregations/daily"].map((part) => filesBelow(`${root}${part}/${folder}/`, signal)));
  const days = new Map();
  const count = new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)), 0)).getUTCDate();
  for (let day = 1; day <= count; ++day) days.set(String(day).padStart(2, "0"), { key: `${month}-${String(day).padStart(2, "0")}`, rawBytes: 0, bytes: 0, windows: [], revision: 0, state: "empty" });

  const dayOf = (path, part) => days.get(path.slice(`${root}${part}/${folder}/`.length, `${root}${part}/${folder}/`.length + 2));
  for (const { path, size_bytes: bytes } of raw.files) {
    const day = dayOf(path, "raw");
    if (!day) continue;
    day.rawBytes += bytes;
    day.bytes += bytes;
    day.state = "raw";
  }
  // The smallest first: a day is as final as its largest window.
  ["30min", "hourly", "daily"].forEach((type, i) => {
    for (const { path, size_bytes: bytes } of levels[i].files) {
      const day = dayOf(path, `aggregations/${type}`);
      if (!day) continue;
      const time = path.slice(`${root}aggregations/${type}/${folder}/01/`.length, -".json".length);
      day.windows.push({ type, time: type === "daily" ? "" : type === "hourly" ? `${time}:00` : time.replace("-", ":"), path, bytes });
      day.bytes += bytes;
      day.state = type === "daily" ? "final" : "computed";
    }
  });
  const final = [...days.values()].filter((day) => day.state === "final");
  await Promise.all(
    final.map(async (day) => {
      const window = await api.get("storage/file", { path: day.windows.find(({ type }) => type === "daily").path }, { signal });
      day.revision = window.revision;
      if (day.revision > 0) day.state = "revised";
    }),
  );
  return { days: [...days.values()], isWhole: [raw, ...levels].every((part) => part.isWhole) };
}
