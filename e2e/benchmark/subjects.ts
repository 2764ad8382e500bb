/** Servers that are compared. */

/** `first`: a key that is new. `replay`: a stored one, from Postgres. `cached`: from the memory of the process. */
export type Kind = "first" | "replay" | "cached";

export const KINDS: readonly Kind[] = ["first", "replay", "cached"];

export interface Subject {
  readonly name: SubjectName;
  readonly role: "reference" | "strategy";
  readonly kinds: readonly Kind[];
  readonly description: string;
}

export const STRATEGIES = ["advisory", "unique", "row", "lease"] as const;

export type StrategyName = (typeof STRATEGIES)[number];
export type SubjectName = "F0" | "F1" | "F2" | StrategyName;

export const SUBJECTS: readonly Subject[] = [
  reference("F0", ["replay", "cached"], "Fastify without a database"),
  reference("F1", ["first"], "one INSERT that commits by itself"),
  reference("F2", ["first"], "BEGIN; INSERT; COMMIT"),
  ...STRATEGIES.map((name) => ({
    name,
    role: "strategy" as const,
    kinds: KINDS,
    description: `Oncekey, strategy \`${name}\``,
  })),
];

/** What a ratio divides by. */
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
