/** For fault tests: two shop servers behind the fault proxy, and plain requests to them. */
import { afterAll, beforeAll } from "vitest";
import { startCheckout } from "../shop/checkout.ts";
import type { Checkout } from "../shop/checkout.ts";
import { post as send } from "../shop/request.ts";
import type { Answer } from "../shop/request.ts";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { FAULT_HEADER, formatFault, SERVER_HEADER } from "../fault-proxy/fault.ts";
import type { Fault } from "../fault-proxy/fault.ts";

export interface Servers extends Pick<Checkout, "countCharges" | "ready"> {
  /** One request, never repeated. Rejects if the connection dies. */
  readonly post: (request: KeyedRequest) => Promise<KeyedAnswer>;
}

export interface KeyedRequest {
  readonly key: string;
  readonly shopper: string;
  readonly cart: string;
  readonly fault?: Fault;
}

export interface KeyedAnswer extends Answer {
  readonly server: string | null;
}

/** One pair of servers for the file that calls it. */
export function withServers(): () => Servers {
  const database = withDatabase({ from: "empty" });
  let checkout: Checkout | undefined;
  beforeAll(async () => {
    checkout = await startCheckout({ databaseUrl: database.url });
    // Its checks after each test look at the whole database, the servers' own connections included.
    database.pool({ max: 1 });
  });
  afterAll(() => checkout?.stop());
  return () => {
    if (checkout === undefined) throw new Error("the servers are not up before the tests run");
    const { origin, countCharges, ready } = checkout;
    return { countCharges, ready, post: (request) => post(origin, request) };
  };
}

async function post(origin: string, request: KeyedRequest): Promise<KeyedAnswer> {
  const { key, shopper, cart, fault } = request;
  const [answer, headers] = await send(`${origin}/api/orders`, {
    key,
    json: { cart, amountCents: 47_00 },
    headers: {
      cookie: `shopper=${shopper}`,
      ...(fault === undefined ? {} : { [FAULT_HEADER]: formatFault(fault) }),
    },
  });
  return { ...answer, server: headers.get(SERVER_HEADER) };
}
