// The colours of names: a hue for each, constant while the page is open, and different from those of the other members.

const HUES = 24;
const DEGREES = 360 / HUES;
const MIN_DISTANCE = 3; // hues this far apart cannot be mistaken for each other

/** @type {Map<string, number>} by name */
const hues = new Map();
/** @type {Set<string>} */
let present = new Set();

/**
 * Set the members of the room that is shown.
 *
 * @param {Iterable<string>} names
 */
export function setPresent(names) {
  present = new Set(names);
}

/**
 * Return the hue of a name in degrees.
 *
 * @param {string} name
 */
export function hueOf(name) {
  const hue = hues.get(name) ?? chooseHue(name);
  hues.set(name, hue);
  return hue * DEGREES;
}

/**
 * Choose the hue of a new name. In order of importance: it is far from those of the members present; no other name has it; it is
 * near to the hash of the name, so that most people see a name in the same colour.
 *
 * @param {string} name
 */
function chooseHue(name) {
  const preferred = hash(name.toLowerCase()) % HUES;
  const here = [...hues].filter(([other]) => present.has(other)).map(([, hue]) => hue);
  const all = [...hues.values()];
  /** @param {number} hue */
  const rank = (hue) => {
    const unlike = Math.min(MIN_DISTANCE, nearest(hue, here));
    const free = Math.min(1, nearest(hue, all));
    return (unlike * 2 + free) * HUES - distance(hue, preferred);
  };
  const candidates = Array.from({ length: HUES }, (_, hue) => hue);
  return candidates.reduce((best, hue) => (rank(hue) > rank(best) ? hue : best));
}

/**
 * @param {number} hue
 * @param {number[]} others
 */
const nearest = (hue, others) => Math.min(HUES, ...others.map((other) => distance(hue, other)));

/**
 * @param {number} one
 * @param {number} other
 */
function distance(one, other) {
  const steps = Math.abs(one - other);
  return Math.min(steps, HUES - steps);
}

/** @param {string} text */
function hash(text) {
  let sum = 0;
  for (const character of text) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9973;
  return sum;
}
