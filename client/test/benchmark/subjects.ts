/** The subjects of the comparison: one request with a JSON body, in each way to send it. Runs in Node and in a page. */
import ky from "ky";
import { createClient, memoryStorage, webStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { createIdempotentFetch } from "@oncekey/client/fetch";
import { createStorage } from "../support/storage.ts";

export const SUBJECTS = [
  "fetch",
  "ky",
  "createIdempotentFetch",
  "client.post",
  "run, memoryStorage",
  "run, webStorage",
] as const;

export type Subject = (typeof SUBJECTS)[number];

// In a page its own origin, as most APIs: `createIdempotentFetch` leaves others alone.
const ORIGIN = "document" in globalThis ? globalThis.location.origin : "https://shop.example";
const URL = `${ORIGIN}/orders`;
const BODY = {
  cart: "cart-1",
  lines: Array.from({ length: 20 }, (_, at) => ({ sku: `sku-${at}`, amount: 1 })),
};

/** Answers as a protected route does, without a network: the difference is the client's own. */
const answer: typeof fetch = async (input, init) => {
  const { headers } = new Request(input, init);
  const key = headers.get("idempotency-key");
  return Response.json(
    { id: 1 },
    { status: 201, headers: key === null ? {} : { "idempotency-key": key } },
  );
};

/** Returns the page's `localStorage`, with its locks and its channel; in Node one in memory, without either. */
function openStorage(): OperationStorage {
  return "document" in globalThis
    ? webStorage()
    : webStorage({ storage: createStorage(Number.POSITIVE_INFINITY) });
}

function createRun(storage: OperationStorage): () => Promise<unknown> {
  const client = createClient({ ky: { fetch: answer }, storage, rememberMs: 0 });
  const order = client.operation<typeof BODY>("order", {
    request: (json) => ({ path: URL, json }),
    instance: ({ cart }) => cart,
  });
  return () => order.run(BODY);
}

const wrapped = createIdempotentFetch({ fetch: answer });
const plain = createClient({ ky: { fetch: answer } });
const post = { method: "POST", headers: { "content-type": "application/json" } };

const CALLS: Readonly<Record<Subject, () => Promise<unknown>>> = {
  fetch: async () => (await answer(URL, { ...post, body: JSON.stringify(BODY) })).json(),
  ky: () => ky.post(URL, { json: BODY, fetch: answer, retry: 0 }).json(),
  createIdempotentFetch: async () =>
    (await wrapped(URL, { ...post, body: JSON.stringify(BODY) })).json(),
  "client.post": () => plain.post(URL, { json: BODY }).json(),
  "run, memoryStorage": createRun(memoryStorage()),
  "run, webStorage": createRun(openStorage()),
};

/** Calls a subject, one call after the other, and returns the mean of their times in µs. */
export async function call(subject: Subject, calls: number): Promise<number> {
  const startedAt = performance.now();
  for (let made = 0; made < calls; made += 1) await CALLS[subject]();
  return ((performance.now() - startedAt) / calls) * 1_000;
}
