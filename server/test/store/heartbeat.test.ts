import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { startHeartbeat } from "../../src/store/claims/heartbeat.ts";
import type { Heartbeat } from "../../src/store/claims/heartbeat.ts";
import { renewLease } from "../../src/store/claims/lease-claim.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { Store } from "../../src/store/store.ts";
import { claimed, createTicket } from "../support/store-contract.ts";
import { createWire } from "@oncekey/test-support/wire/wire";
import type { Wire } from "@oncekey/test-support/wire/wire";

const RETENTION_MS = 60_000;
const RETENTION = { retentionMs: RETENTION_MS, fenceMs: RETENTION_MS };
const TOO_LATE = "the lease could not be renewed in time";

describe("a lease of 30 s", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => void vi.useRealTimers());

  /**
   * Starts a heartbeat and records its events, each with its second. `answers` by beat: the number
   * of rows, no answer at all, or a row after 9 s. All further beats renew.
   */
  function start(answers: readonly (number | "silence" | "error" | "slow")[], askedAgoMs = 0) {
    const told: [second: number, what: string][] = [];
    const tell = (what: string): void => void told.push([performance.now() / 1_000, what]);
    let beats = 0;
    let heartbeat: Heartbeat | undefined;
    vi.advanceTimersByTime(askedAgoMs);
    heartbeat = startHeartbeat({
      durationMs: 30_000,
      askedAt: performance.now() - askedAgoMs,
      beat: async () => {
        const answer = answers[beats++] ?? 1;
        tell("sent");
        // As long as the store waits for an answer.
        if (answer === "silence") await new Promise((resolve) => setTimeout(resolve, 10_000));
        if (answer === "slow") await new Promise((resolve) => setTimeout(resolve, 9_000));
        if (answer === "slow") return 1;
        return typeof answer === "number" ? answer : undefined;
      },
      onBeat: (outcome, beatMs) => tell(`${outcome} after ${beatMs / 1_000}`),
      onLost: (why) => {
        tell(why);
        heartbeat?.stop();
      },
    });
    return told;
  }

  it("is renewed every 10 s", async () => {
    const told = start([]);
    await vi.advanceTimersByTimeAsync(35_000);
    expect(told).toEqual(
      [10, 20, 30].flatMap((second) => [
        [second, "sent"],
        [second, "renewed after 0"],
      ]),
    );
  });

  it("is renewed by the next beat, on time, if a beat stays unanswered", async () => {
    const told = start(["silence"]);
    await vi.advanceTimersByTimeAsync(39_000);
    expect(told).toEqual([
      [10, "sent"],
      [20, "sent"],
      [20, "renewed after 0"],
      [20, "unanswered after 10"],
      [30, "sent"],
      [30, "renewed after 0"],
    ]);
  });

  it("is known to be over at its end, whatever is still unanswered", async () => {
    const told = start(["error", "silence"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toEqual([
      [10, "sent"],
      [10, "unanswered after 0"],
      [20, "sent"],
      [30, "unanswered after 10"],
      [30, TOO_LATE],
    ]);
  });

  it("lasts 30 s from when a beat was sent, and not from when its answer arrived", async () => {
    const told = start(["slow", "error", "error", "error"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toContainEqual([19, "renewed after 9"]);
    expect(told.at(-1)).toEqual([40, TOO_LATE]);
  });

  it("has no timer left once it is stopped, whatever a beat under way answers", async () => {
    const heartbeat = startHeartbeat({
      durationMs: 30_000,
      askedAt: performance.now(),
      beat: () => new Promise((resolve) => void setTimeout(resolve, 5_000, 1)),
      onBeat: () => expect.unreachable(),
      onLost: () => expect.unreachable(),
    });
    await vi.advanceTimersByTimeAsync(11_000);
    heartbeat.stop();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("ends 30 s after it was asked for, however late the answer came", async () => {
    const told = start(["error", "error", "error"], 25_000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toEqual([
      [25, "sent"],
      [25, "unanswered after 0"],
      [30, TOO_LATE],
    ]);
  });
});

describe("a line that falls silent", () => {
  const database = withDatabase();

  async function withWire(
    durationMs: number,
    use: (store: Store, wire: Wire) => Promise<void>,
  ): Promise<void> {
    const url = new URL(database.url);
    const wire = await createWire({ host: url.hostname, port: Number(url.port) });
    url.host = `127.0.0.1:${wire.port}`;
    const relayed = database.pool({ connectionString: url.href });
    relayed.on("error", () => {});
    await use(createLeaseStore(createStoreParts(relayed, "oncekey"), durationMs), wire);
    await wire.close();
    await relayed.end();
  }

  it("under one beat costs no lease: the next beat goes over another", async () => {
    await withWire(6_000, async (store, wire) => {
      const ticket = createTicket();
      wire.onText("set lease_until = statement_timestamp() +", "silence");
      const claim = await claimed(store, ticket);
      const pool = database.pool();
      const other = createLeaseStore(createStoreParts(pool, "oncekey"), RETENTION_MS);
      const lease = async (): Promise<unknown> => {
        const of = "select lease_until::text from oncekey.records where key = $1";
        return (await pool.query(of, [ticket.key])).rows;
      };
      // A beat each 2 s. The first one arrives and gets no answer; after the third, the first lease is over.
      for (let beats = 0; beats < 3; beats += 1) {
        const before = await lease();
        await expect.poll(lease).not.toEqual(before);
      }
      expect((await other.begin(ticket, RETENTION)).kind).toBe("in-flight");
      expect(claim.signal.aborted).toBe(false);
      await claim.release("free");
    });
  });

  it("while a claim is asked for, until its lease is over, has it renewed before its handler starts", async () => {
    await withWire(3_000, async (store, wire) => {
      const ticket = createTicket();
      await store.lookup(ticket);
      const answerNow = wire.holdAfter(0);
      const claiming = claimed(store, ticket);
      await sleep(3_100);
      const askedFor = wire.statements();
      answerNow();
      const claim = await claiming;
      expect(claim.signal.aborted).toBe(false);
      expect(wire.statements()).toBeGreaterThan(askedFor);
      await claim.release("free");
    });
  });

  it("while a claim is asked for, until another has taken it over, leaves none: only the other runs", async () => {
    await withWire(300, async (store, wire) => {
      const ticket = createTicket();
      await store.lookup(ticket);
      const answerNow = wire.holdAfter(0);
      const claiming = store.begin(ticket, RETENTION);
      const other = createLeaseStore(createStoreParts(database.pool(), "oncekey"), RETENTION_MS);
      // Not before the first one has it.
      await expect.poll(async () => (await other.lookup(ticket)).kind).toBe("unknown");
      const taken = await other.begin(ticket, RETENTION);
      expect(taken.kind).toBe("crashed");
      answerNow();
      expect(await claiming).toEqual({ kind: "in-flight" });
      if (taken.kind === "crashed") await taken.claim.release("free");
    });
  });
});

describe("a lease that was given back because its handler failed", () => {
  const database = withDatabase();

  it("is not brought back by a beat that arrives only then", async () => {
    const parts = createStoreParts(database.pool(), "oncekey");
    const store = createLeaseStore(parts, RETENTION_MS);
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    const { rows } = await database
      .pool()
      .query<{ owner: string }>("select owner from oncekey.records where key = $1", [ticket.key]);
    const beat = () => renewLease(parts, ticket, rows[0]?.owner ?? "", RETENTION_MS);
    expect(await beat()).toEqual({ kind: "written", rows: 1 });
    await claim.release("failed");
    expect(await beat()).toEqual({ kind: "written", rows: 0 });
    const next = await store.begin(ticket, RETENTION);
    expect(next.kind).toBe("crashed");
    if (next.kind === "crashed") await next.claim.release("free");
  });
});
