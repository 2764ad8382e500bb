/**
 * `bench:client`: what the client adds to a request, in microseconds. One process, an answer without a network, so that the difference is
 * the client's own; every round measures all subjects one after the other.
 */
import ky from "ky";
import { createClient, memoryStorage, webStorage } from "@oncekey/client";
import { createIdempotentFetch } from "@oncekey/client/fetch";

const ROUNDS = 15;
const CALLS = 200;

const URL = "https://shop.example/orders";
const BODY = {
  cart: "cart-1",
  lines: Array.from({ length: 20 }, (_, at) => ({ sku: `sku-${at}`, amount: 1 })),
};

/** Answers as a protected route does. */
const answer: typeof fetch = async (input, init) => {
  const { headers } = new Request(input, init);
  const key = headers.get("idempotency-key");
  return Response.json(
    { id: 1 },
    { status: 201, headers: key === null ? {} : { "idempotency-key": key } },
  );
};

/** `localStorage` as browsers have it, without its disk. */
function createStorage(): Storage {
  const items = new Map<string, string>();
  return {
    get length() {
      return items.size;
    },
    key: (index) => [...items.keys()][index] ?? null,
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
    clear: () => items.clear(),
  };
}

function createRun(storage = memoryStorage()): () => Promise<unknown> {
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

const SUBJECTS: readonly (readonly [name: string, call: () => Promise<unknown>])[] = [
  ["fetch", async () => (await answer(URL, { ...post, body: JSON.stringify(BODY) })).json()],
  ["ky", () => ky.post(URL, { json: BODY, fetch: answer, retry: 0 }).json()],
  [
    "createIdempotentFetch",
    async () => (await wrapped(URL, { ...post, body: JSON.stringify(BODY) })).json(),
  ],
  ["client.post", () => plain.post(URL, { json: BODY }).json()],
  ["run, memoryStorage", createRun()],
  ["run, webStorage", createRun(webStorage({ storage: createStorage() }))],
];

const times = new Map(SUBJECTS.map(([name]) => [name, [] as number[]]));
for (let round = -2; round < ROUNDS; round += 1) {
  for (const [name, call] of SUBJECTS) {
    const start = performance.now();
    for (let calls = 0; calls < CALLS; calls += 1) await call();
    // The first rounds warm up.
    if (round >= 0) times.get(name)?.push(((performance.now() - start) / CALLS) * 1_000);
  }
}

const median = (name: string): number => {
  const sorted = (times.get(name) ?? []).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
};
console.log(`Medians of ${ROUNDS} rounds of ${CALLS} calls, Node ${process.version}`);
for (const [name] of SUBJECTS) {
  const us = median(name);
  const ratios = ["fetch", "ky"].map((base) => `${(us / median(base)).toFixed(2)} × ${base}`);
  console.log(`${name.padEnd(22)} ${us.toFixed(0).padStart(6)} µs  ${ratios.join("  ")}`);
}
