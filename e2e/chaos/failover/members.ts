/**
 * Queries and commands of the cluster: Patroni's REST interface, and the leader's own view of its
 * standbys.
 */
import { until } from "@oncekey/test-support/processes/deadline";
import { Client } from "pg";
import type { Cluster, ClusterNode } from "./cluster.ts";

/** Number of standbys that must have a commit before it is acknowledged: one, or none. */
export type Replication = "synchronous" | "asynchronous";

const PATIENCE_MS = 120_000;

interface Member {
  readonly name: string;
  readonly role: string;
  readonly state: string;
}

/** The node that leads, as far as is known; `undefined` while there is none. */
async function findLeader(cluster: Cluster): Promise<ClusterNode | undefined> {
  const members = await listMembers(cluster);
  const leader = members.find(({ role, state }) => role === "leader" && state === "running");
  return cluster.nodes.find(({ name }) => name === leader?.name);
}

/** Lists the members as the first node that knows a leader reports them. */
async function listMembers({ nodes }: Cluster): Promise<readonly Member[]> {
  const answers = await Promise.all(nodes.map((node) => ask(node, "GET", "/cluster")));
  const lists = answers.map(
    (answer) => (answer?.body as { members?: readonly Member[] } | undefined)?.members ?? [],
  );
  return lists.find((members) => members.some(({ role }) => role === "leader")) ?? [];
}

/** Resolves with the leader once it is another than `former` and takes writes. */
export function awaitLeader(cluster: Cluster, former?: ClusterNode): Promise<ClusterNode> {
  const find = async (): Promise<ClusterNode | undefined> => {
    const leader = await findLeader(cluster);
    if (leader === undefined || leader === former) return undefined;
    const isWritable = await askLeader(cluster, "select not pg_is_in_recovery()");
    return isWritable === true ? leader : undefined;
  };
  return until(find, { what: "a leader", patienceMs: PATIENCE_MS });
}

/** Resolves once all three are in their places and a fault would hit a whole cluster. */
export async function awaitWhole(cluster: Cluster, replication: Replication): Promise<void> {
  const standbys = cluster.nodes.length - 1;
  const isSynchronous = replication === "synchronous";
  const isWhole = async (): Promise<boolean> => {
    // Patroni knows a standby as synchronous a little later than PostgreSQL does, and promotes by what it knows.
    const members = await listMembers(cluster);
    const isKnown = members.some(({ role }) => role === "sync_standby") === isSynchronous;
    if (members.length <= standbys || !isKnown) return false;
    const found = await askLeader(
      cluster,
      `select count(*) = ${standbys} and count(*) filter (where sync_state = 'sync') ${isSynchronous ? "> 0" : "= 0"}
         from pg_stat_replication where state = 'streaming'`,
    );
    return found === true;
  };
  await until(isWhole, { what: `${standbys} ${replication} standbys`, patienceMs: PATIENCE_MS });
}

/** Strict: if no standby is left, commits wait instead of becoming asynchronous in silence. */
export async function setReplication(cluster: Cluster, replication: Replication): Promise<void> {
  const isSynchronous = replication === "synchronous";
  const settings = { synchronous_mode: isSynchronous, synchronous_mode_strict: isSynchronous };
  const leader = await awaitLeader(cluster);
  await askOrFail(leader, "PATCH", "/config", settings);
  await awaitWhole(cluster, replication);
}

/** Hands the lead to a standby, as for an upgrade. Resolves once Patroni reports success. */
export async function switchOver(leader: ClusterNode): Promise<void> {
  await askOrFail(leader, "POST", "/switchover", { leader: leader.name });
}

async function askOrFail(
  node: ClusterNode,
  method: string,
  path: string,
  body: object,
): Promise<void> {
  const answer = await ask(node, method, path, body);
  if (answer?.status === 200) return;
  throw new Error(`${node.name} answered ${method} ${path} with ${JSON.stringify(answer)}`);
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Returns `undefined` if no node answers. */
async function ask(
  { restPort }: ClusterNode,
  method: string,
  path: string,
  body?: object,
): Promise<Answer | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${restPort}${path}`, {
      method,
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text };
  } catch {
    return undefined;
  }
}

/** Returns the one value of a query on the leader, `undefined` if no node answers. */
async function askLeader(cluster: Cluster, sql: string): Promise<unknown> {
  const client = new Client({
    connectionString: cluster.url,
    connectionTimeoutMillis: 2_000,
    query_timeout: 5_000,
  });
  // A session that is cut between two statements.
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<unknown[]>({ text: sql, rowMode: "array" });
    return rows[0]?.[0];
  } catch {
    return undefined;
  } finally {
    client.end().catch(() => undefined);
  }
}
