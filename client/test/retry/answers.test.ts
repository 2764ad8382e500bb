/**
 * Interpretation of an answer: an answer settles an operation only if it can have come from the
 * application.
 */
import type { WaitEvent } from "@oncekey/client";
import { describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const HTML = { "content-type": "text/html; charset=utf-8" };
const JSON_TYPE = { "content-type": "application/json" };

const page: Reply = (response) =>
  response.writeHead(200, HTML).end("<!doctype html><h1>Log in</h1>");
const nameless: Reply = (response) => response.writeHead(200).end("\n <!DOCTYPE html><h1>Hi</h1>");
const to =
  (location: string, status = 302): Reply =>
  (response) =>
    response.writeHead(status, { location }).end();
/** An answer that does not echo the key. */
const bare =
  (status: number, body = "{}", headers: Record<string, string> = JSON_TYPE): Reply =>
  (response) =>
    response.writeHead(status, headers).end(body);

/** Runs an order, and returns what is known of it, with the keys that were sent and what is pending. */
async function run(replies: readonly Reply[], options: object = {}) {
  let known: { kind?: string; code?: string | undefined; keys?: number; pending?: number } = {};
  await withServer(replies, async ({ url, seen }) => {
    const { order, client, warnings } = createShop(url, options);
    const result = await order.run(cart);
    const keys = new Set(seen.flatMap(({ key }) => key ?? [])).size;
    const pending = (await client.pending()).length;
    const code = "error" in result ? result.error.code : undefined;
    known = Object.assign({ kind: result.kind, code, keys, pending }, { result, seen, warnings });
  });
  return known;
}

const UNEXPECTED = { kind: "unknown", code: "unexpected_answer", keys: 1, pending: 1 };

describe("a page in the place of JSON", () => {
  it.each<[string, readonly Reply[]]>([
    ["a captive portal", [page]],
    ["a page without a media type", [nameless]],
    ["a login page behind a redirect", [to("/login"), page]],
    ["a login page behind a redirect, after a lost reply", [reset, to("/login"), page]],
    [
      "a text behind a redirect",
      [to("/login"), bare(200, "Log in", { "content-type": "text/plain" })],
    ],
  ])("is no answer: %s", async (_name, replies) => {
    expect(await run(replies)).toMatchObject(UNEXPECTED);
    expect(await run(replies, { onUnacknowledged: "refuse" })).toMatchObject(UNEXPECTED);
  });

  it("is named in the error, with the text and the status", async () => {
    await withServer([page], async ({ url }) => {
      const result = await createShop(url).order.run(cart);
      expect(result).toMatchObject({
        kind: "unknown",
        error: {
          key: result.key,
          message: `Got a page instead of JSON: ${url}orders`,
          status: 200,
          problem: "<!doctype html><h1>Log in</h1>",
        },
      });
    });
  });

  it("that refuses is judged by its status, whatever text is on it", async () => {
    const lost = bare(404, "<html>No page, nor a replay of one", HTML);
    expect(await run([lost])).toMatchObject({ kind: "rejected", keys: 1, pending: 0 });
  });

  it("is one if the caller accepts pages", async () => {
    await withServer([page], async ({ url }) => {
      const response = createShop(url).client.post("orders", { headers: { accept: "text/html" } });
      expect(await response.text()).toContain("Log in");
    });
  });

  it("is one if it echoes the key", async () => {
    expect(await run([json(200, "x", HTML)])).toMatchObject({ kind: "done" });
  });
});

describe("a success", () => {
  it("behind a redirect is one in JSON", async () => {
    const known = await run([to("/receipt", 303), bare(200, '{"id":1}')]);
    expect(known).toMatchObject({ kind: "done", warnings: [] });
  });

  it("with the key echoed as a structured string warns of nothing", async () => {
    const quoted: Reply = (response, { key }) =>
      response.writeHead(201, { ...JSON_TYPE, "idempotency-key": `"${key}"` }).end("{}");
    const known = await run([quoted], { onUnacknowledged: "refuse" });
    expect(known).toMatchObject({ kind: "done", warnings: [] });
  });

  it("is marked as replayed by its header alone", async () => {
    const replay = json(201, { id: 1 }, { "idempotent-replayed": "true" });
    expect(await run([replay])).toMatchObject({ result: { kind: "done", replayed: true } });
  });

  it("whose response is no longer stored has its status and no value", async () => {
    const forgotten = problem(410, "idempotency_response_not_stored", {}, { originalStatus: 202 });
    const result = { value: undefined, stored: false, replayed: true, status: 202 };
    expect(await run([forgotten])).toMatchObject({ kind: "done", pending: 0, result });
  });

  it("that parseJson cannot parse is done without a value, and unknown without the echoed key", async () => {
    const cause = new Error("no such order");
    const parseJson = (): never => {
      throw cause;
    };
    const error = { code: "unexpected_answer", message: "A hook or parseJson threw", cause };
    const echoed = await run([done], { ky: { parseJson } });
    const result = { value: undefined, valueError: { ...error, status: 201 } };
    expect(echoed).toMatchObject({ kind: "done", pending: 0, result });
    const unechoed = await run([bare(201, '{"id":1}')], { ky: { parseJson } });
    expect(unechoed).toMatchObject({ ...UNEXPECTED, result: { error } });
  });

  it("without the echoed key warns once for each target", async () => {
    await withServer([bare(201, '{"id":1}')], async ({ url }) => {
      const { client, warnings } = createShop(url);
      await client.post("orders");
      await client.post("orders?again");
      await client.post("refunds");
      expect(warnings.map(({ code }) => code)).toEqual(["unacknowledged", "unacknowledged"]);
    });
  });

  it("without the echoed key is refused, or accepted without a warning, by option onUnacknowledged", async () => {
    const replies = [bare(201, '{"id":1}')];
    expect(await run(replies, { onUnacknowledged: "refuse" })).toMatchObject({ kind: "unknown" });
    const silent = await run(replies, { onUnacknowledged: "ignore" });
    expect(silent).toMatchObject({ kind: "done", warnings: [] });
    expect(await run(replies, { server: "oncekey" })).toMatchObject({ kind: "unknown" });
  });

  it.each<[string, Reply]>([
    ["with the echo", json(201, undefined)],
    ["without", bare(201)],
  ])("whose JSON is cut off on a closed connection is asked for again: %s", async (name, whole) => {
    const cutOff: Reply = (response, seen) => {
      const echo = name === "without" ? {} : { "idempotency-key": seen.key };
      response.writeHead(201, { ...JSON_TYPE, ...echo, connection: "close" }).end('{"id":');
    };
    expect(await run([cutOff, whole])).toMatchObject({ kind: "done", keys: 1 });
    const lost = await run([cutOff]);
    const error = { cause: { message: "A cut-off answer", status: 201, problem: '{"id":' } };
    expect(lost).toMatchObject({ kind: "unknown", keys: 1, pending: 1, result: { error } });
  });
});

describe("a 4xx after an attempt whose outcome is not known", () => {
  const gateway = [400, 404, 405, 407, 410, 412, 413, 414, 426, 431, 451, 501];

  it.each(gateway)("without the echoed key says nothing of it: %i", async (status) => {
    expect(await run([reset, bare(status)])).toMatchObject({
      kind: "unknown",
      keys: 1,
      pending: 1,
    });
  });

  it.each([402, 422])("declines in JSON, and not in HTML: %i", async (status) => {
    expect(await run([reset, bare(status)])).toMatchObject({ kind: "rejected", pending: 0 });
    const html = bare(status, "<html>", HTML);
    expect(await run([reset, html])).toMatchObject({ kind: "unknown", pending: 1 });
  });

  it.each([400, 402, 404, 422])("counts with the echoed key: %i", async (status) => {
    expect(await run([reset, json(status, {})])).toMatchObject({ kind: "rejected", pending: 0 });
  });

  it.each([401, 403, 404])("counts if it is a replay: %i", async (status) => {
    const replay = json(status, {}, { "idempotent-replayed": "true" });
    expect(await run([reset, replay])).toMatchObject({ kind: "rejected", pending: 0 });
  });

  it.each([402, 422])(
    "counts without it no more once the API has echoed one: %i",
    async (status) => {
      await withServer([done, reset, bare(status)], async ({ url }) => {
        const { order } = createShop(url);
        expect((await order.run({ ...cart, id: "before" })).kind).toBe("done");
        expect((await order.run(cart)).kind).toBe("unknown");
      });
      // Even in the same run.
      const known = await run([reset, json(503, {}), bare(status)]);
      expect(known).toMatchObject({ kind: "unknown", keys: 1 });
    },
  );

  it.each([402, 422])("does not count without it if echoes are required: %i", async (status) => {
    const known = await run([reset, bare(status)], { onUnacknowledged: "refuse" });
    expect(known).toMatchObject({ kind: "unknown", keys: 1, pending: 1 });
  });

  it.each([409, 423, 425, 429])("is polled, and then unknown: %i", async (status) => {
    const polled = await run([reset, bare(status), bare(status), done], { attempts: 2 });
    expect(polled).toMatchObject({ kind: "done", keys: 1 });
    const now = performance.now.bind(performance);
    let polls = 0;
    const onWait = ({ reason }: WaitEvent): void => {
      polls += Number(reason === "in-flight");
      // The deadline passes with the third poll.
      if (polls === 3) vi.spyOn(performance, "now").mockImplementation(() => now() + 60_000);
    };
    const ended = await run([reset, bare(status)], { attempts: 2, onWait });
    expect(ended).toMatchObject({ kind: "unknown", keys: 1, pending: 1 });
    expect(polls).toBe(3);
    vi.restoreAllMocks();
  });

  it("leaves a resumed operation as it was after a release that moved the route", async () => {
    await withServer([reset, bare(404), done], async ({ url, seen }) => {
      const { order, client } = createShop(url, { attempts: 1 });
      const { key } = await order.run(cart);
      const [pending] = await client.pending();
      expect(await pending?.resume()).toMatchObject({ kind: "unknown", key });
      expect(await order.run(cart)).toMatchObject({ kind: "done", key });
      expect(new Set(seen.map((one) => one.key)).size).toBe(1);
    });
  });
});

describe("a refusal that is about the key, in a text of its own,", () => {
  const locked = { message: "still processing" };
  const now = { "retry-after": "0" };

  it.each<[string, readonly Reply[], number]>([
    ["is polled if it names a time", [json(423, locked, now), json(423, locked, now)], 1],
    ["is polled after a lost reply", [reset, json(409, locked), json(423, locked)], 2],
    ["is retried if its status asks for that", [json(503, locked)], 2],
    ["is retried and not polled after 503, even if it names a time", [json(503, locked, now)], 2],
  ])("%s", async (_name, replies, attempts) => {
    const known = await run([...replies, done], { attempts: 2 });
    expect(known).toMatchObject({ kind: "done", keys: 1, result: { attempts } });
  });

  it("leaves the outcome unknown if it does neither", async () => {
    expect(await run([json(423, locked), done])).toMatchObject({ kind: "unknown", pending: 1 });
  });
});

describe("a first attempt", () => {
  it.each([400, 404, 405, 409, 410, 422, 423, 451])("is rejected by a final %i", async (status) => {
    expect(await run([bare(status)])).toMatchObject({ kind: "rejected", keys: 1, pending: 0 });
  });
});
