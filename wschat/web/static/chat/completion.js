// Completion of the word before the cursor: commands at the beginning of a line, names and rooms everywhere else.

import { compareNames } from "./order.js";

/** @typedef {{text: string, form: string, help?: string}} Option what replaces the word, and how the option is shown */
/** @typedef {{commands: V1.Command[], names: string[], rooms: string[]}} Candidates */

/**
 * Return true if a line is a command. An action (`/me`) and a line that begins with `//` are messages.
 *
 * @param {string} line
 */
export const isCommand = (line) => /^\/(?!\/|me\s)/i.test(line);

/**
 * Return where the word before the cursor begins, and the options for it.
 *
 * @param {string} text
 * @param {number} cursor
 * @param {Candidates} candidates
 * @returns {{start: number, options: Option[]}}
 */
export function completionsOf(text, cursor, { commands, names, rooms }) {
  const before = text.slice(0, cursor);
  const start = before.search(/\S*$/);
  const word = before.slice(start).toLowerCase();
  if (start === 0 && /^\/(?!\/)/.test(word)) {
    return { start, options: commands.filter(({ name }) => `/${name}`.startsWith(word)).map(optionFor) };
  }
  if (!word && !before.startsWith("/")) return { start, options: [] };
  const known = /^\/join\s+$/i.test(before.slice(0, start)) ? rooms : names;
  const at = word.startsWith("@") && !isCommand(text) ? "@" : "";
  const fitting = known.filter((name) => name.toLowerCase().startsWith(word.replace(/^@/, ""))).sort(compareNames);
  const end = start === 0 && !at ? ": " : " ";
  return { start, options: fitting.map((name) => ({ text: at + name + end, form: name })) };
}

/**
 * @param {V1.Command} command
 * @returns {Option}
 */
function optionFor({ name, usage, help, moderator }) {
  const text = usage.includes(" ") ? `/${name} ` : `/${name}`;
  return { text, form: usage, help: moderator ? `${help} (moderators only)` : help };
}
