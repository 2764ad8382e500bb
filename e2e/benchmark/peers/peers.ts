/** Peers of this run, and the reasons why others are not in it. */
import { spawnSync } from "node:child_process";
import type { PeerName, SubjectName } from "../subjects/subjects.ts";

export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** Packages that the comparison names and that cannot be had. */
export const ABSENT: readonly Skipped[] = [
  {
    name: "`@idempot/fastify-middleware`",
    reason: "npm has no package of this name (404 on 2026-11-30)",
  },
];

/** Peers whose records are in Redis. */
export const NEEDS_REDIS: ReadonlySet<SubjectName> = new Set(["node-idempotency", "powertools"]);

/** Returns why a peer cannot take part, or `undefined`. */
export function reasonAgainst(peer: PeerName): string | undefined {
  if (!NEEDS_REDIS.has(peer) || hasRedis()) return undefined;
  return "there is no `redis-server` on this machine (Debian: `apt-get install redis-server`)";
}

function hasRedis(): boolean {
  return spawnSync("redis-server", ["--version"]).status === 0;
}
