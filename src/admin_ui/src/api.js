// SPDX-License-Identifier: Apache-2.0
// The only module that talks to the server. It sends the key as a header, and tells listeners how the server is doing.

const keyName = "memfs_cache.admin_key";
const slowAfterMs = 3000;
const deadlineMs = 60_000;

export class ApiError extends Error {
  constructor(status, { code = "", message = "", field = "" } = {}, retryAfterMs = 0) {
    super(message);
    Object.assign(this, { status, code, field, retryAfterMs });
  }
  /// Would the same question have another answer later?
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/// Events: "state" when `state` has changed; it is ok, slow, gone, busy, failing or refused.
export class Api extends EventTarget {
  state = "ok";
  routes = new Set();
  #key = sessionStorage.getItem(keyName) ?? "";
  #waiting = new Set();
  #aheadMs = 0;

  /// The server's time: the clock of a browser may be wrong, and what lies in the future cannot be asked for.
  now() {
    return Date.now() - this.#aheadMs;
  }

  get hasKey() {
    return this.#key !== "";
  }

  /// Tries a key and keeps it, for this tab only, if the server takes it. Learns which routes the server has.
  async enter(key) {
    this.#key = key;
    const { paths } = await this.get("openapi.json");
    this.routes = new Set(Object.keys(paths));
    sessionStorage.setItem(keyName, key);
    return this;
  }

  resume() {
    return this.enter(this.#key);
  }

  leave() {
    this.#key = "";
    sessionStorage.removeItem(keyName);
  }

  /// Parameters that are undefined or "" are left out; a list is sent as the same parameter several times.
  async get(path, parameters = {}, { signal } = {}) {
    return (await this.fetch(path, parameters, { signal })).json();
  }

  async post(path, body = {}) {
    return (await this.fetch(path, {}, { method: "POST", body: JSON.stringify(body) })).json();
  }

  /// @param isQuiet  nobody is told how the server does, but for a key that it refuses: there is another way to ask
  async fetch(path, parameters = {}, { signal, isQuiet = false, ...options } = {}) {
    const ended = new AbortController();
    const deadline = setTimeout(() => ended.abort(new DOMException("", "TimeoutError")), deadlineMs);
    const slow = setTimeout(() => isQuiet || this.#wait(ended, true), slowAfterMs);
    const give_up = () => ended.abort(signal.reason);
    signal?.addEventListener("abort", give_up, { once: true });
    if (signal?.aborted) give_up();
    try {
      const response = await fetch(urlOf(path, parameters), {
        ...options,
        headers: { "X-API-Key": this.#key, "Content-Type": "application/json" },
        cache: "no-store",
        credentials: "omit",
        signal: ended.signal,
      });
      const date = Date.parse(response.headers.get("Date"));
      if (date > 0) this.#aheadMs = Date.now() - date;
      if (!response.ok) throw await errorOf(response);
      this.#say("ok");
      return response;
    } catch (error) {
      if (signal?.aborted) throw error;
      const told = error instanceof ApiError ? error : new ApiError(0, { code: "gone" });
      const state = stateOf(told);
      if (!isQuiet || state === "refused") this.#say(state);
      throw told;
    } finally {
      clearTimeout(deadline);
      clearTimeout(slow);
      this.#wait(ended, false);
      signal?.removeEventListener("abort", give_up);
    }
  }

  #wait(request, waits) {
    const before = this.#waiting.size;
    if (waits) this.#waiting.add(request);
    else this.#waiting.delete(request);
    if (waits && this.state === "ok") this.#say("slow");
    if (!waits && before > 0 && this.#waiting.size === 0 && this.state === "slow") this.#say("ok");
  }

  #say(state) {
    if (state === "ok" && this.#waiting.size > 0 && this.state === "slow") return;
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

export const api = new Api();

/// Relative to the page, which may lie below any prefix.
export function urlOf(path, parameters = {}) {
  const url = new URL(path, document.baseURI);
  url.hash = "";
  for (const [name, value] of Object.entries(parameters))
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== undefined && one !== null && one !== "") url.searchParams.append(name, one);
  return url;
}

async function errorOf(response) {
  const body = await response.json().catch(() => ({}));
  return new ApiError(response.status, body.error, 1000 * Number(response.headers.get("Retry-After") ?? 0));
}

function stateOf(error) {
  if (error.status === 0) return "gone";
  if (error.status === 401) return "refused";
  if (error.status === 429) return "busy";
  return error.status >= 500 ? "failing" : "ok";
}
