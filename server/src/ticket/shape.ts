/** Shapes of objects: the names of their members, sorted once for all objects that have the same ones. */

export interface Shape {
  readonly keys: readonly string[];
  /** Places in `keys`, in the order of the sorted names. */
  readonly order: readonly number[];
  /** The sorted names as JSON. */
  readonly names: string;
  /** Whether a name is a method's of streams or promises. */
  readonly isSuspect: boolean;
}

export const MAX_SHAPES = 256;

// Characters of the names of a shape that outlives its request.
const MAX_KEPT_NAMES = 1_024;

// Shapes of earlier requests by their first name: most requests of a process have one of a few shapes.
const shapes = new Map<string, Shape>();

/** Returns the shape of an object with these names, whose first is `first`. */
export function knownShape(first: string, keys: readonly string[]): Shape {
  const known = shapes.get(first);
  if (known !== undefined && isSame(known.keys, keys)) return known;
  const order = keys
    .map((_key, at) => at)
    .toSorted((one, other) => ((keys[one] ?? "") < (keys[other] ?? "") ? -1 : 1));
  const names = JSON.stringify(order.map((at) => keys[at]));
  const isSuspect = keys.includes("pipe") || keys.includes("then");
  const shape = { keys, order, names, isSuspect };
  // Long names are data of a caller, which this process must not keep.
  const isKept =
    names.length <= MAX_KEPT_NAMES && (known !== undefined || shapes.size < MAX_SHAPES);
  if (isKept) shapes.set(first, shape);
  return shape;
}

export function isSame(one: readonly string[], other: readonly string[]): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false;
  return true;
}
