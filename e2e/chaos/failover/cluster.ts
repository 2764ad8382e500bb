/** Three PostgreSQL servers under Patroni, etcd to agree on the leader, and HAProxy before them. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { openSync } from "node:fs";
import { chown, mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "@oncekey/test-support/processes/free-port";
import { startReaper } from "@oncekey/test-support/processes/reaper";
import type { Reaper } from "@oncekey/test-support/processes/reaper";
import { etcdArguments, haproxyFile, nodeFolder, patroniFile } from "./cluster-files.ts";
import type { Layout, NodeAddress } from "./cluster-files.ts";
import type { Machine } from "./machine.ts";

/** One server of the running cluster. */
export interface ClusterNode extends NodeAddress {
  /** Starts Patroni, which starts PostgreSQL. */
  start(): void;
  /** Patroni's process, while it runs. */
  patroniPid(): number | undefined;
  /** The server's process, as its data folder names it; it may have ended. */
  postmasterPid(): Promise<number | undefined>;
}

export interface Cluster {
  /** Connection string of database `postgres`, through HAProxy. */
  readonly url: string;
  readonly nodes: readonly ClusterNode[];
  /** The last lines of each program's output. */
  said(): Promise<string>;
  /** Ends everything and removes the folder. Safe to call twice. */
  stop(): Promise<void>;
}

const NAMES = ["n1", "n2", "n3"];
const LAST_LINES = 8;

/** Starts etcd, HAProxy and Patroni's first node; the others are for the caller to start, once there is a leader to follow. */
export async function startCluster(machine: Machine): Promise<Cluster> {
  const folder = await mkdtemp("/tmp/oncekey-failover-");
  const reaper = startReaper(folder);
  const layout = await makeLayout(folder);
  const start = await createLauncher(machine, reaper);
  start("etcd", machine.etcd, etcdArguments(layout));
  const proxy = join(folder, "haproxy.cfg");
  await writeFile(proxy, haproxyFile(layout));
  start("haproxy", machine.haproxy, ["-db", "-f", proxy]);
  const nodes = layout.nodes.map((node) => createNode(layout, node, machine, start));
  await Promise.all(layout.nodes.map((node) => writeNode(layout, node, machine)));
  nodes[0]?.start();
  return {
    url: `postgres://postgres:${layout.password}@127.0.0.1:${layout.leaderPort}/postgres`,
    nodes,
    said: () => lastLines(folder),
    stop: () => reaper.stop(),
  };
}

async function lastLines(folder: string): Promise<string> {
  const logs = (await readdir(folder)).filter((name) => name.endsWith(".log"));
  const said = logs.map(async (name) => {
    const lines = (await readFile(join(folder, name), "utf8")).trimEnd().split("\n");
    return [`${name}:`, ...lines.slice(-LAST_LINES)].join("\n  ");
  });
  return (await Promise.all(said)).join("\n");
}

async function makeLayout(folder: string): Promise<Layout> {
  const nodes: NodeAddress[] = [];
  for (const name of NAMES) {
    nodes.push({ name, postgresPort: await freePort(), restPort: await freePort() });
  }
  const [etcdPort, etcdPeerPort, leaderPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  return { folder, etcdPort, etcdPeerPort, leaderPort, password: crypto.randomUUID(), nodes };
}

type Launch = (name: string, program: string, args: readonly string[]) => ChildProcess;

/** Starts programs as the machine's user, marked, and with their output in a file of the folder. */
async function createLauncher({ user }: Machine, { folder, mark }: Reaper): Promise<Launch> {
  if (user.uid !== undefined && user.gid !== undefined) await chown(folder, user.uid, user.gid);
  const env = { PATH: process.env["PATH"], LC_ALL: "C.UTF-8", HOME: folder, ...mark };
  return (name, program, args) => {
    const log = openSync(join(folder, `${name}.log`), "a");
    const child = spawn(program, args, {
      ...user,
      cwd: folder,
      env,
      // Not of our process group: a Ctrl-C must not reach it before its owner has looked at it.
      detached: true,
      stdio: ["ignore", log, log],
    });
    child.on("error", () => undefined);
    child.unref();
    return child;
  };
}

async function writeNode(layout: Layout, node: NodeAddress, machine: Machine): Promise<void> {
  const own = nodeFolder(layout, node);
  const file = join(own, "patroni.yml");
  await mkdir(own, { mode: 0o700 });
  await writeFile(file, patroniFile(layout, node, machine.postgresBin), { mode: 0o600 });
  const { uid, gid } = machine.user;
  if (uid === undefined || gid === undefined) return;
  await Promise.all([own, file].map((path) => chown(path, uid, gid)));
}

function createNode(
  layout: Layout,
  node: NodeAddress,
  machine: Machine,
  start: Launch,
): ClusterNode {
  const own = nodeFolder(layout, node);
  let patroni: ChildProcess | undefined;
  return {
    ...node,
    start() {
      patroni = start(node.name, machine.patroni, [join(own, "patroni.yml")]);
    },
    patroniPid: () => (patroni?.exitCode === null ? patroni.pid : undefined),
    async postmasterPid() {
      const text = await readFile(join(own, "data", "postmaster.pid"), "utf8").catch(() => "");
      const pid = Number(text.split("\n")[0]);
      return pid > 0 ? pid : undefined;
    },
  };
}
