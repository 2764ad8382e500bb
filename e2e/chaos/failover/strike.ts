/** Faults of a leader. */
import { until } from "@oncekey/test-support/processes/deadline";
import { listProcesses } from "@oncekey/test-support/processes/processes";
import type { Cluster, ClusterNode } from "./cluster.ts";
import { awaitLeader, switchOver } from "./members.ts";

/** `kill`: SIGKILL. `switchover`: handed over in order. `kill-ahead`: SIGKILL while its standbys lag behind it. */
export type Strike = "kill" | "switchover" | "kill-ahead";

/** Strikes the leader and resolves with the next one, which takes writes. The former is on its way back as a standby. */
export async function strike(
  cluster: Cluster,
  kind: Strike,
  acknowledged: () => number,
): Promise<ClusterNode> {
  const leader = await awaitLeader(cluster);
  switch (kind) {
    case "switchover":
      await switchOver(leader);
      return awaitLeader(cluster, leader);
    case "kill":
      await killNode(leader);
      break;
    case "kill-ahead":
      await killAhead(cluster, leader, acknowledged);
      break;
    default:
      return kind satisfies never;
  }
  const next = await awaitLeader(cluster, leader);
  leader.start();
  return next;
}

/** As if the machine had lost its power: Patroni first, so that it does not start the server again. */
async function killNode(node: ClusterNode): Promise<void> {
  const [patroni, postmaster] = [node.patroniPid(), await node.postmasterPid()];
  if (patroni === undefined || postmaster === undefined) {
    throw new Error(`${node.name} does not run, so it cannot be killed`);
  }
  const children = (await listProcesses()).filter(({ parent }) => parent === postmaster);
  for (const pid of [patroni, postmaster, ...children.map((child) => child.pid)]) {
    signal(pid, "SIGKILL");
  }
}

/** Number of the leader's answers that no standby receives. */
const AHEAD = 20;

/**
 * Stops the receivers of the standbys until the leader has acknowledged something that they lack.
 * Before they go on they get SIGTERM: the bytes in their sockets came from a dead leader, and must
 * not be read after all.
 */
async function killAhead(
  cluster: Cluster,
  leader: ClusterNode,
  acknowledged: () => number,
): Promise<void> {
  const receivers = await findReceivers(cluster, leader);
  try {
    for (const pid of receivers) signal(pid, "SIGSTOP");
    const enough = acknowledged() + AHEAD;
    await until(() => acknowledged() >= enough, {
      what: `${AHEAD} answers while standbys lag behind`,
    });
    await killNode(leader);
  } finally {
    for (const pid of receivers) {
      signal(pid, "SIGTERM");
      signal(pid, "SIGCONT");
    }
  }
}

async function findReceivers({ nodes }: Cluster, leader: ClusterNode): Promise<number[]> {
  const standbys = nodes.filter((node) => node !== leader);
  const postmasters = await Promise.all(standbys.map((node) => node.postmasterPid()));
  const receivers = (await listProcesses()).filter(
    ({ parent, command }) => postmasters.includes(parent) && command.includes("walreceiver"),
  );
  if (receivers.length === standbys.length) return receivers.map(({ pid }) => pid);
  throw new Error(`${receivers.length} of ${standbys.length} standbys receive`);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself since.
  }
}
