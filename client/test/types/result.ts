import { createClient, isIdempotencyError } from "@oncekey/client";
import type {
  EarlierOperationExistsError,
  IdempotencyError,
  Operation,
  PendingOperation,
} from "@oncekey/client";
import { same } from "./same.ts";

const request = (input: string) => ({ path: "orders", json: input });

// `check` is there for certain with `statusCheck: true`, on the client or on the operation.
const looking = createClient({ statusCheck: true }).operation("looking", { request });
const plain = createClient().operation("plain", { request });
const own = createClient().operation("own", { request, statusCheck: true });
const off = createClient({ statusCheck: true }).operation("off", { request, statusCheck: false });
const [a, b, c, d] = await Promise.all([
  looking.run("a"),
  plain.run("a"),
  own.run("a"),
  off.run("a"),
]);
if (a.kind === "unknown") {
  const again = await a.check();
  if (again.kind === "unknown") await again.check();
  const resumed = await a.resume();
  if (resumed.kind === "unknown") await resumed.check();
}
if (b.kind === "unknown") {
  // @ts-expect-error -- nothing promises that the API can be asked
  await b.check();
  await b.check?.();
}
if (c.kind === "unknown") await c.check();
if (d.kind === "unknown") {
  // @ts-expect-error -- the operation has turned it off
  await d.check();
}
const ours = createClient({ server: "oncekey" }).operation("ours", { request });
const f = await ours.run("a");
if (f.kind === "unknown") await f.check();
const without = createClient({ server: "oncekey", statusCheck: false });
const g = await without.operation("without", { request }).run("a");
if (g.kind === "unknown") {
  // @ts-expect-error -- the client has turned it off
  await g.check();
}
const state = looking.observe("a").getState();
if (state.kind === "unknown") await state.result.check();
const typed = createClient({ statusCheck: true }).operation<string, number>("typed", { request });
const e = await typed.run("a");
if (e.kind === "unknown") await e.check();
// An operation with `check` does where one is asked for that may have none.
const asked: Operation<string, unknown> = looking;
void asked;

// An error is narrowed by its code.
if (b.kind === "rejected") {
  const { earlier, earlierResult, error } = b;
  same<typeof earlier, PendingOperation | undefined>(true);
  if (error.code === "earlier_operation_exists") {
    same<typeof error, EarlierOperationExistsError>(true);
    void error.original?.body;
  }
  if (b.error.code === "earlier_operation_exists") void b.error.original?.status;
  if (b.error.code === undefined) void b.error.status;
  if (earlierResult?.kind === "done") same<typeof earlierResult.value, unknown>(true);
  if (isIdempotencyError(b.error, "earlier_operation_exists")) void b.error.original;
}
if (b.kind === "unknown" && b.error.code === "idempotency_in_flight") {
  same<typeof b.error, IdempotencyError<"idempotency_in_flight">>(true);
}
