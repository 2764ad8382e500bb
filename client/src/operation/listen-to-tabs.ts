/** Passes what other tabs settle on to `onSettled` and the states of this page. */
import { isTabMessage, resultOf } from "./tab-message.ts";
import type { ClientContext } from "./operation-run.ts";

const listening = new WeakSet<ClientContext>();

/** Listens for as long as the page lives. */
export function listenToTabs(client: ClientContext): void {
  if (listening.has(client)) return;
  listening.add(client);
  const { channel, names, settlements, states } = client;
  channel.listen((message) => {
    if (!isTabMessage(message)) return;
    const { id, operation, instance, identity } = message;
    // Another user's operations are none of this page's business.
    if (names.nameOf(client.owner(), operation, instance) !== id) return;
    const result = resultOf(message);
    if (result === undefined || result.kind === "unknown") return;
    const state = states.get(id, identity);
    if (state.kind === "unknown" && state.result.key === result.key) {
      states.set(id, identity, { kind: "settled", result });
    }
    settlements.report({ operation, about: { instance }, result });
  });
}
