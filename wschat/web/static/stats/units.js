// How numbers are written, and where a scale of them ends.

const round = (digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits });
const whole = round(0);

/** A number with about three digits. */
function short(value) {
  return value < 10 ? round(2).format(value) : value < 100 ? round(1).format(value) : whole.format(value);
}

/** One decimal, where it says something. */
const tenths = (value) => (value < 10 ? round(1) : whole).format(value);

// `least` is the end of the lowest scale, and `steps` are the round numbers between two powers of `base`.
export const count = { format: (value) => whole.format(value), least: 5, steps: [1, 2, 5, 10], base: 10 };

export const rate = { ...count, format: (value) => `${tenths(value)}/s`, least: 1 };

export const share = { ...count, format: (value) => `${tenths(value * 100)} %`, least: 1 };

export const seconds = { ...count, format: (value) => (value < 1 ? `${short(value * 1000)} ms` : `${short(value)} s`) };

export const bytes = {
  format(value) {
    const power = Math.min(Math.floor(Math.log2(Math.max(value, 1)) / 10), 3);
    return `${short(value / 1024 ** power)} ${["B", "KiB", "MiB", "GiB"][power]}`;
  },
  least: 1024,
  steps: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
  base: 1024,
};

/** The round number that a scale up to this value ends with. */
export function roundUp(value, unit) {
  if (value <= unit.least) return unit.least;
  const power = unit.base ** Math.floor(Math.log(value) / Math.log(unit.base));
  return power * unit.steps.find((step) => step * power >= value * 0.999);
}
