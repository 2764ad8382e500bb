/** Medians and quartiles of samples. */

export interface Spread {
  readonly median: number;
  /** The lower and the upper quartile. */
  readonly lower: number;
  readonly upper: number;
  readonly samples: number;
}

/** Returns the median and the quartiles. All of them are `NaN` without samples. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.filter((value) => Number.isFinite(value)).toSorted((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    lower: quantile(sorted, 0.25),
    upper: quantile(sorted, 0.75),
    samples: sorted.length,
  };
}

export function medianOf(values: readonly number[]): number {
  return spreadOf(values).median;
}

/**
 * Interpolates between the two nearest samples, as R's and NumPy's default does.
 *
 * @param sorted in ascending order.
 * @param part `@range 0–1`
 */
export function quantile(sorted: readonly number[], part: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = part * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}
