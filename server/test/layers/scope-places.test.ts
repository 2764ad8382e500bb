/** The places of each scope, before a store without a database. */
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fairStore } from "../../src/layers/fair-shares.ts";
import { endingClaim } from "../../src/store/ending-claim.ts";
import type { Ends } from "../../src/store/ending-claim.ts";
import type { BeginOutcome, Claim, LookupOutcome, Store, Ticket } from "../../src/store/store.ts";
import { createTicket, RETENTION } from "../support/store-contract.ts";

describe("the places of a scope", () => {
  const PATIENCE_MS = 1_000;

  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  // Never asked: its size and its patience are enough.
  const poolOf = (max: number, connectionTimeoutMillis = PATIENCE_MS): pg.Pool =>
    new pg.Pool({ max, connectionTimeoutMillis });

  /** A store without a database. It grants each claim, or gives the outcome that a test sets. */
  function createStub() {
    const asked: string[] = [];
    const claims: Claim[] = [];
    const claim = (): Claim => {
      const made = endingClaim({ release: async () => undefined } as unknown as Ends);
      claims.push(made);
      return made;
    };
    const told: {
      begin: () => Promise<BeginOutcome>;
      lookup: () => Promise<LookupOutcome>;
    } = {
      begin: async () => ({ kind: "claimed", claim: claim() }),
      lookup: async () => ({ kind: "absent" }),
    };
    const store: Store = {
      begin(ticket) {
        asked.push(`begin ${ticket.key}`);
        return told.begin();
      },
      lookup(ticket) {
        asked.push(`lookup ${ticket.key}`);
        return told.lookup();
      },
      async open(name) {
        asked.push(`open ${name}`);
        return { kind: "claimed", claim: claim() };
      },
    };
    return { store, told, asked, claims };
  }

  const of = (key: string, owner = "ann"): Ticket => ({ ...createTicket(), key, scope: owner });

  /** Returns the kind of an outcome, or that there is none yet. */
  async function now(outcome: Promise<{ readonly kind: string }>): Promise<string> {
    const waits = vi.advanceTimersByTimeAsync(0).then(() => ({ kind: "waits" }));
    return (await Promise.race([outcome, waits])).kind;
  }

  it("are counted only if the limit is below the pool's size", () => {
    const { store } = createStub();
    expect(fairStore(store, poolOf(4), 4)).toBe(store);
    expect(fairStore(store, poolOf(1))).toBe(store);
    expect(fairStore(store, poolOf(4), 3)).not.toBe(store);
  });

  it.each([
    [2, 1],
    [7, 1],
    [8, 2],
    [11, 2],
  ])("are a quarter of a pool of %i, at least one: %i", async (max, places) => {
    const shared = fairStore(createStub().store, poolOf(max));
    const begun = Array.from({ length: 4 }, (_, index) => shared.begin(of(`${index}`), RETENTION));
    const kinds = await Promise.all(begun.map(now));
    expect(kinds.filter((kind) => kind === "claimed")).toHaveLength(places);
  });

  it.each<LookupOutcome["kind"]>(["replay", "in-flight", "unavailable"])(
    "are not waited for if the look-up of a key above the limit is %s",
    async (kind) => {
      const { store, told, asked } = createStub();
      const shared = fairStore(store, poolOf(4), 1);
      await shared.begin(of("first"), RETENTION);
      told.lookup = async () => ({ kind }) as LookupOutcome;
      expect(await now(shared.begin(of("second"), RETENTION))).toBe(kind);
      expect(asked).toEqual(["begin first", "lookup second"]);
    },
  );

  it.each<LookupOutcome["kind"]>(["absent", "unknown"])(
    "are waited for if it is %s, until one is free",
    async (kind) => {
      const { store, told, asked, claims } = createStub();
      const shared = fairStore(store, poolOf(4), 1);
      await shared.begin(of("first"), RETENTION);
      told.lookup = async () => ({ kind }) as LookupOutcome;
      const second = shared.begin(of("second"), RETENTION);
      expect(await now(second)).toBe("waits");
      await claims[0]?.release("free");
      expect(await now(second)).toBe("claimed");
      expect(asked).toEqual(["begin first", "lookup second", "begin second"]);
    },
  );

  it("are waited for as long as for a connection, and a request that gave up leaves none taken", async () => {
    const { store, claims } = createStub();
    const shared = fairStore(store, poolOf(4), 1);
    await shared.begin(of("first"), RETENTION);
    const second = shared.begin(of("second"), RETENTION);
    await vi.advanceTimersByTimeAsync(PATIENCE_MS - 1);
    expect(await now(second)).toBe("waits");
    const third = shared.begin(of("third"), RETENTION);
    expect(await now(third)).toBe("waits");
    await vi.advanceTimersByTimeAsync(1);
    expect(await now(second)).toBe("busy");
    await claims[0]?.release("free");
    expect(await now(third)).toBe("claimed");
    expect(vi.getTimerCount()).toBe(0);
    await claims[1]?.release("free");
    expect(await now(shared.begin(of("fourth"), RETENTION))).toBe("claimed");
  });

  it("are waited for 5 s if the pool names no time, which pg takes for any time", async () => {
    const { store } = createStub();
    const shared = fairStore(store, poolOf(4, 0), 1);
    await shared.begin(of("first"), RETENTION);
    const second = shared.begin(of("second"), RETENTION);
    await vi.advanceTimersByTimeAsync(4_999);
    expect(await now(second)).toBe("waits");
    await vi.advanceTimersByTimeAsync(1);
    expect(await now(second)).toBe("busy");
  });

  it("stay taken when another request of the scope has given its own back", async () => {
    const { store, claims } = createStub();
    const shared = fairStore(store, poolOf(4), 2);
    await shared.begin(of("first"), RETENTION);
    await shared.begin(of("second"), RETENTION);
    await claims[0]?.release("free");
    expect(await now(shared.begin(of("third"), RETENTION))).toBe("claimed");
    expect(await now(shared.begin(of("fourth"), RETENTION))).toBe("waits");
  });

  it("are free again after a request that got no claim, or whose store threw", async () => {
    const { store, told } = createStub();
    const shared = fairStore(store, poolOf(4), 1);
    const { begin } = told;
    told.begin = async () => ({ kind: "conflict" });
    expect(await now(shared.begin(of("first"), RETENTION))).toBe("conflict");
    told.begin = () => Promise.reject(new Error("broken"));
    await expect(shared.begin(of("second"), RETENTION)).rejects.toThrow("broken");
    told.begin = begin;
    expect(await now(shared.begin(of("third"), RETENTION))).toBe("claimed");
  });

  it("are counted for look-ups apart from handlers", async () => {
    const { store, told } = createStub();
    const shared = fairStore(store, poolOf(4), 1);
    await shared.begin(of("first"), RETENTION);
    expect(await now(shared.lookup(of("first")))).toBe("absent");
    told.lookup = () => Promise.reject(new Error("broken"));
    await expect(shared.lookup(of("first"))).rejects.toThrow("broken");
    const found = Promise.withResolvers<LookupOutcome>();
    told.lookup = () => found.promise;
    const hanging = shared.lookup(of("first"));
    const late = shared.lookup(of("second"));
    await vi.advanceTimersByTimeAsync(PATIENCE_MS);
    const detail = "No database connection became free in time";
    expect(await late).toMatchObject({ kind: "unavailable", detail, cause: { message: detail } });
    found.resolve({ kind: "absent" });
    expect(await now(hanging)).toBe("absent");
  });

  it("are counted for requests without a key, unless their caller has no scope", async () => {
    const { store, asked } = createStub();
    const shared = fairStore(store, poolOf(4), 1);
    expect(await now(shared.open("ann"))).toBe("claimed");
    const second = shared.open("ann");
    expect(await now(second)).toBe("waits");
    for (const name of [undefined, undefined, "bob"])
      expect(await now(shared.open(name))).toBe("claimed");
    await vi.advanceTimersByTimeAsync(PATIENCE_MS);
    expect(await second).toEqual({ kind: "busy" });
    expect(asked).toEqual(["open ann", "open undefined", "open undefined", "open bob"]);
  });

  it("are those of a pool: each registration waits for the limit of its own", async () => {
    const { store, claims } = createStub();
    const pool = poolOf(8);
    const [one, two] = [fairStore(store, pool, 1), fairStore(store, pool, 2)];
    await two.begin(of("first"), RETENTION);
    await two.begin(of("second"), RETENTION);
    const waiting = one.begin(of("third"), RETENTION);
    expect(await now(waiting)).toBe("waits");
    await claims[0]?.release("free");
    expect(await now(waiting)).toBe("waits");
    await claims[1]?.release("free");
    expect(await now(waiting)).toBe("claimed");
    expect(await now(two.begin(of("fourth"), RETENTION))).toBe("claimed");
    expect(await now(fairStore(store, poolOf(8), 1).begin(of("fifth"), RETENTION))).toBe("claimed");
  });
});
