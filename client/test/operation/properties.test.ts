import { memoryStorage } from "@oncekey/client";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";

const faults = [
  "none",
  "lost on the way there",
  "lost on the way back",
  "cut off",
  "refused with 401",
  "unavailable",
  "rolled back",
  "still running",
] as const;
type Fault = (typeof faults)[number];

/** A server that keeps the contract, and a network in front of it that goes through a list of faults and then works. */
function createWorld(script: readonly Fault[]) {
  const stored = new Map<string, string>();
  const left = [...script];

  const fetch: typeof globalThis.fetch = async (input, init) => {
    const key = new Request(input, init).headers.get("idempotency-key") ?? "none";
    const fault = left.shift() ?? "none";
    if (fault === "lost on the way there") throw new TypeError("fetch failed");
    if (fault === "refused with 401") return answer(401, "{}", {});
    const echo = { "idempotency-key": key };
    if (fault === "unavailable") return answer(503, '{"code":"idempotency_unavailable"}', echo);
    if (fault === "rolled back") return answer(500, "{}", echo);
    if (fault === "still running") return answer(409, '{"code":"idempotency_in_flight"}', echo);
    const known = stored.get(key);
    const body = known ?? JSON.stringify({ id: stored.size + 1 });
    stored.set(key, body);
    if (fault === "lost on the way back") throw new TypeError("fetch failed");
    const response = answer(201, body, {
      ...echo,
      ...(known === undefined ? {} : { "idempotent-replayed": "true" }),
    });
    if (fault === "cut off")
      response.arrayBuffer = () => Promise.reject(new TypeError("terminated"));
    return response;
  };
  return { fetch, stored };
}

function answer(status: number, body: string, headers: Record<string, string>): Response {
  return new Response(body, {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

describe("whatever the network does", () => {
  it("an order that is run again until it is done has one effect, and its first answer", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...faults), { maxLength: 12 }),
        fc.array(fc.constantFrom("click twice", "reload", "resume and click"), { maxLength: 12 }),
        async (script, moves) => {
          const world = createWorld(script);
          const storage = memoryStorage();
          const { fetch } = world;
          const open = () =>
            createShop("https://shop.example/", { ky: { fetch }, storage, attempts: 2 });
          let shop = open();
          let result = await shop.order.run(cart);
          for (let turn = 0; result.kind !== "done" && turn < 30; turn += 1) {
            const move = moves[turn] ?? "click twice";
            if (move === "reload") shop = open();
            const { resume } = { resume: undefined, ...result };
            const resumed = move === "resume and click" ? resume?.() : undefined;
            const [first, second] = [shop.order.run(cart), shop.order.run({ ...cart })];
            expect(second, "a double click is one promise").toBe(first);
            expect(resumed ?? first, "so is a click on what is resumed").toBe(first);
            result = await first;
          }
          expect(result).toMatchObject({ kind: "done", value: { id: 1 } });
          expect(world.stored.size).toBe(1);
          expect(await shop.client.pending()).toEqual([]);
        },
      ),
      { numRuns: 100 },
    );
  }, 30_000);
});
