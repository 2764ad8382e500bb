/** The story of the demo: each fault once, with Oncekey and by hand, against the same servers and database. */
import type { Fault } from "../fault-proxy/fault.ts";
import { createAttemptFetch } from "./attempts.ts";
import type { Attempt } from "./attempts.ts";
import type { Checkout } from "../shop/checkout.ts";
import { payByHand } from "./pay-by-hand.ts";
import { createOncekeyShop } from "./pay-with-oncekey.ts";
import type { Via } from "../shop/wire.ts";

/** One fault and what became of one payment under it, each way. */
export interface Row {
  readonly title: string;
  readonly oncekey: Told;
  readonly byHand: Told;
}

/** Actions of one client and their result. */
export interface Told {
  /** Whether the client ended up with a receipt. */
  readonly isPaid: boolean;
  readonly attempts: number;
  /** Different keys over all attempts. */
  readonly keys: number;
  /** Rows in the database. */
  readonly charges: number;
}

const CHAPTERS: readonly { readonly title: string; readonly faults: readonly Fault[] }[] = [
  { title: "Nothing goes wrong", faults: [] },
  { title: "The reply is dropped", faults: [{ kind: "drop-reply" }] },
  { title: "The body is cut half-way", faults: [{ kind: "cut-body" }] },
  { title: "The reply is delayed", faults: [{ kind: "delay" }] },
  { title: "The gateway answers 503", faults: [{ kind: "answer-503" }] },
  { title: "The server is killed mid-payment", faults: [{ kind: "kill-server", afterMs: 75 }] },
  { title: "The server is killed, having paid", faults: [{ kind: "kill-server" }] },
];
const TIMEOUT_MS = 2_500;
const AMOUNT_CENTS = 47_00;

/** Plays every chapter, one after the other. Calls `onRow` at the end of each. */
export async function tellStory(checkout: Checkout, onRow: (row: Row) => void): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { title, faults } of CHAPTERS) {
    const row: Row = {
      title,
      oncekey: await tell(checkout, faults, "oncekey"),
      byHand: await tell(checkout, faults, "plain"),
    };
    rows.push(row);
    onRow(row);
  }
  return rows;
}

/** Whether a row keeps the demo's promise: one key, one charge, and the client knows it. */
export function isOnce({ oncekey }: Row): boolean {
  return oncekey.isPaid && oncekey.keys === 1 && oncekey.charges === 1;
}

async function tell(checkout: Checkout, faults: readonly Fault[], via: Via): Promise<Told> {
  await checkout.ready();
  const shopper = crypto.randomUUID();
  const attempts: Attempt[] = [];
  const ahead = [...faults];
  const options = {
    baseUrl: `${checkout.origin}/api/`,
    timeoutMs: TIMEOUT_MS,
    fetch: createAttemptFetch({
      headers: { cookie: `shopper=${shopper}` },
      nextFault: () => ahead.shift(),
      record(attempt) {
        attempts.push(attempt);
        return () => undefined;
      },
    }),
  };
  const order = { cart: crypto.randomUUID(), amountCents: AMOUNT_CENTS };
  const result =
    via === "oncekey"
      ? await createOncekeyShop(options).placeOrder.run(order)
      : await payByHand(order, options);
  // A server that is still at work on an attempt that the client gave up on may yet commit a charge.
  await checkout.ready();
  const counts = await checkout.countCharges(shopper);
  return {
    isPaid: result.kind === "done" || result.kind === "paid",
    attempts: attempts.length,
    keys: new Set(attempts.map(({ key }) => key).filter(Boolean)).size,
    charges: counts.reduce((sum, { charges }) => sum + charges, 0),
  };
}
