/** `@aws-lambda-powertools/idempotency` with its layer for Redis, outside of Lambda. */
import { IdempotencyConfig, makeIdempotent } from "@aws-lambda-powertools/idempotency";
import { CachePersistenceLayer } from "@aws-lambda-powertools/idempotency/cache";
import { createClient } from "@redis/client";
import { insertPayment, receipt } from "../subjects/handler.ts";
import { readRequest, reply } from "./peer.ts";
import type { PaymentRequest, PeerServer } from "./peer.ts";

/** The part that the package reads of the context that Lambda gives a function. */
const LAMBDA = { getRemainingTimeInMillis: () => 60_000 } as never;

export async function addPowertools({ app, pool, redisUrl, paths }: PeerServer): Promise<void> {
  const client = await createClient({ url: redisUrl }).connect();
  // Without a match of the body: this layer stores no hash of it, so every replay would be refused.
  const config = new IdempotencyConfig({ eventKeyJmesPath: "[key, path]" });
  config.registerLambdaContext(LAMBDA);
  const ran = new WeakSet<PaymentRequest>();
  const pay = makeIdempotent(
    async (request: PaymentRequest) => {
      ran.add(request);
      return receipt(await insertPayment(pool));
    },
    {
      persistenceStore: new CachePersistenceLayer({ client }),
      keyPrefix: "payments",
      config,
    },
  );
  for (const path of paths) {
    app.post(path, async (asked, to) => {
      const request = readRequest(asked);
      const result = await pay(request);
      return reply(to, result, !ran.has(request));
    });
  }
}
