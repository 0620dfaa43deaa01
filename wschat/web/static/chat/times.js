// Times for people, in their own language and time zone.

import { make } from "./dom.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** Whether two times, in seconds, are on the same day. */
export const isSameDay = (one, other) => new Date(one * 1000).toDateString() === new Date(other * 1000).toDateString();

/** The time of day, as an element. */
export function timeOf(seconds) {
  const element = timed(seconds, clock.format(seconds * 1000));
  element.title = whole.format(seconds * 1000);
  return element;
}

/** The day, as an element. */
export const dayOf = (seconds) => timed(seconds, calendar.format(seconds * 1000));

function timed(seconds, text) {
  const element = make("time", "", text);
  element.dateTime = new Date(seconds * 1000).toISOString();
  return element;
}
