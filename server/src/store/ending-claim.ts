/** The part of a claim that all kinds share: it ends once, and what waits for its end is called. */
import type { PoolClient } from "pg";
import type {
  Claim,
  ClaimEnd,
  Completion,
  Release,
  StepMemory,
  StoredResponse,
  Writes,
} from "./store.ts";

type Listener = (end: ClaimEnd) => void;

/** A claim without its end. */
export type Ends = Omit<Claim, "onEnd">;

export abstract class EndingClaim implements Claim {
  #listener: Listener | undefined;

  abstract readonly tx: PoolClient | undefined;
  abstract readonly attempt: number;
  abstract readonly signal: AbortSignal;
  abstract readonly steps: StepMemory | undefined;
  abstract readonly lastWrites: Claim["lastWrites"];
  protected abstract store(response: StoredResponse, writes: Writes): Promise<Completion>;
  protected abstract giveBack(how: Release): Promise<string | undefined>;

  onEnd(listener: Listener): void {
    const before = this.#listener;
    if (before === undefined) this.#listener = listener;
    else
      this.#listener = (end) => {
        before(end);
        listener(end);
      };
  }

  async complete(response: StoredResponse, writes: Writes): Promise<Completion> {
    const startedAt = performance.now();
    let end: ClaimEnd = { kind: "broken", how: undefined, startedAt };
    try {
      const completion = await this.store(response, writes);
      end = { kind: "completed", completion, response, startedAt };
      return completion;
    } finally {
      this.#listener?.(end);
    }
  }

  async release(how: Release): Promise<string | undefined> {
    const startedAt = performance.now();
    let kind: "released" | "broken" = "broken";
    try {
      const blocked = await this.giveBack(how);
      kind = "released";
      return blocked;
    } finally {
      this.#listener?.({ kind, how, startedAt });
    }
  }
}

/** Makes a claim of functions. */
export function endingClaim(ends: Ends): Claim {
  return new FunctionalClaim(ends);
}

class FunctionalClaim extends EndingClaim {
  readonly #ends: Ends;
  readonly tx: PoolClient | undefined;
  readonly attempt: number;
  readonly steps: StepMemory | undefined;
  readonly lastWrites: Claim["lastWrites"];

  constructor(ends: Ends) {
    super();
    this.#ends = ends;
    this.tx = ends.tx;
    this.attempt = ends.attempt;
    this.steps = ends.steps;
    this.lastWrites = ends.lastWrites;
  }

  get signal(): AbortSignal {
    return this.#ends.signal;
  }

  protected store(response: StoredResponse, writes: Writes): Promise<Completion> {
    return this.#ends.complete(response, writes);
  }

  protected giveBack(how: Release): Promise<string | undefined> {
    return this.#ends.release(how);
  }
}
