/** Watches what a server's connections send and receive, to know the moments around the commit that stores a response. */
import type { Connection, Pool, PoolClient } from "pg";
import { passage, reach } from "./freeze.ts";

/** The part of a batch of Oncekey's that `pg` calls. */
interface Batch {
  submit: (connection: Connection) => void;
  handleReadyForQuery: () => void;
}

interface ParsingConnection {
  parse: (message: { readonly text: string }) => void;
}

/** From here on every connection that the pool opens is watched. */
export function watchPool(pool: Pool): void {
  pool.on("connect", watchClient);
}

function watchClient(client: PoolClient): void {
  const query = client.query.bind(client) as (...asked: readonly unknown[]) => unknown;
  Object.assign(client, {
    query(...asked: readonly unknown[]): unknown {
      const [first] = asked;
      if (isBatch(first) && passage.getStore()?.phase === "handled") watchBatch(first);
      return query(...asked);
    },
  });
}

function isBatch(query: unknown): query is Batch {
  return typeof query === "object" && query !== null && "submit" in query;
}

function watchBatch(batch: Batch): void {
  const submit = batch.submit.bind(batch);
  const handleReadyForQuery = batch.handleReadyForQuery.bind(batch);
  let stores = false;
  let commits = false;
  Object.assign(batch, {
    submit(connection: Connection) {
      const wire = connection as unknown as ParsingConnection;
      const parse = wire.parse.bind(connection);
      wire.parse = (message) => {
        // The stream is corked: of this batch nothing has left yet.
        if (!stores && isStore(message.text)) {
          stores = true;
          reach("S5");
        }
        commits ||= message.text === "commit";
        parse(message);
      };
      try {
        submit(connection);
      } finally {
        Reflect.deleteProperty(wire, "parse");
      }
      if (stores && commits) reach("S6");
    },
    handleReadyForQuery() {
      if (stores && commits) reach("S7");
      handleReadyForQuery();
    },
  });
}

// Of all that is written once the handler has answered, only a response has a body; a heartbeat has none.
function isStore(text: string): boolean {
  return /^\s*(insert into|update)\b.*\bbody\b/s.test(text);
}
