/** DBOS: a workflow whose id is the key, with the INSERT as its one step. */
import { AsyncLocalStorage } from "node:async_hooks";
import { DBOS } from "@dbos-inc/dbos-sdk";
import { insertPayment, receipt } from "../subjects/handler.ts";
import { readRequest, reply } from "./peer.ts";
import type { PeerServer } from "./peer.ts";

export async function addDbos({ app, pool, databaseUrl, paths }: PeerServer): Promise<void> {
  DBOS.setConfig({
    name: "shop",
    systemDatabaseUrl: databaseUrl,
    systemDatabasePoolSize: 16,
    logLevel: "error",
  });
  const running = new AsyncLocalStorage<{ hasRun: boolean }>();
  const pay = DBOS.registerWorkflow(
    (_body: Record<string, unknown>) =>
      DBOS.runStep(
        async () => {
          const store = running.getStore();
          if (store !== undefined) store.hasRun = true;
          return receipt(await insertPayment(pool));
        },
        { name: "insert" },
      ),
    { name: "pay" },
  );
  await DBOS.launch();
  for (const path of paths) {
    app.post(path, async (request, to) => {
      const { key, body } = readRequest(request);
      const state = { hasRun: false };
      const result = await running.run(state, () =>
        DBOS.withNextWorkflowID(`${path} ${key}`, () => pay(body)),
      );
      return reply(to, result, !state.hasRun);
    });
  }
}
