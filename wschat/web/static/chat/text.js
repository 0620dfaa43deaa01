// From a text to nodes: links and mentions. Whatever is in a text, it stays text; only http and https become links.

import { make } from "./dom.js";

// Not in a link: blanks, quotes, and signs that turn the direction of writing, which could make it look like another one.
const LINK = /\bhttps?:\/\/[^\s<>"\u200e\u200f\u202a-\u202e\u2066-\u2069]+/giu;
const LONGEST_LINK = 2048;
const PUNCTUATION = ".,;:!?'’”»…*_~]}";
const WORD = "[\\p{L}\\p{M}\\p{N}_-]";

/** What finds a name in a text, as a word of its own. */
export function mentionOf(name) {
  return new RegExp(`(?<!${WORD}|\\.)@?${name.replaceAll(".", "\\.")}(?!${WORD})`, "giu");
}

/** The nodes of a text. `mention` finds what is to be marked, if anything is. */
export function nodesOf(text, mention) {
  const nodes = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const address = withoutPunctuation(found);
    if (!isLink(address)) continue;
    nodes.push(...marked(text.slice(done, index), mention), linkTo(address));
    done = index + address.length;
  }
  nodes.push(...marked(text.slice(done), mention));
  return nodes;
}

function marked(text, mention) {
  if (!mention || !text) return text ? [text] : [];
  const nodes = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(mention)) {
    nodes.push(text.slice(done, index), make("mark", "", found));
    done = index + found.length;
  }
  nodes.push(text.slice(done));
  return nodes;
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

function isLink(address) {
  return address.length <= LONGEST_LINK && /^https?:\/\/[^/]/i.test(address) && URL.canParse(address);
}

function linkTo(address) {
  const link = make("a", "", address);
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}
