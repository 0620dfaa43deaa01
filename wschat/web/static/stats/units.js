// Units: how the numbers of a card are written, and the round numbers at the top of its scale.

/**
 * @typedef {object} Unit
 * @property {(value: number) => string} format
 * @property {number} least the top of the lowest scale
 * @property {number[]} steps the round numbers between two powers of `base`
 * @property {number} base
 */

/** @param {number} digits */
const rounded = (digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits });
const whole = rounded(0);

/**
 * Return a number with about three digits.
 *
 * @param {number} value
 */
function threeDigits(value) {
  return (value < 10 ? rounded(2) : value < 100 ? rounded(1) : whole).format(value);
}

/**
 * Return a number below ten with one decimal, and others without.
 *
 * @param {number} value
 */
const tenths = (value) => (value < 10 ? rounded(1) : whole).format(value);

/** @type {Unit} */
export const count = { format: (value) => whole.format(value), least: 5, steps: [1, 2, 5, 10], base: 10 };

/** @type {Unit} */
export const rate = { ...count, format: (value) => `${tenths(value)}/s`, least: 1 };

/** @type {Unit} */
export const share = { ...count, format: (value) => `${tenths(value * 100)} %`, least: 1 };

/** @type {Unit} */
export const seconds = { ...count, format: (value) => (value < 1 ? `${threeDigits(value * 1000)} ms` : `${threeDigits(value)} s`) };

/** @type {Unit} */
export const bytes = {
  format(value) {
    const power = Math.min(Math.floor(Math.log2(Math.max(value, 1)) / 10), 3);
    return `${threeDigits(value / 1024 ** power)} ${["B", "KiB", "MiB", "GiB"][power]}`;
  },
  least: 1024,
  steps: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
  base: 1024,
};

/**
 * Return the round number at the top of a scale that shows this value.
 *
 * @param {number} value
 * @param {Unit} unit
 */
export function roundUp(value, unit) {
  if (value <= unit.least) return unit.least;
  const power = unit.base ** Math.floor(Math.log(value) / Math.log(unit.base));
  const step = unit.steps.find((one) => one * power >= value * 0.999) ?? unit.base;
  return power * step;
}
