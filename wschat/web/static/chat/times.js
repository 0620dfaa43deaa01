// Times in the user's language and time zone. All times are given in seconds since 1970.

import { make } from "./dom.js";

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/**
 * Return true if two times are on the same day.
 *
 * @param {number} one
 * @param {number} other
 */
export const isSameDay = (one, other) => new Date(one * 1000).toDateString() === new Date(other * 1000).toDateString();

/**
 * Return the time of day as an element.
 *
 * @param {number} seconds
 */
export const timeOf = (seconds) => timeElement(seconds, clock);

/**
 * Return the day as an element.
 *
 * @param {number} seconds
 */
export const dayOf = (seconds) => timeElement(seconds, calendar);

/**
 * @param {number} seconds
 * @param {Intl.DateTimeFormat} format
 */
function timeElement(seconds, format) {
  const element = make("time", "", format.format(seconds * 1000));
  element.dateTime = new Date(seconds * 1000).toISOString();
  element.title = full.format(seconds * 1000);
  return element;
}
