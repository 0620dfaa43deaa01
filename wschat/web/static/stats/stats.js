// The page: asks for new samples again and again, and shows in all charts the time that one of them is pointed at.

import { isTokenGiven, takeToken } from "../chat/token.js";
import { Card, SPAN, timeOf } from "./card.js";
import { CARDS } from "./cards.js";

const PATIENCE = 5000; // milliseconds
const status = document.getElementById("status");
const updated = document.getElementById("updated");
const token = takeToken(); // the chat page's, too
const cards = CARDS.map((spec) => new Card(spec, document.getElementById("card")));

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
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (response.status === 401 || response.status === 403) {
    const { text } = await response.json();
    const takesToken = response.headers.get("WWW-Authenticate")?.startsWith("Bearer");
    say("gone", takesToken ? `${text} Or add #token=… to the address.` : text);
    return false;
  }
  if (!response.ok) throw new Error(`${response.status}`);
  take(await response.json());
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

/** Show the sample nearest to the time that is pointed at. */
function point() {
  if (!samples.length) return;
  const distance = (index) => Math.abs(samples[index].time - pointed);
  const nearest = pointed === null ? null : [...samples.keys()].reduce((best, index) => (distance(index) < distance(best) ? index : best));
  for (const card of cards) card.point(nearest);
}

document.addEventListener("pointermove", (event) => {
  const box = event.target.closest?.(".chart")?.getBoundingClientRect();
  const before = pointed;
  pointed = box && samples.length ? samples.at(-1).time - SPAN * (1 - (event.clientX - box.left) / box.width) : null;
  if (pointed !== before) point();
});
document.documentElement.addEventListener("pointerleave", () => {
  pointed = null;
  point();
});
addEventListener("hashchange", () => isTokenGiven() && location.reload());
poll();
