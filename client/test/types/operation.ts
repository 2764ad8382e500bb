import { createClient } from "@oncekey/client";
import type { RequestSpec, UnexpectedAnswerError } from "@oncekey/client";
import { z } from "zod";
import { same } from "./same.ts";

interface Cart {
  readonly id: string;
  readonly lines: readonly string[];
}
interface Order {
  readonly id: number;
}
declare const cart: Cart;
const shop = createClient();

// The value, from the schema.
const checked = shop.operation("checked", {
  request: ({ lines }: Cart) => ({ path: "orders", json: { lines } }),
  instance: ({ id }) => id,
  response: z.object({ id: z.number(), at: z.string().transform((text) => new Date(text)) }),
});
const done = await checked.run(cart);
if (done.kind === "done") {
  if (done.valueError) {
    same<typeof done.value, undefined>(true);
    same<typeof done.valueError, UnexpectedAnswerError>(true);
  } else {
    same<typeof done.value, { id: number; at: Date }>(true);
  }
  // @ts-expect-error -- the answer may not match the schema
  void done.value.id;
}
same<Awaited<ReturnType<typeof checked.run.orThrow>>, { id: number; at: Date }>(true);
shop.operation<Cart, { id: string }>("other", {
  request: () => ({ path: "orders" }),
  // @ts-expect-error -- the schema decides the value
  response: z.object({ id: z.number() }),
});

// The value, from a type argument: an answer may have no body.
const typed = shop.operation<Cart, Order>("typed", {
  request: ({ lines }) => ({ path: "orders", json: { lines } }),
});
same<Awaited<ReturnType<typeof typed.run.orThrow>>, Order | undefined>(true);
const result = await typed.run(cart);
if (result.kind === "done") same<typeof result.value, Order | undefined>(true);
// @ts-expect-error -- the input is a cart
void typed.run({ id: 1 });
// @ts-expect-error -- there is no input
void typed.run();

// The value, from nothing.
const untyped = shop.operation("untyped", { request: (_cart: Cart) => ({ path: "orders" }) });
same<Awaited<ReturnType<typeof untyped.run.orThrow>>, unknown>(true);

// An operation without input.
const ping = shop.operation("ping", { request: () => ({ path: "ping" }) });
void ping.run();
void ping.run.orThrow();
void ping.run(undefined, { signal: AbortSignal.timeout(1) });
void ping.observe().getState();

// A misspelt member of the request.
shop.operation("misspelt", {
  // @ts-expect-error -- jsno
  request: (input: Cart) => ({ path: "orders", jsno: input }),
});
shop.operation("misspelt beside a schema", {
  // @ts-expect-error -- jsno
  request: (input: Cart) => ({ path: "orders", jsno: input }),
  response: z.object({ id: z.number() }),
});
// @ts-expect-error -- the path is missing
shop.operation("incomplete", { request: () => ({ json: 1 }) });
// @ts-expect-error -- responce
shop.operation("misspelt option", { request: () => ({ path: "orders" }), responce: z.string() });

// A method in a variable, and in an object whose type is inferred.
const method = "PUT";
shop.operation("method", { request: () => ({ method, path: "orders/1" }) });
const spec = { method: "PUT", path: "orders/1" };
shop.operation("inferred method", { request: () => spec });
shop.operation<Cart, Order>("inferred, typed", { request: () => spec });
const pay = (input: Cart) => ({ method: "PATCH", path: `orders/${input.id}`, json: input });
shop.operation("function", { request: pay });
// @ts-expect-error -- GET carries no key
shop.operation("get", { request: () => ({ method: "GET", path: "orders" }) });

// Members that may be undefined, under exactOptionalPropertyTypes.
declare const maybe: {
  readonly signal: AbortSignal | undefined;
  readonly headers: Record<string, string> | undefined;
  readonly identity: ((input: Cart) => unknown) | undefined;
  readonly attempts: number | undefined;
};
const { signal, headers, identity, attempts } = maybe;
void typed.run(cart, { signal });
void shop.post("orders", { signal, headers, json: cart });
shop.operation("maybe", {
  request: (_cart: Cart) => ({ path: "orders", headers }),
  identity,
  attempts,
});
const request: RequestSpec = { path: "orders", method: undefined, headers };
void request;
