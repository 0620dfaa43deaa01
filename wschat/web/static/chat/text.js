// From a text to nodes: links and mentions. Whatever is in a text, it stays text; only http and https become links.

import { make } from "./dom.js";

// Not in a link: blanks, quotes, and signs that turn the direction of writing, which could make it look like another one.
const LINK = /\bhttps?:\/\/[^\s<>"\u200e\u200f\u202a-\u202e\u2066-\u2069]+/giu;
const LONGEST_LINK = 2048;
const PUNCTUATION = ".,;:!?'’”»…*_~]}";
const WORD = "[\\p{L}\\p{M}\\p{N}_-]";

/** What finds a name in a text, as a word of its own. */
export function mentionOf(name) {
  return new RegExp(`(?<!${WORD}|\\.)@?${name.replaceAll(".", "\\.")}(?!\\.?${WORD})`, "giu");
}

/** A sentence of the page's own, as a template; what is filled in, if only into a list, keeps its direction of writing to itself. */
export function sentence(strings, ...fillings) {
  const nodes = fillings.flatMap((filling, place) => [...isolated(filling), strings[place + 1]]);
  return make("span", "", strings[0], ...nodes);
}

function isolated(filling) {
  if (!Array.isArray(filling)) return [make("bdi", "", `${filling}`)];
  return filling.flatMap((one, place) => [...(place ? [", "] : []), ...isolated(one)]);
}

/** The nodes of a text. `mention` finds what is to be marked, if anything is. */
export function nodesOf(text, mention) {
  return split(text, LINK, linkTo, (words) => (mention ? split(words, mention, (name) => make("mark", "", name)) : [words]));
}

/** The nodes that are made of what is found in a text, which may be less than that or nothing, and of what is between. */
function split(text, pattern, makeFound, makeOthers = (words) => [words]) {
  const nodes = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(pattern)) {
    const node = makeFound(found);
    if (!node) continue;
    nodes.push(...makeOthers(text.slice(done, index)), node);
    done = index + node.textContent.length;
  }
  return [...nodes, ...makeOthers(text.slice(done))];
}

function linkTo(found) {
  const address = withoutPunctuation(found);
  if (address.length > LONGEST_LINK || !URL.canParse(address)) return null;
  const { username, password } = new URL(address);
  if (username || password) return null; // which would only make it look like another one
  const link = make("a", "", address);
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

/** What stands after a link is not part of it, nor is a bracket that was opened before it. */
function withoutPunctuation(address) {
  let end = address.length;
  let surplus = address.split(")").length - address.split("(").length;
  for (; end > 0; end--) {
    const last = address[end - 1];
    if (last === ")" && surplus-- > 0) continue;
    if (!PUNCTUATION.includes(last)) break;
  }
  return address.slice(0, end);
}
