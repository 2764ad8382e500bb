/** Files and command lines of the cluster's members; starts nothing. */
import { join } from "node:path";

/** One PostgreSQL server with the Patroni that minds it. */
export interface NodeAddress {
  readonly name: string;
  readonly postgresPort: number;
  /** Port of Patroni's REST interface. */
  readonly restPort: number;
}

/** Where everything is. All of it listens on 127.0.0.1. */
export interface Layout {
  readonly folder: string;
  readonly etcdPort: number;
  readonly etcdPeerPort: number;
  /** Port of HAProxy, which forwards to the leader. */
  readonly leaderPort: number;
  readonly password: string;
  readonly nodes: readonly NodeAddress[];
}

/**
 * Duration of the leader's lease in Patroni. Three times shorter than the advised 20 s, so that
 * many failovers fit into a test; a production that did this would fail over at every hiccup.
 */
export const LEADER_LEASE_SECONDS = 6;

export function etcdArguments({ folder, etcdPort, etcdPeerPort }: Layout): string[] {
  const [client, peer] = [etcdPort, etcdPeerPort].map((port) => `http://127.0.0.1:${port}`);
  const flags = {
    "data-dir": join(folder, "etcd"),
    "listen-client-urls": client,
    "advertise-client-urls": client,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": `default=${peer}`,
    "log-level": "error",
  };
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}

export function nodeFolder({ folder }: Layout, { name }: NodeAddress): string {
  return join(folder, name);
}

/** Patroni's configuration. JSON is YAML. */
export function patroniFile(layout: Layout, node: NodeAddress, binFolder: string): string {
  const { etcdPort, password } = layout;
  const own = nodeFolder(layout, node);
  const rest = `127.0.0.1:${node.restPort}`;
  const postgres = `127.0.0.1:${node.postgresPort}`;
  const login = (username: string) => ({ username, password });
  return JSON.stringify({
    scope: "oncekey",
    name: node.name,
    restapi: { listen: rest, connect_address: rest },
    etcd3: { hosts: `127.0.0.1:${etcdPort}` },
    bootstrap: bootstrap(),
    postgresql: {
      listen: postgres,
      connect_address: postgres,
      data_dir: join(own, "data"),
      bin_dir: binFolder,
      pgpass: join(own, "pgpass"),
      authentication: {
        superuser: login("postgres"),
        replication: login("replicator"),
        rewind: login("rewinder"),
      },
      parameters: { unix_socket_directories: own },
    },
    watchdog: { mode: "off" },
  });
}

function bootstrap(): object {
  return {
    dcs: {
      ttl: LEADER_LEASE_SECONDS,
      loop_wait: 1,
      retry_timeout: 2,
      maximum_lag_on_failover: 1_048_576,
      synchronous_mode: true,
      postgresql: {
        use_pg_rewind: true,
        parameters: { wal_log_hints: "on", max_connections: 120, shared_buffers: "32MB" },
      },
    },
    initdb: [
      { encoding: "UTF8" },
      { locale: "C.UTF-8" },
      { "auth-host": "scram-sha-256" },
      "data-checksums",
    ],
    pg_hba: [
      "host replication replicator 127.0.0.1/32 scram-sha-256",
      "host all all 127.0.0.1/32 scram-sha-256",
    ],
  };
}

/**
 * The leader is the node that answers Patroni's health check as one. Connections to the previous
 * leader are cut.
 */
export function haproxyFile({ leaderPort, nodes }: Layout): string {
  const servers = nodes.map(
    ({ name, postgresPort, restPort }) =>
      `  server ${name} 127.0.0.1:${postgresPort} check port ${restPort}`,
  );
  return `
global
  maxconn 1000
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 1s
listen leader
  bind 127.0.0.1:${leaderPort}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
${servers.join("\n")}
`;
}
