// One card: a figure and its chart. Across, a chart has a unit for each second; upwards it has a hundred.

import { roundUp } from "./units.js";

export const SPAN = 300;
const HEIGHT = 100;

export class Card {
  #spec;
  #parts;
  #view = null; // what was drawn last
  #series = [];
  #scale = null;

  constructor(spec, template) {
    this.#spec = spec;
    this.element = template.content.cloneNode(true).firstElementChild;
    this.element.classList.toggle("wide", Boolean(spec.isWide));
    const find = (selector) => this.element.querySelector(selector);
    this.#parts = { figure: find("strong"), note: find(".figure span"), svg: find("svg"), top: find(".top"), legend: find("dl") };
    find("h2").textContent = spec.title;
    find(".chart").ariaLabel = `${spec.title}: the left arrow key shows earlier figures`;
  }

  /** Draw what there is: samples, the time that the chart begins at, and the seconds from one sample to the next. */
  draw(view) {
    this.#view = view;
    this.#series = this.#spec.series(view.samples);
    this.#scale = this.#makeScale();
    this.#parts.top.textContent = this.#spec.unit.format(this.#scale.top);
    const shapes = this.#spec.isEvents ? this.#bars() : this.#lines();
    this.#parts.svg.replaceChildren(...this.#grid(), ...shapes, path("cursor", ""));
    this.#parts.svg.setAttribute("aria-label", this.#description());
  }

  /** Show the figures of a sample, or for null the current ones: the last that are known, or of events how many there were in all. */
  point(index) {
    const { samples, from } = this.#view;
    const { isSum, isEvents, note = "" } = this.#spec;
    const isAll = isEvents && index === null;
    const shown = index ?? this.#lastKnown();
    const isOld = index === null && !isAll && shown < samples.length - 1;
    const values = this.#series.map((line) => (isAll ? sum(line.values) : line.values[shown]));
    this.#parts.figure.textContent = this.#format(isSum ? sum(values) : values[0]);
    this.#parts.figure.classList.toggle("old", isOld);
    const when = index === null && !isOld ? (isAll ? "in 5 minutes" : "") : `at ${timeOf(samples[shown])}`;
    this.#parts.note.textContent = `${note} ${when}`.trim();
    const rows = isSum || this.#series.length > 1 ? this.#series : [];
    this.#parts.legend.replaceChildren(...rows.map((line, row) => entry(line.name, this.#format(values[row]), row)));
    const x = index === null ? null : samples[index].time - from;
    this.#parts.svg.querySelector(".cursor").setAttribute("d", x === null ? "" : `M${x},0V${HEIGHT}`);
  }

  #format(value) {
    return value === null || value === undefined ? "–" : this.#spec.unit.format(value);
  }

  /** The last sample that has figures. */
  #lastKnown() {
    const { length } = this.#view.samples;
    const known = this.#view.samples.findLastIndex((_, index) => this.#series.some(({ values }) => values[index] !== null));
    return known < 0 ? length - 1 : known;
  }

  /** What each sample has in all, or in each line. */
  #heights() {
    const { isEvents, isSum } = this.#spec;
    if (!isEvents && !isSum) return this.#series.flatMap(({ values }) => values).filter((value) => value !== null);
    return this.#view.samples.map((_, index) => sum(this.#series.map(({ values }) => values[index])));
  }

  #makeScale() {
    const heights = this.#heights();
    const most = Math.max(...heights, 0);
    if (!this.#spec.isLogarithmic) {
      const top = roundUp(most, this.#spec.unit);
      return { top, steps: [0.5], y: (value) => HEIGHT * (1 - value / top) };
    }
    const decade = (value, direction) => Math.round(direction(Math.log10(value) - 0.001 * (direction === Math.ceil)));
    const upper = decade(most || 0.01, Math.ceil);
    const lower = Math.min(heights.length ? decade(Math.min(...heights), Math.floor) : upper - 2, upper - 1);
    const steps = Array.from({ length: upper - lower - 1 }, (_, number) => (number + 1) / (upper - lower));
    return { top: 10 ** upper, steps, y: (value) => (HEIGHT * (upper - Math.log10(value))) / (upper - lower) };
  }

  /** Lines across, and one for each minute. */
  #grid() {
    const across = [0, ...this.#scale.steps].map((share) => `M0,${HEIGHT * share}H${SPAN}`);
    const minutes = [1, 2, 3, 4].map((minute) => `M${60 * minute},0V${HEIGHT}`);
    return [path("grid", [...across, ...minutes].join(""))];
  }

  /** The first line is on top of the others, above an area. */
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

  /** The points of a line, in runs without a gap. */
  #runs(values) {
    const { samples, from, seconds } = this.#view;
    const runs = [];
    let before = -Infinity;
    values.forEach((value, index) => {
      if (value === null) return;
      const { time } = samples[index];
      if (time - before > 1.9 * seconds) runs.push([]);
      runs.at(-1).push([(time - from).toFixed(1), this.#scale.y(value).toFixed(2)]);
      before = time;
    });
    return runs;
  }

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

  /** The chart in words. */
  #description() {
    const { title, isEvents } = this.#spec;
    const words = this.#series.map(({ name, values }) => {
      const known = values.filter((value) => value !== null);
      if (isEvents) return `${this.#format(sum(known))} ${name}`;
      const extremes = known.length ? [Math.min(...known), Math.max(...known)] : [null, null];
      const [now, least, most] = [values.at(-1), ...extremes].map((value) => this.#format(value));
      return `${name} ${now} now, ${least} at least, ${most} at most`;
    });
    return `${title}, the last five minutes: ${words.join("; ") || "none"}.`;
  }
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

export const timeOf = (sample) => new Date(sample.time * 1000).toLocaleTimeString();

function path(name, data) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "path");
  element.setAttribute("class", name);
  element.setAttribute("d", data);
  return element;
}

function entry(name, value, row) {
  const pair = document.createElement("div");
  const term = document.createElement("dt");
  term.className = `row${row}`;
  term.textContent = name;
  const definition = document.createElement("dd");
  definition.textContent = value;
  pair.append(term, definition);
  return pair;
}
