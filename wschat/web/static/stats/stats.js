// The dashboard: fetches new samples every few seconds, and shows in all charts the values at the time that the user points at.

import { byId } from "../chat/dom.js";
import { hasTokenInAddress, loadToken } from "../chat/token.js";
import { Card, SPAN, timeOf } from "./card.js";
import { CARDS } from "./cards.js";

const TIMEOUT_MS = 5000; // after the first response; before it, the user may be typing a password
/** @type {Record<string, number>} */
const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
const status = byId("status");
const updated = byId("updated");
const token = loadToken(); // shared with the chat page
const cards = CARDS.map((spec) => new Card(spec, byId("card", HTMLTemplateElement)));

let hasResponse = false;
/** @type {Stats.Sample[]} */
let samples = [];
let next = 0; // the number of the first sample that is not here yet
let seconds = 2; // from one sample to the next
/** @type {number | null} in seconds since 1970 */
let pointedTime = null;

byId("cards").append(...cards.map((card) => card.element));

/** Fetch new samples, and again after a while unless the user has no access. */
async function poll() {
  let goesOn = true;
  try {
    goesOn = await fetchSamples();
  } catch {
    showStatus("gone", "The server does not respond. Trying again …");
  }
  if (goesOn) setTimeout(poll, seconds * 1000);
}

/** Return false if the user has no access. */
async function fetchSamples() {
  const response = await fetch(`stats/data?since=${next}`, {
    headers: token ? { Authorization: `Bearer ${token}` } : {},
    cache: "no-store",
    signal: hasResponse ? AbortSignal.timeout(TIMEOUT_MS) : null,
  });
  if (response.status === 401 || response.status === 403) {
    const { text } = await response.json();
    const takesToken = response.headers.get("WWW-Authenticate")?.startsWith("Bearer");
    showStatus("gone", takesToken ? `${text} Or add #token=… to the address.` : text);
    return false;
  }
  if (!response.ok) throw new Error(`${response.status}`);
  addSamples(await response.json());
  hasResponse = true;
  showStatus("live", "Live");
  return true;
}

/** @param {Stats.Data} data */
function addSamples(data) {
  if (data.next < next) samples = [];
  ({ next, seconds } = data);
  samples.push(...data.samples);
  const last = samples.at(-1);
  if (!last) return;
  samples = samples.filter((sample) => sample.time > last.time - SPAN);
  updated.textContent = timeOf(last);
  for (const card of cards) card.draw({ samples, seconds, from: last.time - SPAN });
  pointAt(pointedTime);
}

/**
 * @param {"live" | "gone"} state
 * @param {string} text
 */
function showStatus(state, text) {
  if (status.textContent !== text) status.textContent = text; // screen readers announce each change
  status.dataset.state = state;
  document.body.classList.toggle("stale", state !== "live");
}

/** Return the index of the sample nearest to the time that the user points at, or null. */
function pointedIndex() {
  const time = pointedTime;
  if (time === null) return null;
  /** @param {number} index */
  const distance = (index) => Math.abs(samples[index].time - time);
  return [...samples.keys()].reduce((best, index) => (distance(index) < distance(best) ? index : best));
}

/**
 * Show the values at a time; null for the current ones.
 *
 * @param {number | null} time
 */
function pointAt(time) {
  pointedTime = time;
  if (!samples.length) return;
  for (const card of cards) card.showValues(pointedIndex());
}

document.addEventListener("pointermove", ({ target, clientX }) => {
  const box = target instanceof Element ? target.closest(".chart")?.getBoundingClientRect() : undefined;
  const last = samples.at(-1);
  const time = box && last ? last.time - SPAN * (1 - (clientX - box.left) / box.width) : null;
  if (time !== pointedTime) pointAt(time);
});
document.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (step === undefined || !samples.length || !(event.target instanceof Element && event.target.matches(".chart"))) return;
  event.preventDefault();
  const last = samples.length - 1;
  pointAt(samples[Math.min(Math.max((pointedIndex() ?? last) + step, 0), last)].time);
});
document.addEventListener("focusout", () => pointAt(null));
document.documentElement.addEventListener("pointerleave", () => pointAt(null));
addEventListener("hashchange", () => hasTokenInAddress() && location.reload());
poll();
