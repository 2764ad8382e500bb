/** `@node-idempotency/core` with its Redis storage. */
import { Idempotency } from "@node-idempotency/core";
import { RedisStorageAdapter } from "@node-idempotency/storage-adapter-redis";
import { insertPayment, receipt } from "../subjects/handler.ts";
import { readRequest, reply } from "./peer.ts";
import type { PeerServer } from "./peer.ts";

export async function addNodeIdempotency(server: PeerServer): Promise<void> {
  const { app, pool, redisUrl, paths } = server;
  const storage = new RedisStorageAdapter({ url: redisUrl });
  await storage.connect();
  const idempotency = new Idempotency(storage, {});
  for (const path of paths) {
    app.post(path, async (request, to) => {
      const { body } = readRequest(request);
      const asked = { headers: request.headers, path, body, method: request.method };
      const stored = await idempotency.onRequest(asked);
      if (stored !== undefined) return reply(to, stored.body, true);
      const result = receipt(await insertPayment(pool));
      await idempotency.onResponse(asked, { body: result });
      return reply(to, result, false);
    });
  }
}
