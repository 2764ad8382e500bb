/** A shop that makes one effect for a key and answers every request with it, once it is let. */
import { done, withServer } from "./server.ts";
import type { Reply, ScriptedServer } from "./server.ts";
import { createGate } from "./tabs.ts";

export interface EffectsServer extends ScriptedServer {
  /** The keys under which something was done. */
  readonly effects: ReadonlySet<string | undefined>;
  /** Lets all requests be answered, those that wait and those to come. */
  readonly answer: () => void;
}

export async function withEffects(use: (server: EffectsServer) => Promise<void>): Promise<void> {
  const effects = new Set<string | undefined>();
  const { opened, open } = createGate();
  const reply: Reply = async (response, seen) => {
    effects.add(seen.key);
    await opened;
    done(response, seen);
  };
  await withServer([reply], (server) => use({ ...server, effects, answer: open }));
}
