// SPDX-License-Identifier: Apache-2.0
// Who is there now. Pulses come over the event stream of the server as long as it lasts; where there is none, or it
// breaks, or something on the way holds it back, they are asked for, and the stream is tried again later.
import { api } from "./api.js";

const pollMs = 5000;
const silenceMs = 10_000; // a stream says something every two seconds
const mostPolls = 64; // between two tries of the stream
const keptPulses = 30;

/// Events: "pulse" when `latest` and `history` (oldest first) have a new one, or when it was paused or resumed.
class Pulse extends EventTarget {
  latest = null;
  history = [];
  isPaused = false;
  #ended = new AbortController();

  start() {
    this.#ended.abort();
    this.#ended = new AbortController();
    this.isPaused = false;
    void this.#run(this.#ended.signal);
    this.#changed();
  }

  stop() {
    this.#ended.abort();
    this.isPaused = true;
    this.#changed();
  }

  async #run(signal) {
    let polls = api.routes.has("/analytics/live") ? 0 : Infinity; // before the stream is tried again
    let failures = 0;
    while (!signal.aborted) {
      let waitMs = pollMs;
      try {
        if (polls > 0) {
          this.#take(await api.get("analytics/pulse", {}, { signal }));
          --polls;
        } else {
          waitMs = await this.#listen(signal);
          failures = 0;
        }
      } catch (error) {
        if (signal.aborted || error.status === 401) return;
        if (polls === 0) {
          polls = Math.min(2 ** failures++, mostPolls);
          continue;
        }
        waitMs = Math.max(pollMs, error.retryAfterMs ?? 0);
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  /// Reads one stream to its end. EventSource would do, if it could send a header.
  /// @return when to come back, in ms
  async #listen(signal) {
    const silence = new AbortController();
    let timer = 0;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new DOMException("", "TimeoutError")), silenceMs);
    };
    heard();
    try {
      return await this.#read(AbortSignal.any([signal, silence.signal]), heard);
    } finally {
      clearTimeout(timer);
    }
  }

  async #read(signal, heard) {
    // That a stream fails says nothing of the server: it may be held back on its way.
    const response = await api.fetch("analytics/live", {}, { signal, isQuiet: true });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    signal.addEventListener("abort", () => void reader.cancel(), { once: true });
    let rest = "";
    let retryMs = pollMs;
    for (;;) {
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done) return retryMs;
      heard();
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const fields = event.split("\n").map((line) => line.split(/: ?(.*)/s));
        retryMs = Number(fields.find(([name]) => name === "retry")?.[1] ?? retryMs);
        const data = fields.filter(([name]) => name === "data").map(([, text]) => text).join("\n");
        if (data) this.#take(JSON.parse(data));
      }
    }
  }

  #take(pulse) {
    this.latest = pulse;
    this.history = [...this.history, pulse].slice(-keptPulses);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("pulse"));
  }
}

export const pulse = new Pulse();
