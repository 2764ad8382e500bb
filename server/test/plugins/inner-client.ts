/** The recipe of docs/guides/orm.md: a client for libraries that release their client and end transactions themselves. */
import type pg from "pg";

const AS_SAVEPOINT: ReadonlyMap<string, string> = new Map([
  ["begin", "savepoint inner_one"],
  ["commit", "release savepoint inner_one"],
  ["rollback", "rollback to savepoint inner_one"],
]);

/** The client inside its transaction: it is not released, and a library's own transaction is a savepoint in it. */
export function innerClient(tx: pg.PoolClient): pg.PoolClient {
  const inside = (text: string): string => AS_SAVEPOINT.get(text.toLowerCase()) ?? text;
  const query = (asked: string | pg.QueryConfig, values?: unknown[]): Promise<pg.QueryResult> =>
    typeof asked === "string"
      ? tx.query(inside(asked), values)
      : tx.query({ ...asked, text: inside(asked.text) }, values);
  return new Proxy(tx, {
    get(target, name) {
      if (name === "release") return () => {};
      return name === "query" ? query : Reflect.get(target, name);
    },
  });
}
