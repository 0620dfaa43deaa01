// What a line could go on with: commands at its beginning, names and rooms everywhere else. Which commands there are, the server says.

import { compare } from "./order.js";

/** Whether a line is a command, and not a message (which actions are, too). */
export const isCommand = (line) => /^\/(?!\/|me\s)/i.test(line);

/** The commands in the answer to `help`: a line for each, its form and what it does, with two blanks between. */
export function commandsIn(text) {
  const lines = text.split("\n").filter((line) => /^\/\w/.test(line));
  return lines.map((line) => line.split(/ {2,}/)).map(([form, help]) => ({ name: form.split(" ")[0], form, help }));
}

/** What the word before the cursor may become: where it begins, and the options, each with its text, its form, perhaps some help. */
export function completionsOf(text, cursor, { commands, names, rooms }) {
  const before = text.slice(0, cursor);
  const start = before.search(/\S*$/);
  const word = before.slice(start).toLowerCase();
  if (start === 0 && /^\/(?!\/)/.test(word)) {
    const fitting = commands.filter(({ name }) => name.startsWith(word));
    return { start, options: fitting.map(({ name, form, help }) => ({ text: form === name ? name : `${name} `, form, help })) };
  }
  if (!word && !before.startsWith("/")) return { start, options: [] };
  const known = /^\/join\s+$/i.test(before.slice(0, start)) ? rooms : names;
  const at = word.startsWith("@") && !isCommand(text) ? "@" : "";
  const fitting = known.filter((name) => name.toLowerCase().startsWith(word.replace(/^@/, ""))).sort(compare);
  const end = start === 0 && !at ? ": " : " ";
  return { start, options: fitting.map((name) => ({ text: at + name + end, form: name })) };
}
