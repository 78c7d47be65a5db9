// SPDX-License-Identifier: Apache-2.0
import { clockTime, quantity } from "../format.js";
import { pulse } from "../pulse.js";
import { texts } from "../texts.js";
import { html, nothing, svg, View } from "../view.js";
import "../parts/data_table.js";

const t = texts.pulse;
const bars = 30;

class Live_Pulse extends View {
  static properties = { zone: {}, isOpen: { state: true } };
  #changed = () => this.requestUpdate();

  connectedCallback() {
    super.connectedCallback();
    pulse.addEventListener("pulse", this.#changed);
  }
  disconnectedCallback() {
    super.disconnectedCallback();
    pulse.removeEventListener("pulse", this.#changed);
  }

  render() {
    const now = pulse.latest;
    if (!now) return nothing;
    const requests = quantity(now.active_requests);
    return html`
      <section class="live" aria-label=${t.heading}>
        <span class="dot ${pulse.isPaused ? "" : "beats"}" aria-hidden="true"></span>
        <strong data-pulse="visitors" data-value=${now.active_visitors}>${t.visitors(quantity(now.active_visitors))}</strong>
        <span data-pulse="requests" data-value=${now.active_requests}>${t.requests(requests, now.window_minutes)}</span>
        ${this.#bars()}
        <button type="button" class="quiet" aria-pressed=${pulse.isPaused} @click=${() => (pulse.isPaused ? pulse.start() : pulse.stop())}>${pulse.isPaused ? t.resume : t.pause}</button>
        <button type="button" class="quiet" aria-expanded=${!!this.isOpen} @click=${() => (this.isOpen = !this.isOpen)}>${t.recent}</button>
        ${this.isOpen ? this.#recent(now.recent_events) : nothing}
      </section>
    `;
  }

  #bars() {
    const counts = pulse.history.map((one) => one.active_requests);
    const most = Math.max(1, ...counts);
    return svg`<svg class="bars" viewBox="0 0 ${bars * 4} 20" role="img" aria-label=${t.label}>
      ${counts.map((count, i) => svg`<rect x=${(bars - counts.length + i) * 4} y=${20 - (18 * count) / most} width="3" height=${(18 * count) / most}></rect>`)}
    </svg>`;
  }

  #recent(events) {
    const columns = [
      { title: t.columns.time, cell: (event) => clockTime(event.timestamp, this.zone) },
      { title: t.columns.method, cell: (event) => event.method },
      { title: t.columns.path, cell: (event) => event.path },
      { title: t.columns.status, cell: (event) => event.status_code },
      { title: t.columns.visitor, cell: (event) => event.ip_hash },
    ];
    return html`<data-table .label=${t.recent} .columns=${columns} .count=${events.length} .rowAt=${(i) => events[i]} .empty=${t.nobody}></data-table>`;
  }
}

customElements.define("live-pulse", Live_Pulse);
