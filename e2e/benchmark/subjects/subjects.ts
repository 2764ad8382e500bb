/** Servers that are compared. */

/** `first`: a key that is new. `replay`: a stored one, from Postgres or the store of the peer. `cached`: from the memory of the process. */
export type Kind = "first" | "replay" | "cached";

export const KINDS: readonly Kind[] = ["first", "replay", "cached"];

export interface Subject {
  readonly name: SubjectName;
  readonly role: "reference" | "prototype" | "strategy" | "peer";
  readonly kinds: readonly Kind[];
  readonly description: string;
}

export const STRATEGIES = ["advisory", "unique", "row", "lease"] as const;
export const PEERS = ["node-idempotency", "powertools", "dbos"] as const;

export type StrategyName = (typeof STRATEGIES)[number];
export type PeerName = (typeof PEERS)[number];
export type SubjectName = "F0" | "F1" | "F2" | "bare" | StrategyName | PeerName;

export const SUBJECTS: readonly Subject[] = [
  reference("F0", ["replay", "cached"], "Fastify without a database"),
  reference("F1", ["first"], "one INSERT that commits by itself"),
  reference("F2", ["first"], "BEGIN; INSERT; COMMIT"),
  {
    name: "bare",
    role: "prototype",
    kinds: KINDS,
    description:
      "leaner statements for the purpose of `advisory` in a single handler, without a plugin",
  },
  ...STRATEGIES.map((name) => ({
    name,
    role: "strategy" as const,
    kinds: KINDS,
    description: `Oncekey, strategy \`${name}\``,
  })),
  peer("node-idempotency", "`@node-idempotency/core` 1.0.11 and Redis as it is by default"),
  peer("powertools", "`@aws-lambda-powertools/idempotency` 2.35.0 and the same Redis"),
  peer("dbos", "`@dbos-inc/dbos-sdk` 5.3.0: a workflow of one step, kept in Postgres"),
];

/** The divisor of a ratio. */
export const REFERENCE: Readonly<Record<Kind, SubjectName>> = {
  first: "F2",
  replay: "F0",
  cached: "F0",
};

/** The route of each kind: every server has both. */
export const PATH: Readonly<Record<Kind, string>> = {
  first: "/payments",
  replay: "/uncached",
  cached: "/payments",
};

function reference(name: SubjectName, kinds: readonly Kind[], description: string): Subject {
  return { name, role: "reference", kinds, description };
}

function peer(name: PeerName, description: string): Subject {
  return { name, role: "peer", kinds: ["first", "replay"], description };
}
