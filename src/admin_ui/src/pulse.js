// SPDX-License-Identifier: Apache-2.0
// Who is there now. Pulses come over the event stream of the server as long as it lasts; where there is none, or it
// breaks, they are asked for.
import { api, ApiError } from "./api.js";

const pollMs = 5000;
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
    while (!signal.aborted) {
      let waitMs = pollMs;
      try {
        if (api.routes.has("/analytics/live")) waitMs = await this.#listen(signal);
        else this.#take(await api.get("analytics/pulse", {}, { signal }));
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.status === 401) return;
        waitMs = Math.max(pollMs, error.retryAfterMs ?? 0);
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  /// Reads one stream to its end. EventSource would do, if it could send a header.
  /// @return when to come back, in ms
  async #listen(signal) {
    const response = await api.fetch("analytics/live", {}, { signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let retryMs = pollMs;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return retryMs;
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
