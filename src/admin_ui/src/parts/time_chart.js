// SPDX-License-Identifier: Apache-2.0
// The one chart element: lines over consecutive windows. Drag, or Shift with the arrow keys, marks a stretch; a click, or
// Enter, opens a window. The same data stand in a table that a button shows.
import uPlot from "uplot";
import { shortQuantity } from "../format.js";
import { texts } from "../texts.js";
import { html, nothing, View } from "../view.js";
import "./data_table.js";

const height = 260;
const clickSlackPx = 4;

class Time_Chart extends View {
  static properties = {
    label: {},
    /// [{name, tick, isOpen}] in order; an open window may still grow
    windows: { attribute: false },
    /// [{name, unit, values, show, before?, showBefore?, isStacked?}]: a value or null for each window, and as text;
    /// `before` of as long before; a stacked line lies on top of the one before it, with a filled area between
    lines: { attribute: false },
    /// Whether a stretch can be marked and a window opened; events "zoom" and "open-window"
    leadsOn: { type: Boolean },
    asTable: { state: true },
  };

  #plot = null;
  #made = "";
  #resized = new ResizeObserver(() => this.#fit());
  #recolour = () => this.#plot?.redraw();

  constructor() {
    super();
    this.windows = [];
    this.lines = [];
    this.leadsOn = false;
    this.asTable = false;
  }

  connectedCallback() {
    super.connectedCallback();
    document.addEventListener("theme-change", this.#recolour);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    document.removeEventListener("theme-change", this.#recolour);
    this.#forget();
  }

  render() {
    const t = texts.chart;
    return html`
      <div class="chart-head">
        <ul class="legend" aria-hidden="true">
          ${this.lines.map((line, i) => html`<li><i class="key key-${i}"></i>${line.name}</li>`)}
          ${this.lines.some((line) => line.before) ? html`<li><i class="key key-before"></i>${t.before}</li>` : nothing}
          ${this.windows.some((window) => window.isOpen) ? html`<li><i class="key key-open"></i>${t.open}</li>` : nothing}
        </ul>
        <button type="button" class="quiet" aria-pressed=${this.asTable} @click=${() => (this.asTable = !this.asTable)}>${t.table}</button>
      </div>
      <div class="plot" tabindex="0" role="application" aria-label=${this.leadsOn ? `${this.label}. ${t.keys}` : this.label} ?hidden=${this.asTable} @keydown=${this.#onKey}></div>
      <p class="reading" aria-live="polite"></p>
      ${this.asTable ? this.#table() : nothing}
    `;
  }

  updated() {
    if (this.asTable) return this.#forget();
    const shape = JSON.stringify(this.lines.map((line) => [line.name, line.unit, !!line.before]));
    if (this.#plot && shape === this.#made) this.#plot.setData(this.#data());
    else this.#make(shape);
    this.#read(null);
  }

  #table() {
    const columns = [
      {
        title: texts.chart.window,
        cell: (i) => {
          const { name, isOpen } = this.windows[i];
          const link = html`<button type="button" class="link" @click=${() => this.tell("open-window", i)}>${name}</button>`;
          return html`${this.leadsOn ? link : name}${isOpen ? ` (${texts.chart.open})` : ""}`;
        },
      },
      ...this.lines.flatMap((line) => [
        { title: line.name, isNumber: true, cell: (i) => line.show(i) },
        ...(line.before ? [{ title: `${line.name}, ${texts.chart.before}`, isNumber: true, cell: (i) => line.showBefore(i) }] : []),
      ]),
    ];
    return html`<data-table .label=${this.label} .columns=${columns} .count=${this.windows.length} .rowAt=${(i) => i}></data-table>`;
  }

  /// x, then for each line: what is over, what is open (from the last that is over, so that they join), before.
  #data() {
    const { windows } = this;
    const open = windows.findIndex((window) => window.isOpen);
    const end = open < 0 ? windows.length : open;
    const columns = [windows.map((_, i) => i)];
    for (const { values, before } of this.lines) {
      columns.push(values.map((value, i) => (i < end ? value : null)));
      columns.push(values.map((value, i) => (i >= end - 1 && open >= 0 ? value : null)));
      columns.push(before ?? values.map(() => null));
    }
    return columns;
  }

  #make(shape) {
    this.#forget();
    const box = this.querySelector(".plot");
    const colour = (name) => () => colourOf(box, `var(${name})`);
    const area = (i) => () => colourOf(box, `color-mix(in srgb, var(--series-${i}) 22%, transparent)`);
    const units = [...new Set(this.lines.map((line) => line.unit))];
    const grid = { stroke: colour("--line"), width: 1 };
    const font = `12px ${getComputedStyle(box).fontFamily}`;
    const axis = { stroke: colour("--ink-quiet"), font, ticks: { show: false } };
    const series = this.lines.flatMap((line, i) => {
      const common = { scale: line.unit, stroke: colour(`--series-${i}`), width: 2, points: { size: 8, fill: colour(`--series-${i}`), filter: lonely } };
      const filled = i > 0 ? {} : line.isStacked ? { fill: area(0) } : this.lines.length === 1 ? { fill: colour("--series-0-fill") } : {};
      return [
        { ...common, ...filled },
        { ...common, dash: [5, 4] },
        { ...common, stroke: colour("--series-before"), width: 1.5, points: { show: false } },
      ];
    });
    this.#plot = new uPlot(
      {
        width: box.clientWidth || 300,
        height,
        legend: { show: false },
        cursor: { drag: { x: this.leadsOn, y: false, setScale: false, dist: clickSlackPx }, y: false, points: { show: false } },
        scales: { x: { time: false, range: () => (this.windows.length > 1 ? [-0.3, this.windows.length - 0.7] : [-1, 1]) }, ...Object.fromEntries(units.map((unit) => [unit, { range: { min: { hard: 0, pad: 0, soft: 0, mode: 1 }, max: { pad: 0.1, soft: 1, mode: 2 } } }])) },
        axes: [
          { ...axis, grid: { show: false }, size: 28, space: 70, incrs: [1, 2, 3, 4, 6, 7, 12, 14, 24, 28, 48, 60, 120, 240, 480, 960], values: (_, at) => at.map((i) => this.windows[i]?.tick ?? "") },
          ...units.map((unit, i) => ({ ...axis, scale: unit, side: i === 0 ? 3 : 1, size: 62, grid: i === 0 ? grid : { show: false }, values: (_, at) => at.map((value) => shortQuantity(value, unit)) })),
        ],
        series: [{}, ...series],
        bands: this.lines.flatMap((line, i) => (line.isStacked && i > 0 ? [{ series: [1 + 3 * i, 1 + 3 * (i - 1)], fill: area(i) }] : [])),
        hooks: { setCursor: [(plot) => this.#read(plot.cursor.idx)], setSelect: [(plot) => this.#selected(plot)] },
      },
      this.#data(),
      box,
    );
    this.#plot.over.addEventListener("click", (event) => this.#onClick(event));
    this.#made = shape;
    this.#resized.observe(box);
  }

  #forget() {
    this.#resized.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  #fit() {
    const box = this.querySelector(".plot");
    if (this.#plot && box.clientWidth > 0 && box.clientWidth !== this.#plot.width) this.#plot.setSize({ width: box.clientWidth, height });
  }

  /// Says in words what is under the cursor.
  #read(index) {
    const line = this.querySelector(".reading");
    const window = this.windows[index];
    if (!line) return;
    line.textContent = window ? `${window.name}: ${this.lines.map((one) => `${one.name} ${one.show(index)}${one.before ? ` (${texts.chart.before} ${one.showBefore(index)})` : ""}`).join(", ")}` : this.leadsOn ? texts.chart.hint : "";
  }

  #selected(plot) {
    const { left, width } = plot.select;
    if (width <= clickSlackPx) return;
    const first = Math.max(0, Math.round(plot.posToVal(left, "x")));
    const last = Math.min(this.windows.length - 1, Math.round(plot.posToVal(left + width, "x")));
    this.#unmark();
    if (last >= first) this.tell("zoom", { first, last });
  }

  #unmark() {
    this.#plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  }

  #onClick(event) {
    // A drag ends in a click too, which is none.
    if (this.#plot.cursor.drag._x || this.#plot.select.width > 0) return;
    const index = this.#plot.cursor.idx;
    if (this.leadsOn && index !== null && index !== undefined && event.button === 0) this.tell("open-window", index);
  }

  #marked = null;
  #onKey(event) {
    const plot = this.#plot;
    const last = this.windows.length - 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -last, End: last }[event.key];
    if (!plot || last < 0 || (!this.leadsOn && event.key === "Enter")) return;
    if (step !== undefined) {
      const from = plot.cursor.idx ?? (step > 0 ? -1 : last + 1);
      const to = Math.max(0, Math.min(last, from + step));
      if (event.shiftKey) this.#marked = [this.#marked?.[0] ?? Math.max(0, Math.min(last, from)), to];
      else this.#marked = null;
      plot.setCursor({ left: plot.valToPos(to, "x"), top: 0 });
      const [a, b] = this.#marked ? [...this.#marked].sort((x, y) => x - y) : [0, 0];
      if (this.#marked) plot.setSelect({ left: plot.valToPos(a - 0.4, "x"), width: plot.valToPos(b + 0.4, "x") - plot.valToPos(a - 0.4, "x"), top: 0, height: plot.over.clientHeight }, false);
      else this.#unmark();
    } else if (event.key === "Enter" && this.#marked) {
      const [first, end] = [...this.#marked].sort((x, y) => x - y);
      this.#marked = null;
      this.#unmark();
      this.tell("zoom", { first, last: end });
    } else if (event.key === "Enter" && plot.cursor.idx !== null && plot.cursor.idx !== undefined) {
      this.tell("open-window", plot.cursor.idx);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/// The points that no line shows: those without a neighbour.
function lonely(plot, series, isShown) {
  const values = plot.data[series];
  return values.flatMap((value, i) => (value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null ? [i] : []));
}

/// What a colour is in the theme of now: a canvas knows no custom properties.
function colourOf(element, value) {
  const probe = document.createElement("i");
  probe.style.color = value;
  element.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

customElements.define("time-chart", Time_Chart);
