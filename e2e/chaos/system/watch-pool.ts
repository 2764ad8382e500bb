/** Watches what a server's connections send and receive, to know the moments around the commit that stores a response. */
import type { Connection, Pool, PoolClient, QueryResult } from "pg";
import { passage, reach } from "./freeze.ts";
import type { Passage } from "./freeze.ts";

/** The part of a batch of Oncekey's that `pg` calls, and what it sends. */
interface Batch {
  readonly statements: readonly { readonly text: string }[];
  submit: (connection: Connection) => void;
  handleReadyForQuery: () => void;
}

type Query = (...asked: readonly unknown[]) => unknown;

/** Watches every connection that the pool opens from now on. */
export function watchPool(pool: Pool): void {
  pool.on("connect", watchClient);
}

function watchClient(client: PoolClient): void {
  const query = client.query.bind(client) as Query;
  const queryPipelined = client.pipeline ? watchPipelined(query) : query;
  Object.assign(client, {
    query(...asked: readonly unknown[]): unknown {
      const [first] = asked;
      const own = passage.getStore();
      if (own?.phase !== "handled") return query(...asked);
      if (isBatch(first)) watchBatch(first, own);
      return queryPipelined(...asked);
    },
  });
}

function isBatch(query: unknown): query is Batch {
  return typeof query === "object" && query !== null && "submit" in query;
}

function watchBatch(batch: Batch, own: Passage): void {
  const submit = batch.submit.bind(batch);
  const handleReadyForQuery = batch.handleReadyForQuery.bind(batch);
  const texts = batch.statements.map(({ text }) => text);
  const stores = texts.some(isStore);
  if (!stores) return;
  const commits = texts.includes("commit");
  Object.assign(batch, {
    submit(connection: Connection) {
      reach("S5");
      submit(connection);
      if (commits) reach("S6");
    },
    handleReadyForQuery() {
      // A connection's callbacks run in the async context of the request that once opened it.
      if (commits) passage.run(own, () => reach("S7"));
      handleReadyForQuery();
    },
  });
}

/** With `pipeline: true` there are no batches: each statement is on the wire when its call returns, the commit right behind the one that stores. */
function watchPipelined(query: Query): Query {
  let stores = false;
  return (...asked) => {
    const text = textOf(asked[0]);
    if (isStore(text)) {
      stores = true;
      reach("S5");
    }
    const answer = query(...asked);
    if (text !== "commit" || !stores) return answer;
    stores = false;
    reach("S6");
    return (answer as Promise<QueryResult>).then((result) => {
      reach("S7");
      return result;
    });
  };
}

function textOf(asked: unknown): string {
  return typeof asked === "object" && asked !== null ? String(Reflect.get(asked, "text")) : "";
}

// After the handler's answer only a response is written with a body; a heartbeat has none.
function isStore(text: string): boolean {
  return /^\s*(insert into|update)\b.*\bbody\b/s.test(text);
}
