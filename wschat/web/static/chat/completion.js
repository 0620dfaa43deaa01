// What a line could go on with: commands at its beginning, names and rooms everywhere else. Which commands there are, the server says.

const ROOM_COMMAND = /^\/join\s+$/i;

/** The commands in the answer to `help`: a line for each, its form and what it does, with two blanks between. */
export function commandsIn(text) {
  return text
    .split("\n")
    .filter((line) => /^\/\w/.test(line))
    .map((line) => {
      const [form, help] = line.split(/ {2,}/);
      return { name: form.split(" ")[0], form, help };
    });
}

/**
 * What the word before the cursor may become: `{start, end, options}`, each option `{text, form, help}`.
 * @param {string} text the line
 * @param {number} cursor
 * @param {{commands: object[], names: string[], rooms: string[]}} known
 */
export function completionsOf(text, cursor, { commands, names, rooms }) {
  const before = text.slice(0, cursor);
  const start = before.search(/\S*$/);
  const word = before.slice(start);
  const found = { start, end: cursor, options: [] };
  if (start === 0 && /^\/(?!\/)/.test(word)) {
    found.options = commands
      .filter(({ name }) => name.startsWith(word.toLowerCase()))
      .map(({ name, form, help }) => ({ text: form === name ? name : `${name} `, form, help }));
    return found;
  }
  const prefix = word.replace(/^@/, "").toLowerCase();
  if (!prefix && word !== "@" && !before.startsWith("/")) return found;
  const isForRooms = ROOM_COMMAND.test(before.slice(0, start));
  const end = start === 0 ? ": " : " ";
  found.options = (isForRooms ? rooms : names)
    .filter((name) => name.toLowerCase().startsWith(prefix))
    .sort((one, other) => one.localeCompare(other))
    .map((name) => ({ text: name + end, form: name }));
  return found;
}
