/** Chance that can be had again: the same seed gives the same run's plan. */
import { createHash } from "node:crypto";

export interface Random {
  /** Returns a number from 0 to below 1. */
  readonly next: () => number;
  /** A whole number from 0 to below `limit`. */
  readonly below: (limit: number) => number;
  readonly chance: (probability: number) => boolean;
  readonly pick: <Item>(items: readonly Item[]) => Item;
  readonly shuffled: <Item>(items: readonly Item[]) => Item[];
  /** Returns a UUID in the format of version 4. Does not change the results of the others. */
  readonly uuid: () => string;
}

/** mulberry32: 32 bits of state, good enough to choose with. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  let uuids = 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick<Item>(items: readonly Item[]): Item {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error("nothing to pick from");
      return item;
    },
    shuffled<Item>(items: readonly Item[]): Item[] {
      const keyed = items.map((item) => ({ item, rank: next() }));
      return keyed.toSorted((a, b) => a.rank - b.rank).map(({ item }) => item);
    },
    uuid() {
      uuids += 1;
      // Uses a digest: 32 bits of state are too few for unique keys.
      const hex = createHash("sha256").update(`${seed} ${uuids}`).digest("hex");
      const parts = [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`];
      return [...parts, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-");
    },
  };
}

/** Chance of its own for each purpose of a run: how often one draws, and when, changes nothing for another. */
export function createRandomFor(seed: number, purpose: string): Random {
  return createRandom(seedOf(seed, purpose));
}

export function seedOf(...words: readonly (string | number)[]): number {
  return createHash("sha256").update(JSON.stringify(words)).digest().readUInt32BE();
}
