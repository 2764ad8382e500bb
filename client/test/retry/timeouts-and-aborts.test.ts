import { isIdempotencyError } from "@oncekey/client";
import { http, HttpResponse } from "msw/http";
import { delay } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";

const BASE = "https://shop.example/api/";
const server = setupServer();
let requests = 0;

beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
beforeEach(() => {
  requests = 0;
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  server.resetHandlers();
});
afterAll(() => server.close());

function answer(...responses: ((request: Request) => Response | Promise<Response>)[]): void {
  server.use(
    http.post(`${BASE}orders`, async ({ request }) => {
      requests += 1;
      await request.text();
      return responses[Math.min(requests, responses.length) - 1]?.(request) ?? HttpResponse.error();
    }),
  );
}

const created = () =>
  HttpResponse.json({ id: 1 }, { status: 201, headers: { "idempotency-key": "echo" } });
const busy =
  (headers: Record<string, string> = {}) =>
  () =>
    HttpResponse.json({}, { status: 503, headers });

/** Measures, on the controlled clock, how long the promise takes to settle. */
async function settled<Value>(promise: Promise<Value>): Promise<{ value: Value; afterMs: number }> {
  const startedAt = Date.now();
  let isSettled = false;
  const finished = promise.finally(() => {
    isSettled = true;
  });
  while (!isSettled) await vi.advanceTimersByTimeAsync(50);
  return { value: await finished, afterMs: Date.now() - startedAt };
}

describe("between two attempts", () => {
  it.each([
    ["seconds", { "retry-after": "2" }, 2_000],
    ["a date", { "retry-after": "Thu, 01 Jan 2026 00:00:03 GMT" }, 3_000],
    ["milliseconds, which win", { "retry-after": "20", "retry-after-ms": "700" }, 700],
  ])("Retry-After is the floor: in %s", async (_name, headers, floorMs) => {
    vi.setSystemTime("2026-01-01T00:00:00Z");
    vi.spyOn(Math, "random").mockReturnValue(0);
    answer(busy(headers), created);
    const { value, afterMs } = await settled(createShop(BASE).order.run(cart));
    expect(value).toMatchObject({ kind: "done", attempts: 2 });
    expect(afterMs).toBeGreaterThanOrEqual(floorMs);
    expect(afterMs).toBeLessThan(floorMs + 200);
  });

  it("jitter comes on top of Retry-After: clients that failed together do not retry together", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    answer(busy({ "retry-after": "2" }), created);
    const { value, afterMs } = await settled(
      createShop(BASE, { backoff: { baseMs: 1_000, capMs: 3_000 } }).order.run(cart),
    );
    expect(value).toMatchObject({ kind: "done", attempts: 2 });
    expect(afterMs).toBeGreaterThanOrEqual(2_990);
  });

  it("jitter grows with the attempts where the server names no time", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    answer(busy(), busy(), busy(), created);
    const { value, afterMs } = await settled(
      createShop(BASE, { backoff: { baseMs: 1_000, capMs: 3_000 } }).order.run(cart),
    );
    expect(value).toMatchObject({ kind: "done", attempts: 4 });
    expect(afterMs).toBeGreaterThanOrEqual(5_990);
    expect(afterMs).toBeLessThan(6_300);
  });

  it("is no waiting past the deadline: unknown at once, with the time that the server named", async () => {
    vi.setSystemTime("2026-01-01T00:00:00Z");
    answer(busy({ "retry-after": "120" }));
    const { value, afterMs } = await settled(createShop(BASE).order.run(cart));
    expect(value).toMatchObject({
      kind: "unknown",
      attempts: 1,
      retryAt: new Date("2026-01-01T00:02:00Z"),
    });
    expect(afterMs).toBeLessThan(200);
  });

  it("the state of the instance is retrying", async () => {
    answer(busy({ "retry-after": "30" }), created);
    const { order } = createShop(BASE);
    const store = order.observe(cart);
    const run = order.run(cart);
    await vi.advanceTimersByTimeAsync(1_000);
    const retryAt = expect.any(Date);
    expect(store.getState()).toMatchObject({ kind: "retrying", attempt: 2, retryAt });
    expect((await settled(run)).value).toMatchObject({ kind: "done", attempts: 2 });
  });

  it("a device that slept past the deadline makes no further attempt", async () => {
    answer(busy(), created);
    const onWait = (): void => void vi.setSystemTime(Date.now() + 3_600_000);
    const { value } = await settled(createShop(BASE).order.run(cart, { onWait }));
    const message = "No final answer within 60000 ms; the outcome is unknown";
    expect(value).toMatchObject({ kind: "unknown", attempts: 1, error: { message } });
    expect(requests).toBe(1);
  });

  it("a Retry-After beyond every clock ends the run, without retryAt", async () => {
    answer(busy({ "retry-after": "9".repeat(30) }));
    const { value } = await settled(createShop(BASE).order.run(cart));
    expect(value).toMatchObject({ kind: "unknown", attempts: 1 });
    expect(value).not.toHaveProperty("retryAt");
  });

  it("polls of a first request that still runs use the deadline up, and not the attempts", async () => {
    const running = () =>
      HttpResponse.json(
        { code: "idempotency_in_flight" },
        { status: 409, headers: { "retry-after": "1" } },
      );
    answer(running);
    const { value, afterMs } = await settled(
      createShop(BASE, { attempts: 2, deadlineMs: 10_000 }).order.run(cart),
    );
    expect(value).toMatchObject({
      kind: "unknown",
      attempts: 0,
      error: { code: "outcome_unknown" },
    });
    expect(requests).toBeGreaterThan(5);
    expect(afterMs).toBeLessThanOrEqual(10_000);
  });

  it("the budget of the whole client ends an outage that attempts alone would multiply", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    answer(busy());
    const { order } = createShop(BASE, { retryBudget: 5, attempts: 4 });
    const runs = Array.from({ length: 6 }, (_, index) =>
      order.run({ ...cart, id: `cart-${index}` }),
    );
    const { value } = await settled(Promise.all(runs));
    expect(requests).toBe(6 + 5);
    expect(value.every(({ kind }) => kind === "unknown")).toBe(true);
    expect(
      value.some((result) => result.kind === "unknown" && result.error.message.includes("budget")),
    ).toBe(true);
  });
});

it("a success gives back the retry that an earlier outage took from the budget", async () => {
  answer(busy(), created, busy(), created);
  const { order } = createShop(BASE, { retryBudget: 1 });
  for (const id of ["first", "second"]) {
    const { value } = await settled(order.run({ ...cart, id }));
    expect(value).toMatchObject({ kind: "done", attempts: 2 });
  }
});

describe("one attempt", () => {
  it("ends by its own timeout, and the next one is made", async () => {
    answer(async () => (await delay("infinite"), created()), created);
    const { value, afterMs } = await settled(
      createShop(BASE, { attemptTimeoutMs: 3_000 }).order.run(cart),
    );
    expect(value).toMatchObject({ kind: "done", attempts: 2 });
    expect(afterMs).toBeGreaterThanOrEqual(3_000);
    expect(afterMs).toBeLessThan(3_300);
  });

  it("whose hook hangs was never sent: the error has the reason of the last one", async () => {
    const hang = (): Promise<void> => new Promise(() => {});
    const options = {
      attempts: 2,
      attemptTimeoutMs: 1_000,
      ky: { hooks: { beforeRequest: [hang] } },
    };
    const { value } = await settled(createShop(BASE, options).order.run(cart));
    const why = "No answer: no whole answer within 1000 ms";
    expect(value).toMatchObject({
      kind: "rejected",
      attempts: 2,
      error: {
        code: undefined,
        key: value.key,
        message: `No final answer after 2 attempts; nothing was sent: ${why}`,
        cause: { message: why },
      },
    });
    expect(requests).toBe(0);
  });

  it("whose hook throws ends the run: the next one would throw as well", async () => {
    const cause = new Error("signed out");
    const fail = (): never => {
      throw cause;
    };
    const { order } = createShop(BASE, { ky: { hooks: { beforeRequest: [fail] } } });
    const { value } = await settled(order.run(cart));
    const message = expect.stringMatching(/signed out; nothing was sent$/);
    expect(value).toMatchObject({ kind: "rejected", attempts: 1, error: { message, cause } });
    expect(requests).toBe(0);
  });

  it("is not sent after a sleep of the device during its hooks", async () => {
    vi.stubGlobal("location", new URL("https://page.example/"));
    const sleep = (): void => void vi.setSystemTime(Date.now() + 3_600_000);
    const { order, warnings } = createShop(BASE, { ky: { hooks: { beforeRequest: [sleep] } } });
    const { value } = await settled(order.run(cart));
    const message = "No final answer within 60000 ms; nothing was sent: No answer: too late";
    expect(value).toMatchObject({ kind: "rejected", error: { message } });
    // There is no warning about a preflight that was never sent.
    expect([requests, warnings]).toEqual([0, []]);
  });

  it("without an answer of another origin names its preflight, also for a plain call", async () => {
    vi.stubGlobal("location", new URL("https://page.example/"));
    answer(() => HttpResponse.error());
    const { client, warnings } = createShop(BASE, { attempts: 1 });
    const failed = client.post("orders").catch((error: unknown) => error);
    const { value } = await settled(failed);
    expect(value).toMatchObject({
      code: "outcome_unknown",
      cause: { message: expect.stringMatching(/^No answer: /), key: expect.any(String) },
    });
    expect(warnings.map(({ code }) => code)).toEqual(["cross_origin_failed"]);
  });

  it("ends with the deadline of the whole run", async () => {
    answer(async () => (await delay("infinite"), created()));
    const { value, afterMs } = await settled(
      createShop(BASE, { deadlineMs: 5_000 }).order.run(cart),
    );
    expect(value).toMatchObject({ kind: "unknown", attempts: 1 });
    expect(afterMs).toBeLessThan(5_300);
  });
});

describe("a signal", () => {
  it("that aborts before anything was sent: rejected, and nothing is sent or kept", async () => {
    const { order, client } = createShop(BASE);
    const reason = new Error("left the page");
    const { value } = await settled(order.run(cart, { signal: AbortSignal.abort(reason) }));
    expect(value).toMatchObject({
      kind: "rejected",
      attempts: 0,
      error: { key: value.key, message: "Stopped; nothing was sent", cause: reason },
    });
    expect([requests, await client.pending()]).toEqual([0, []]);
  });

  it.each([
    ["while a request is under way", async () => (await delay("infinite"), created())],
    ["while it waits for the next attempt", busy({ "retry-after": "30" })],
  ])(
    "that aborts %s: unknown at once, never cancelled, and the key is kept",
    async (_name, response) => {
      vi.stubGlobal("location", new URL("https://page.example/"));
      answer(response);
      const controller = new AbortController();
      const { order, client, warnings } = createShop(BASE);
      const run = order.run(cart, { signal: controller.signal });
      await vi.advanceTimersByTimeAsync(1_000);
      expect(requests).toBe(1);
      controller.abort();
      const { value, afterMs } = await settled(run);
      expect(value).toMatchObject({
        kind: "unknown",
        attempts: 1,
        error: {
          code: "outcome_unknown",
          nextAction: "resume",
          message: "Stopped; the outcome is unknown",
        },
      });
      expect(afterMs).toBeLessThanOrEqual(50);
      expect((await client.pending()).map(({ key }) => key)).toEqual([value.key]);
      expect(warnings).toEqual([]);
    },
  );

  it("that aborts after the answer changes nothing", async () => {
    answer(created);
    const controller = new AbortController();
    const run = createShop(BASE).order.run(cart, { signal: controller.signal });
    void run.then(() => controller.abort());
    expect((await settled(run)).value).toMatchObject({ kind: "done" });
  });
});

describe("an answer without the echoed key", () => {
  const plain = () => HttpResponse.json({ id: 1 }, { status: 201 });

  it("is reported, because the route may not be protected", async () => {
    answer(plain);
    const { order, warnings } = createShop(BASE);
    expect((await settled(order.run(cart))).value).toMatchObject({ kind: "done" });
    expect(warnings).toMatchObject([{ code: "unacknowledged" }]);
  });

  it("is no success under onUnacknowledged: 'refuse'", async () => {
    answer(plain);
    const { order, warnings } = createShop(BASE, { onUnacknowledged: "refuse" });
    const { value } = await settled(order.run(cart));
    expect(value).toMatchObject({ kind: "unknown", error: { status: 201 } });
    expect(value.kind === "unknown" && isIdempotencyError(value.error, "outcome_unknown")).toBe(
      true,
    );
    expect(warnings).toHaveLength(1);
  });

  const lost = () => HttpResponse.error();
  const gone = () => HttpResponse.json({ message: "no such route" }, { status: 404 });
  const refused = ({ headers }: Request) =>
    HttpResponse.json(
      {},
      { status: 404, headers: { "idempotency-key": headers.get("idempotency-key") ?? "" } },
    );

  it.each([
    ["is no refusal after a lost reply", "warn", lost, gone, "unknown"],
    ["is no refusal under 'refuse' after a lost reply", "refuse", lost, gone, "unknown"],
    ["is one where nothing was sent before", "refuse", gone, gone, "rejected"],
    ["is one where it has the key", "refuse", lost, refused, "rejected"],
  ] as const)("%s", async (_name, onUnacknowledged, first, second, kind) => {
    answer(first, second);
    const { client, order } = createShop(BASE, { onUnacknowledged });
    const { value } = await settled(order.run(cart));
    expect(value).toMatchObject({ kind, error: { status: 404 } });
    expect(await client.pending()).toHaveLength(kind === "unknown" ? 1 : 0);
  });
});
