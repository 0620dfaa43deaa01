// The page: asks for new samples again and again, and shows in all charts the time that one of them is pointed at.

import { isTokenGiven, takeToken } from "../chat/token.js";
import { Card, SPAN, timeOf } from "./card.js";
import { CARDS } from "./cards.js";

const PATIENCE = 5000; // milliseconds, once there has been an answer: until then somebody may be typing a password
const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
const status = document.getElementById("status");
const updated = document.getElementById("updated");
const token = takeToken(); // the chat page's, too
const cards = CARDS.map((spec) => new Card(spec, document.getElementById("card")));

let hasAnswered = false;
let samples = [];
let next = 0; // the number of the first sample that is not here yet
let seconds = 2; // from one sample to the next
let pointed = null; // the time that is pointed at

document.getElementById("cards").append(...cards.map((card) => card.element));

/** Ask for what is new, and again in a while unless it is not for us. */
async function poll() {
  let goesOn = true;
  try {
    goesOn = await ask();
  } catch {
    say("gone", "The server does not answer. Trying again");
  }
  if (goesOn) setTimeout(poll, seconds * 1000);
}

async function ask() {
  const response = await fetch(`stats/data?since=${next}`, {
    headers: token ? { Authorization: `Bearer ${token}` } : {},
    cache: "no-store",
    signal: hasAnswered ? AbortSignal.timeout(PATIENCE) : null,
  });
  if (response.status === 401 || response.status === 403) {
    const { text } = await response.json();
    const takesToken = response.headers.get("WWW-Authenticate")?.startsWith("Bearer");
    say("gone", takesToken ? `${text} Or add #token=… to the address.` : text);
    return false;
  }
  if (!response.ok) throw new Error(`${response.status}`);
  take(await response.json());
  hasAnswered = true;
  say("live", "Live");
  return true;
}

function take(data) {
  if (data.next < next) samples = [];
  ({ next, seconds } = data);
  samples.push(...data.samples);
  const last = samples.at(-1);
  if (!last) return;
  samples = samples.filter((sample) => sample.time > last.time - SPAN);
  updated.textContent = timeOf(last);
  for (const card of cards) card.draw({ samples, seconds, from: last.time - SPAN });
  point();
}

function say(state, text) {
  if (status.textContent !== text) status.textContent = text; // it is read aloud
  status.dataset.state = state;
  document.body.classList.toggle("stale", state !== "live");
}

/** The sample nearest to the time that is pointed at; null if none is. */
function nearest() {
  const distance = (index) => Math.abs(samples[index].time - pointed);
  return pointed === null ? null : [...samples.keys()].reduce((best, index) => (distance(index) < distance(best) ? index : best));
}

/** Point at a time; null is for now. */
function point(at = pointed) {
  pointed = at;
  if (!samples.length) return;
  for (const card of cards) card.point(nearest());
}

document.addEventListener("pointermove", (event) => {
  const box = event.target.closest?.(".chart")?.getBoundingClientRect();
  const at = box && samples.length ? samples.at(-1).time - SPAN * (1 - (event.clientX - box.left) / box.width) : null;
  if (at !== pointed) point(at);
});
document.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (step === undefined || !samples.length || !event.target.matches(".chart")) return;
  event.preventDefault();
  const last = samples.length - 1;
  point(samples[Math.min(Math.max((nearest() ?? last) + step, 0), last)].time);
});
document.addEventListener("focusout", () => point(null));
document.documentElement.addEventListener("pointerleave", () => point(null));
addEventListener("hashchange", () => isTokenGiven() && location.reload());
poll();
