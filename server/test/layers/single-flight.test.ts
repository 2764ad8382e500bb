import { expect, test } from "vitest";
import { createSingleFlight } from "../../src/layers/single-flight.ts";
import type { Waiting } from "../../src/layers/single-flight.ts";
import { endingClaim } from "../../src/store/ending-claim.ts";
import type { Ends } from "../../src/store/ending-claim.ts";
import type { BeginOutcome, Store, StoredRecord, Ticket } from "../../src/store/store.ts";

const ticket = (content: number): Ticket => ({
  key: "k1",
  scope: "ada",
  target: "POST /orders",
  fingerprint: Buffer.from([content]),
});
const waiting: Waiting = {
  inFlight: "reject",
  waitMs: 10_000,
  mismatch: "reject",
  retentionMs: 60_000,
  fenceMs: 60_000,
};

/** A store whose row was left behind by a request with content 1, and whose first answer is kept back until `answer` is called. */
function leftBehind(): { readonly store: Store; readonly answer: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const ends = { signal: new AbortController().signal, attempt: 2 } as unknown as Ends;
  const claim = endingClaim(ends);
  const outcomeFor = (asked: Ticket): BeginOutcome =>
    asked.fingerprint[0] === 1
      ? { kind: "crashed", claim }
      : { kind: "in-flight", fingerprint: Buffer.from([1]) };
  const store = {
    begin: async (asked: Ticket) => {
      await promise;
      return outcomeFor(asked);
    },
    lookup: async () => ({ kind: "unknown" }),
  } as unknown as Store;
  return { store, answer: resolve };
}

test("a request that only asks for a key is no reason to refuse the one whose key it is", async () => {
  const { store, answer } = leftBehind();
  const flights = createSingleFlight(store, () => {});
  const other = flights.begin(ticket(0), waiting, () => {});
  const owner = flights.begin(ticket(1), waiting, () => {});
  answer();
  expect(await other).toEqual({ kind: "conflict" });
  expect(await owner).toMatchObject({ kind: "crashed" });
});

test("a lookup by the key's owner returns unknown while another request waits with the key", async () => {
  const { store, answer } = leftBehind();
  const flights = createSingleFlight(store, () => {});
  const other = flights.begin(ticket(0), waiting, () => {});
  expect(await flights.lookup(ticket(1), waiting)).toEqual({ kind: "unknown" });
  answer();
  await other;
});

test("once the key is claimed, a request with other content is refused at once, whether it begins or asks", async () => {
  const { store, answer } = leftBehind();
  answer();
  const flights = createSingleFlight(store, () => {});
  expect(await flights.begin(ticket(1), waiting, () => {})).toMatchObject({ kind: "crashed" });
  expect(await flights.begin(ticket(0), waiting, () => {})).toEqual({ kind: "conflict" });
  expect(await flights.lookup(ticket(0), waiting)).toEqual({ kind: "conflict" });
});

test("what was over before a request came is not handed on to it", async () => {
  const { promise, resolve } = Promise.withResolvers<BeginOutcome>();
  const record = {
    fingerprint: Buffer.from([1]),
    response: { status: 201, headers: [], body: undefined },
    lifetimeMs: 1_000,
    fenceMs: 1_000,
    askedAt: performance.now(),
  };
  const answers = [
    promise,
    Promise.resolve({ kind: "claimed", claim: endingClaim({} as Ends) } as BeginOutcome),
  ];
  const store = { begin: () => answers.shift() } as unknown as Store;
  const flights = createSingleFlight(store, () => {});
  const patient: Waiting = { ...waiting, inFlight: "wait" };
  const first = flights.begin(ticket(1), patient, () => {});
  const second = flights.begin(ticket(1), patient, () => {});
  // Simulates a process that was suspended for longer than that, with the database's answer unread.
  resolve({ kind: "replay", record: { ...record, askedAt: record.askedAt - 1_000 } });
  expect(await first).toMatchObject({ kind: "replay" });
  expect(await second).toMatchObject({ kind: "claimed" });
});

test("a result from before its record was forgotten is neither kept nor handed to later requests", async () => {
  const { promise, resolve } = Promise.withResolvers<BeginOutcome>();
  const record = {
    fingerprint: Buffer.from([1]),
    response: { status: 201, headers: [], body: undefined },
    lifetimeMs: 60_000,
    fenceMs: 60_000,
    askedAt: performance.now(),
  };
  const answers = [
    promise,
    Promise.resolve({ kind: "claimed", claim: endingClaim({} as Ends) } as BeginOutcome),
  ];
  const store = { begin: () => answers.shift() } as unknown as Store;
  const kept: StoredRecord[] = [];
  const flights = createSingleFlight(store, (_ticket, one) => void kept.push(one));
  const patient: Waiting = { ...waiting, inFlight: "wait" };
  const first = flights.begin(ticket(1), patient, () => {});
  flights.forget(ticket(1));
  const second = flights.begin(ticket(1), patient, () => {});
  resolve({ kind: "replay", record });
  expect(await first).toMatchObject({ kind: "replay" });
  expect(await second).toMatchObject({ kind: "claimed" });
  expect(kept).toEqual([]);
});

test("after a store that threw, the next request with the key asks the store again", async () => {
  const answers = [
    Promise.reject(new Error("the store broke")),
    Promise.resolve({ kind: "claimed", claim: endingClaim({} as Ends) } as BeginOutcome),
  ];
  const store = { begin: () => answers.shift() } as unknown as Store;
  const flights = createSingleFlight(store, () => {});
  await expect(flights.begin(ticket(1), waiting, () => {})).rejects.toThrow("the store broke");
  expect(await flights.begin(ticket(1), waiting, () => {})).toMatchObject({ kind: "claimed" });
});

test.each(["complete", "release"] as const)(
  "after a %s that threw, the next request with the key asks the store again",
  async (how) => {
    const broken = (): Promise<never> => Promise.reject(new Error("the store broke"));
    const claimed = (): BeginOutcome => ({
      kind: "claimed",
      claim: endingClaim({ complete: broken, release: broken } as unknown as Ends),
    });
    const answers = [claimed(), claimed()];
    const store = { begin: async () => answers.shift() } as unknown as Store;
    const flights = createSingleFlight(store, () => {});
    const first = await flights.begin(ticket(1), waiting, () => {});
    if (first.kind !== "claimed") throw new Error("the first request has the claim");
    const response = { status: 201, headers: [], body: undefined };
    const ended =
      how === "complete" ? first.claim.complete(response, "keep") : first.claim.release("failed");
    await expect(ended).rejects.toThrow("the store broke");
    expect(await flights.begin(ticket(1), waiting, () => {})).toMatchObject({ kind: "claimed" });
  },
);
