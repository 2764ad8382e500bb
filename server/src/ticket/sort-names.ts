/** An order for the names of a dictionary that does not depend on where they stand, and costs less than one by text. */

// The hashes are sorted by eleven bits at a time, which takes three rounds.
const DIGIT_BITS = 11;
const DIGITS = 2 ** DIGIT_BITS;
const LOW_BITS = DIGITS - 1;

/** Sorts by hash, and names with one hash by their text, whatever their places are. */
export function sortedByHash(keys: readonly string[]): string[] {
  const hashes = new Uint32Array(keys.length);
  for (let at = 0; at < keys.length; at += 1) hashes[at] = hashOf(keys[at] ?? "");
  const places = placesByNumber(hashes);
  const sorted: string[] = [];
  let from = 0;
  let before = -1;
  for (let at = 0; at < places.length; at += 1) {
    const place = places[at] ?? 0;
    const value = hashes[place] ?? 0;
    if (value !== before) {
      sortTail(sorted, from);
      from = sorted.length;
      before = value;
    }
    sorted.push(keys[place] ?? "");
  }
  sortTail(sorted, from);
  return sorted;
}

/** Returns the places of the numbers in ascending order: a radix sort, without a comparison. */
function placesByNumber(numbers: Uint32Array): Uint32Array {
  const length = numbers.length;
  let places = new Uint32Array(length);
  for (let at = 0; at < length; at += 1) places[at] = at;
  let sorted = new Uint32Array(length);
  const starts = new Uint32Array(DIGITS);
  for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
    starts.fill(0);
    for (let at = 0; at < length; at += 1) {
      const digit = ((numbers[at] ?? 0) >>> shift) & LOW_BITS;
      starts[digit] = (starts[digit] ?? 0) + 1;
    }
    let start = 0;
    for (let digit = 0; digit < DIGITS; digit += 1) {
      const count = starts[digit] ?? 0;
      starts[digit] = start;
      start += count;
    }
    for (let at = 0; at < length; at += 1) {
      const place = places[at] ?? 0;
      const digit = ((numbers[place] ?? 0) >>> shift) & LOW_BITS;
      const to = starts[digit] ?? 0;
      sorted[to] = place;
      starts[digit] = to + 1;
    }
    [places, sorted] = [sorted, places];
  }
  return places;
}

// Splices only what is to be sorted: the names with one hash are at the end.
function sortTail(sorted: string[], from: number): void {
  if (sorted.length - from > 1) for (const key of sorted.splice(from).toSorted()) sorted.push(key);
}

// FNV-1a over the end of a name, where names that are alike differ. 32 bits.
function hashOf(key: string): number {
  let value = key.length ^ 0x811c9dc5;
  for (let at = Math.max(0, key.length - 10); at < key.length; at += 1)
    value = Math.imul(value ^ key.charCodeAt(at), 0x01000193);
  return value >>> 0;
}
