// Times, given in seconds, for people: in their own language and time zone.

import { make } from "./dom.js";

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** Whether two times are on the same day. */
export const isSameDay = (one, other) => new Date(one * 1000).toDateString() === new Date(other * 1000).toDateString();

/** The time of day, as an element. */
export const timeOf = (seconds) => timed(seconds, clock);

/** The day, as an element. */
export const dayOf = (seconds) => timed(seconds, calendar);

function timed(seconds, format) {
  const element = make("time", "", format.format(seconds * 1000));
  element.dateTime = new Date(seconds * 1000).toISOString();
  element.title = whole.format(seconds * 1000);
  return element;
}
