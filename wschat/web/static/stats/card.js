// A card of the dashboard: a number and its chart. Across, the chart has one unit a second; upwards it has a hundred.

import { roundUp } from "./units.js";

/** @typedef {import("./cards.js").CardSpec} CardSpec */
/** @typedef {import("./cards.js").Series} Series */
/** @typedef {{samples: Stats.Sample[], from: number, seconds: number}} View the samples, when the chart begins, and their interval */
/** @typedef {{top: number, steps: number[], y: (value: number) => number}} Scale `steps` are heights from 0 to 1 */

export const SPAN = 300; // seconds
const HEIGHT = 100;

/** A card. */
export class Card {
  #spec;
  #parts;
  /** @type {View} as it was drawn last */
  #view = { samples: [], from: 0, seconds: 1 };
  /** @type {Series[]} */
  #series = [];
  /** @type {Scale} */
  #scale = { top: 1, steps: [], y: () => 0 };

  /**
   * @param {CardSpec} spec
   * @param {HTMLTemplateElement} template
   */
  constructor(spec, template) {
    this.#spec = spec;
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.element = /** @type {HTMLElement} */ (copy.firstElementChild);
    this.element.classList.toggle("wide", Boolean(spec.isWide));
    /** @param {string} selector */
    const find = (selector) => /** @type {HTMLElement} */ (this.element.querySelector(selector));
    this.#parts = { number: find("strong"), note: find(".figure span"), svg: find("svg"), top: find(".top"), legend: find("dl") };
    find("h2").textContent = spec.title;
    find(".chart").ariaLabel = `${spec.title}: the left arrow key shows earlier values`;
  }

  /**
   * Draw the chart.
   *
   * @param {View} view
   */
  draw(view) {
    this.#view = view;
    this.#series = this.#spec.series(view.samples);
    this.#scale = this.#makeScale();
    this.#parts.top.textContent = this.#spec.unit.format(this.#scale.top);
    const shapes = this.#spec.isEvents ? this.#bars() : this.#lines();
    this.#parts.svg.replaceChildren(...this.#grid(), ...shapes, path("cursor", ""));
    this.#parts.svg.setAttribute("aria-label", this.#description());
  }

  /**
   * Show the values of a sample. Without one, show the last known values, or for events their number in the whole chart.
   *
   * @param {number | null} index
   */
  showValues(index) {
    const { samples, from } = this.#view;
    const { isSum, isEvents, note = "" } = this.#spec;
    const isTotal = isEvents && index === null;
    const shown = index ?? this.#lastKnown();
    const isOld = index === null && !isTotal && shown < samples.length - 1;
    const values = this.#series.map((series) => (isTotal ? sum(series.values) : series.values[shown]));
    this.#parts.number.textContent = this.#format(isSum ? sum(values) : values[0]);
    this.#parts.number.classList.toggle("old", isOld);
    const when = index === null && !isOld ? (isTotal ? "in 5 minutes" : "") : `at ${timeOf(samples[shown])}`;
    this.#parts.note.textContent = `${note} ${when}`.trim();
    const rows = isSum || this.#series.length > 1 ? this.#series : [];
    this.#parts.legend.replaceChildren(...rows.map((series, row) => legendEntry(series.name, this.#format(values[row]), row)));
    const x = index === null ? null : samples[index].time - from;
    this.#parts.svg.querySelector(".cursor")?.setAttribute("d", x === null ? "" : `M${x},0V${HEIGHT}`);
  }

  /** @param {number | null | undefined} value */
  #format(value) {
    return value === null || value === undefined ? "–" : this.#spec.unit.format(value);
  }

  /** Return the index of the last sample with a known value. */
  #lastKnown() {
    const { length } = this.#view.samples;
    const known = this.#view.samples.findLastIndex((_, index) => this.#series.some(({ values }) => values[index] !== null));
    return known < 0 ? length - 1 : known;
  }

  /** Return all values that the scale has to show: of each sample the sum, or each series. */
  #heights() {
    const { isEvents, isSum } = this.#spec;
    if (!isEvents && !isSum) return known(this.#series.flatMap(({ values }) => values));
    return this.#view.samples.map((_, index) => sum(this.#series.map(({ values }) => values[index])));
  }

  /** @returns {Scale} */
  #makeScale() {
    const heights = this.#heights();
    const most = Math.max(...heights, 0);
    if (this.#spec.isLogarithmic) return logarithmicScale(heights, most);
    const top = roundUp(most, this.#spec.unit);
    return { top, steps: [0.5], y: (value) => HEIGHT * (1 - value / top) };
  }

  /** Return the grid: lines across, and one for each minute. */
  #grid() {
    const across = [0, ...this.#scale.steps].map((step) => `M0,${HEIGHT * step}H${SPAN}`);
    const minutes = [1, 2, 3, 4].map((minute) => `M${60 * minute},0V${HEIGHT}`);
    return [path("grid", [...across, ...minutes].join(""))];
  }

  /** Return the series as lines. The first is on top of the others, with an area below it. */
  #lines() {
    const lines = this.#series.map(({ values }, row) => {
      const runs = this.#runs(values);
      const line = path(`line row${row}`, runs.map((run) => `M${run.join("L")}`).join(""));
      const dots = path(`dots row${row}`, runs.map((run) => (run.length > 1 ? "" : `M${run[0]}h0`)).join(""));
      const area = runs.map((run) => `M${run[0][0]},${HEIGHT}L${run.join("L")}V${HEIGHT}z`).join("");
      return row ? [line, dots] : [path("area row0", area), line, dots];
    });
    return lines.reverse().flat();
  }

  /**
   * Return the points of a line, in runs without a gap.
   *
   * @param {(number | null)[]} values
   */
  #runs(values) {
    const { samples, from, seconds } = this.#view;
    /** @type {[x: string, y: string][][]} */
    const runs = [];
    let before = -Infinity;
    values.forEach((value, index) => {
      if (value === null) return;
      const { time } = samples[index];
      if (time - before > 1.9 * seconds) runs.push([]);
      runs.at(-1)?.push([(time - from).toFixed(1), this.#scale.y(value).toFixed(2)]);
      before = time;
    });
    return runs;
  }

  /** Return the series as stacked bars. */
  #bars() {
    const { samples, from, seconds } = this.#view;
    const below = samples.map(() => 0);
    return this.#series.map(({ values }, row) => {
      const bars = values.map((value, index) => {
        if (!value) return "";
        const foot = this.#scale.y(below[index]);
        below[index] += value;
        return `M${samples[index].time - from - seconds},${foot}V${this.#scale.y(below[index])}h${seconds}V${foot}z`;
      });
      return path(`bars row${row}`, bars.join(""));
    });
  }

  /** Describe the chart in words. */
  #description() {
    const { title, isEvents } = this.#spec;
    const words = this.#series.map(({ name, values }) => {
      const numbers = known(values);
      if (isEvents) return `${this.#format(sum(numbers))} ${name}`;
      const extremes = numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : [null, null];
      const [now, least, most] = [values.at(-1), ...extremes].map((value) => this.#format(value));
      return `${name} ${now} now, ${least} at least, ${most} at most`;
    });
    return `${title}, the last five minutes: ${words.join("; ") || "none"}.`;
  }
}

/**
 * Return a scale from one power of ten to another.
 *
 * @param {number[]} heights
 * @param {number} most
 * @returns {Scale}
 */
function logarithmicScale(heights, most) {
  /**
   * @param {number} value
   * @param {(number: number) => number} round
   */
  const decade = (value, round) => Math.round(round(Math.log10(value) - (round === Math.ceil ? 0.001 : 0)));
  const upper = decade(most || 0.01, Math.ceil);
  const lower = Math.min(heights.length ? decade(Math.min(...heights), Math.floor) : upper - 2, upper - 1);
  const steps = Array.from({ length: upper - lower - 1 }, (_, number) => (number + 1) / (upper - lower));
  return { top: 10 ** upper, steps, y: (value) => (HEIGHT * (upper - Math.log10(value))) / (upper - lower) };
}

/** @param {(number | null)[]} values */
const known = (values) => values.filter((value) => value !== null);

/** @param {(number | null)[]} values */
const sum = (values) => values.reduce((/** @type {number} */ total, value) => total + (value ?? 0), 0);

/**
 * Return the time of a sample, in the user's language.
 *
 * @param {Stats.Sample} sample
 */
export const timeOf = (sample) => new Date(sample.time * 1000).toLocaleTimeString();

/**
 * @param {string} name
 * @param {string} data
 */
function path(name, data) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "path");
  element.setAttribute("class", name);
  element.setAttribute("d", data);
  return element;
}

/**
 * @param {string} name
 * @param {string} value
 * @param {number} row
 */
function legendEntry(name, value, row) {
  const pair = document.createElement("div");
  const term = document.createElement("dt");
  term.className = `row${row}`;
  term.textContent = name;
  const definition = document.createElement("dd");
  definition.textContent = value;
  pair.append(term, definition);
  return pair;
}
