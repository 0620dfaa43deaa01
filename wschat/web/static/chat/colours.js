// The colours of names: a hue for each, which stays as long as the page is open, and differs from those of the others in the room.

const HUES = 24;
const DEGREES = 360 / HUES;
const UNLIKE = 3; // hues that are so far from each other cannot be mistaken

const hues = new Map(); // by names
let present = new Set();

/** These people are in the room that is shown. */
export function meet(names) {
  present = new Set(names);
}

/** The hue of a name, in degrees. */
export function hueOf(name) {
  if (!hues.has(name)) hues.set(name, choose(name));
  return hues.get(name) * DEGREES;
}

/**
 * Choose the hue for a new name: far from those of the people in the room, then one that no other name has, then the nearest to the
 * one that the name alone would give, so that most people see a name in the same colour.
 */
function choose(name) {
  const wanted = hash(name.toLowerCase()) % HUES;
  const here = [...hues].filter(([other]) => present.has(other)).map(([, hue]) => hue);
  const all = [...hues.values()];
  const rank = (hue) => {
    const isUnlike = Math.min(UNLIKE, nearest(hue, here));
    const isFree = Math.min(1, nearest(hue, all));
    return (isUnlike * 2 + isFree) * HUES - distance(hue, wanted);
  };
  const candidates = Array.from({ length: HUES }, (_, hue) => hue);
  return candidates.reduce((best, hue) => (rank(hue) > rank(best) ? hue : best));
}

const nearest = (hue, others) => Math.min(HUES, ...others.map((other) => distance(hue, other)));

function distance(one, other) {
  const steps = Math.abs(one - other);
  return Math.min(steps, HUES - steps);
}

function hash(text) {
  let sum = 0;
  for (const character of text) sum = (sum * 31 + character.codePointAt(0)) % 9973;
  return sum;
}
