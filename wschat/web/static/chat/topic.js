// The topic of the room that is shown, below its name.

import { byId } from "./dom.js";
import { nodesOf } from "./text.js";

/** @param {import("./room.js").Room} room */
export function showTopic({ topic }) {
  const text = topic?.text ?? "";
  const element = byId("topic");
  element.replaceChildren(...nodesOf(text));
  element.title = text; // all of it, where the line is too short
  element.hidden = text === "";
}
