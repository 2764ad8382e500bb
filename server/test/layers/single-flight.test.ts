import { describe, expect, it, test, vi } from "vitest";
import { createSingleFlight } from "../../src/layers/single-flight.ts";
import type { Waiting } from "../../src/layers/single-flight.ts";
import { endingClaim } from "../../src/store/ending-claim.ts";
import type { Ends } from "../../src/store/ending-claim.ts";
import type {
  BeginOutcome,
  Claim,
  Completion,
  LookupOutcome,
  Store,
  StoredRecord,
  Ticket,
} from "../../src/store/store.ts";

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

test("a lookup refuses other content under a key that runs in another process", async () => {
  const running = { kind: "in-flight", fingerprint: Buffer.from([1]) } as const;
  const { store, answer } = leftBehind();
  const flights = createSingleFlight({ ...store, lookup: async () => running }, () => {});
  const asked = async (): Promise<string[]> => {
    const policies = [waiting, { ...waiting, mismatch: "replay" } as const];
    const lookups = [1, 2].flatMap((content) =>
      policies.map((policy) => flights.lookup(ticket(content), policy)),
    );
    return (await Promise.all(lookups)).map(({ kind }) => kind);
  };
  const refused = ["in-flight", "in-flight", "conflict", "in-flight"];
  expect(await asked()).toEqual(refused);
  const other = flights.begin(ticket(0), waiting, () => {});
  expect(await asked(), "also beside a request that waits with the key").toEqual(refused);
  answer();
  expect(await other).toEqual({ kind: "conflict" });
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

const patient: Waiting = { ...waiting, inFlight: "wait" };
const reply = { status: 201, headers: [], body: Buffer.from("{}") };

function recordOf(content: number, lifetimeMs = 60_000): StoredRecord {
  const askedAt = performance.now();
  const fingerprint = Buffer.from([content]);
  return { fingerprint, response: reply, lifetimeMs, fenceMs: lifetimeMs, askedAt };
}

/** A claim whose completion ends like this. */
function claimThatIs(completion: Completion): Claim {
  const complete = async (): Promise<Completion> => completion;
  return endingClaim({ complete, release: async () => undefined } as unknown as Ends);
}

/** Flights over a store that gives these answers in order, the last one again and again. */
function createFlights(answers: readonly BeginOutcome[], found: LookupOutcome["kind"] = "absent") {
  let begun = 0;
  let looked = 0;
  const kept: StoredRecord[] = [];
  const store = {
    begin: async () => answers[Math.min((begun += 1), answers.length) - 1],
    lookup: async () => ((looked += 1), { kind: found, fingerprint: Buffer.from([1]) }),
  } as unknown as Store;
  const flights = createSingleFlight(store, (_ticket, record) => void kept.push(record));
  return { flights, kept, begun: () => begun, looked: () => looked };
}

const STORED: Completion = {
  kind: "stored",
  split: false,
  lifetimeMs: 60_000,
  fenceMs: 90_000,
  askedAt: 0,
};

describe("a request that waits for another of this process", () => {
  it("gets the record of the first, which is kept", async () => {
    const askedAt = performance.now();
    const claim = claimThatIs({ ...STORED, askedAt });
    const { flights, kept, begun } = createFlights([{ kind: "claimed", claim }]);
    await flights.begin(ticket(1), patient, () => {});
    const onWait = vi.fn();
    const second = flights.begin(ticket(1), patient, onWait);
    await claim.complete(reply, "keep");
    const record = {
      fingerprint: Buffer.from([1]),
      response: reply,
      lifetimeMs: 60_000,
      fenceMs: 90_000,
      askedAt,
    };
    expect(await second).toEqual({ kind: "replay", record });
    expect(kept).toEqual([record]);
    expect([begun(), onWait.mock.calls.length]).toEqual([1, 1]);
  });

  it("gets the record that another process had stored before the first", async () => {
    const record = recordOf(1);
    const claim = claimThatIs({ kind: "superseded", record });
    const { flights, kept } = createFlights([{ kind: "claimed", claim }]);
    await flights.begin(ticket(1), patient, () => {});
    const second = flights.begin(ticket(1), patient, () => {});
    await claim.complete(reply, "keep");
    expect(await second).toEqual({ kind: "replay", record });
    expect(kept).toEqual([record]);
  });

  it("gets the record that the first found stored", async () => {
    const record = recordOf(1);
    const { flights, kept, begun } = createFlights([{ kind: "replay", record }]);
    const both = [1, 2].map(() => flights.begin(ticket(1), patient, () => {}));
    expect(await Promise.all(both)).toEqual([
      { kind: "replay", record },
      { kind: "replay", record },
    ]);
    expect([kept, begun()]).toEqual([[record], 1]);
  });

  it.each<Completion>([
    { kind: "lost" },
    { kind: "unknown", cause: undefined },
    { kind: "rolled-back", cause: undefined },
  ])("is told that the first has failed if its completion is %j", async (completion) => {
    const claim = claimThatIs(completion);
    const { flights, kept } = createFlights([{ kind: "claimed", claim }]);
    await flights.begin(ticket(1), patient, () => {});
    const second = flights.begin(ticket(1), patient, () => {});
    await claim.complete(reply, "keep");
    expect(await second).toEqual({ kind: "in-flight", hasFailed: true });
    expect(kept).toEqual([]);
  });

  it("hears of it if the first gave its claim back", async () => {
    const claim = claimThatIs(STORED);
    const { flights } = createFlights([{ kind: "claimed", claim }]);
    await flights.begin(ticket(1), patient, () => {});
    const second = flights.begin(ticket(1), patient, () => {});
    await claim.release("free");
    expect(await second).toEqual({ kind: "in-flight", hasFailed: true });
  });

  it.each<BeginOutcome>([{ kind: "busy" }, { kind: "unavailable", detail: "down" }])(
    "asks a store no more that has answered %j",
    async (outcome) => {
      const { flights, begun } = createFlights([outcome]);
      const both = [1, 2].map(() => flights.begin(ticket(1), patient, () => {}));
      expect(await Promise.all(both)).toEqual([outcome, outcome]);
      expect(begun()).toBe(1);
    },
  );

  it.each<BeginOutcome>([{ kind: "in-flight" }, { kind: "conflict" }])(
    "asks the store itself if the first was told %j",
    async (outcome) => {
      const claim = claimThatIs(STORED);
      const { flights, begun } = createFlights([outcome, { kind: "claimed", claim }]);
      const first = flights.begin(ticket(1), waiting, () => {});
      const second = flights.begin(ticket(1), patient, () => {});
      expect(await first).toEqual(outcome);
      expect(await second).toEqual({ kind: "claimed", claim });
      expect(begun()).toBe(2);
    },
  );

  it("waits no longer than its time, and not at all if it refuses to wait", async () => {
    const claim = claimThatIs(STORED);
    const { flights, begun } = createFlights([{ kind: "claimed", claim }]);
    await flights.begin(ticket(1), patient, () => {});
    const onWait = vi.fn();
    expect(await flights.begin(ticket(1), waiting, onWait)).toEqual({ kind: "in-flight" });
    expect(onWait).not.toHaveBeenCalled();
    const short = { ...patient, waitMs: 5 };
    expect(await flights.begin(ticket(1), short, onWait)).toEqual({ kind: "in-flight" });
    expect([onWait.mock.calls.length, begun()]).toEqual([1, 1]);
  });

  it("has a flight of its own after its scope was forgotten, and after no other scope was", async () => {
    const claim = claimThatIs(STORED);
    const { flights, begun } = createFlights([{ kind: "claimed", claim }]);
    await flights.begin(ticket(1), patient, () => {});
    flights.forgetScope("ad");
    expect(await flights.begin(ticket(1), waiting, () => {})).toEqual({ kind: "in-flight" });
    flights.forgetScope("ada");
    expect(await flights.begin(ticket(1), waiting, () => {})).toMatchObject({ kind: "claimed" });
    expect(begun()).toBe(2);
  });
});

describe("a request whose key another process runs", () => {
  it("asks again until the key is free, and reports each wait", async () => {
    const claim = claimThatIs(STORED);
    const running: BeginOutcome = { kind: "in-flight" };
    const { flights, begun } = createFlights([running, running, { kind: "claimed", claim }]);
    const onWait = vi.fn();
    expect(await flights.begin(ticket(1), patient, onWait)).toEqual({ kind: "claimed", claim });
    expect([begun(), onWait.mock.calls.length]).toEqual([3, 2]);
  });

  it("asks again before its time is up, and once if it refuses to wait", async () => {
    const { flights, begun } = createFlights([{ kind: "in-flight" }]);
    const short = { ...patient, waitMs: 2 };
    expect(await flights.begin(ticket(1), short, () => {})).toEqual({ kind: "in-flight" });
    const before = begun();
    expect(before).toBeGreaterThanOrEqual(2);
    expect(await flights.begin(ticket(1), waiting, () => {})).toEqual({ kind: "in-flight" });
    expect(begun()).toBe(before + 1);
  });

  it.each<[string, Waiting["mismatch"], number | undefined, string]>([
    ["of other content is refused", "reject", 2, "conflict"],
    ["of the same content is in flight", "reject", 1, "in-flight"],
    ["of other content is in flight if the route replays", "replay", 2, "in-flight"],
    ["of unknown content is in flight", "reject", undefined, "in-flight"],
  ])("%s", async (_name, mismatch, content, kind) => {
    const fingerprint = content === undefined ? undefined : Buffer.from([content]);
    const { flights } = createFlights([{ kind: "in-flight", fingerprint }]);
    const outcome = await flights.begin(ticket(1), { ...waiting, mismatch }, () => {});
    expect(outcome.kind).toBe(kind);
  });
});

describe("a look-up", () => {
  it("asks the store, whose running request of other content is a conflict", async () => {
    const { flights, looked } = createFlights([], "in-flight");
    expect((await flights.lookup(ticket(1), waiting)).kind).toBe("in-flight");
    expect((await flights.lookup(ticket(2), waiting)).kind).toBe("conflict");
    expect((await flights.lookup(ticket(2), { ...waiting, mismatch: "replay" })).kind).toBe(
      "in-flight",
    );
    expect(looked()).toBe(3);
  });

  it("asks no store about a key that this process runs", async () => {
    const claim = claimThatIs(STORED);
    const { flights, looked } = createFlights([{ kind: "claimed", claim }]);
    await flights.begin(ticket(1), waiting, () => {});
    expect(await flights.lookup(ticket(1), waiting)).toEqual({ kind: "in-flight" });
    expect(await flights.lookup(ticket(2), { ...waiting, mismatch: "replay" })).toEqual({
      kind: "in-flight",
    });
    expect(looked()).toBe(0);
    await claim.release("free");
    expect((await flights.lookup(ticket(1), waiting)).kind).toBe("absent");
  });
});
