// Texts as DOM nodes: links and mentions are marked, and everything else stays text. Only http and https become links.

import { make } from "./dom.js";

// A link has no white space, quotes or direction marks; with the latter it could be displayed as another link.
const LINK = /\bhttps?:\/\/[^\s<>"\u200e\u200f\u202a-\u202e\u2066-\u2069]+/giu;
const MAX_LINK_LENGTH = 2048;
const PUNCTUATION = ".,;:!?'’”»…*_~]}";
const WORD = "[\\p{L}\\p{M}\\p{N}_-]";

/**
 * Return a pattern that finds a name in a text, as a word of its own.
 *
 * @param {string} name
 */
export function mentionPattern(name) {
  return new RegExp(`(?<!${WORD}|\\.)@?${name.replaceAll(".", "\\.")}(?!\\.?${WORD})`, "giu");
}

/**
 * Return an element with a sentence, as a template tag. Each value, and each item of a list, is isolated, so that its writing
 * direction does not affect the rest.
 *
 * @param {TemplateStringsArray} strings
 * @param {...(string | number | readonly string[])} values
 */
export function sentence(strings, ...values) {
  const nodes = values.flatMap((value, place) => [...isolated(value), strings[place + 1]]);
  return make("span", "", strings[0], ...nodes);
}

/**
 * @param {string | number | readonly string[]} value
 * @returns {(Node | string)[]}
 */
function isolated(value) {
  if (typeof value === "string" || typeof value === "number") return [make("bdi", "", `${value}`)];
  return value.flatMap((item, place) => [...(place ? [", "] : []), ...isolated(item)]);
}

/**
 * Return the nodes of a text.
 *
 * @param {string} text
 * @param {RegExp} [mention] finds what is marked as a mention
 */
export function nodesOf(text, mention) {
  /** @param {string} words */
  const markMentions = (words) => (mention ? split(words, mention, (name) => make("mark", "", name)) : [words]);
  return split(text, LINK, linkTo, markMentions);
}

/**
 * Split a text at the matches of a pattern. `makeNode` may return null, or use the beginning of a match only.
 *
 * @param {string} text
 * @param {RegExp} pattern
 * @param {(match: string) => HTMLElement | null} makeNode
 * @param {(between: string) => (Node | string)[]} [makeOthers]
 * @returns {(Node | string)[]}
 */
function split(text, pattern, makeNode, makeOthers = (between) => [between]) {
  const nodes = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(pattern)) {
    const node = makeNode(match);
    if (!node) continue;
    nodes.push(...makeOthers(text.slice(end, index)), node);
    end = index + (node.textContent ?? "").length;
  }
  return [...nodes, ...makeOthers(text.slice(end))];
}

/** @param {string} match */
function linkTo(match) {
  const address = withoutPunctuation(match);
  if (address.length > MAX_LINK_LENGTH || !URL.canParse(address)) return null;
  const { username, password } = new URL(address);
  if (username || password) return null; // these can make a link look as if it led to another host
  const link = make("a", "", address);
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

/**
 * Remove the punctuation after a link, and a closing bracket that was opened before it.
 *
 * @param {string} address
 */
function withoutPunctuation(address) {
  let end = address.length;
  let unmatched = address.split(")").length - address.split("(").length;
  for (; end > 0; end--) {
    const last = address[end - 1];
    if (last === ")" && unmatched-- > 0) continue;
    if (!PUNCTUATION.includes(last)) break;
  }
  return address.slice(0, end);
}
