/**
 * Target of a request: the route that Fastify matched, with the decoded values of its parameters.
 */
import { createHash } from "node:crypto";
import type { RouteOptions as FastifyRoute } from "fastify";

/** The parts of a request that name its target. */
export interface Targeted {
  readonly method: string;
  readonly url: string;
  readonly params: unknown;
}

/** Names the target of a request to one route. */
export type TargetOf = (request: Targeted) => string;

interface Parameter {
  readonly name: string;
  /** Whether the path may end before it; its slash goes with it. */
  readonly isOptional: boolean;
}

type Piece = string | Parameter;

// The record's column takes 512 bytes. A longer target keeps its beginning, for people, and a digest, for identity.
const MAX_TARGET_BYTES = 512;

/**
 * Compiles a route's path, so that every spelling with the same decoded parameters names one target: method and path, both in
 * one spelling. Constraints (version, host) are part of the name, because another handler may stand behind each value.
 */
export function compileTarget({
  url,
  constraints,
}: Pick<FastifyRoute, "url" | "constraints">): TargetOf {
  const pieces = parsePath(url);
  const suffix = nameConstraints(constraints);
  return (request) => {
    const path = fillIn(pieces, request.params) ?? pathOf(request.url);
    return bounded(`${request.method} ${path}${suffix}`);
  };
}

/** A route as it was added. */
export type NamedRoute = Pick<FastifyRoute, "url" | "constraints"> & {
  readonly methods: readonly string[];
};

/** Returns a regular expression that the targets of a route match, in what JavaScript and Postgres have in common. */
export function targetPattern({ methods, url, constraints }: NamedRoute): string {
  const path = parsePath(url)
    .map((piece) => {
      if (typeof piece === "string") return escapePattern(piece);
      if (piece.name === "*") return ".*";
      return piece.isOptional ? "(/[^/ ]*)?" : "[^/ ]*";
    })
    .join("");
  const suffix = escapePattern(nameConstraints(constraints));
  return `^(${methods.map(escapePattern).join("|")}) ${path}${suffix || "( .*)?"}$`;
}

/** The same for a route by name, such as `POST /payments/:id`. @throws RangeError if it is no method and path. */
export function namedPattern(route: string): string {
  const [, method, url] = /^([A-Z,]+) (\/\S*)$/.exec(route) ?? [];
  if (method === undefined || url === undefined)
    throw new RangeError(
      `route must be a method and a path, such as POST /payments/:id, got ${JSON.stringify(route)}`,
    );
  return targetPattern({ methods: method.split(","), url });
}

function escapePattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** Splits a path in the syntax of find-my-way: `:name`, `:name(regex)`, `:name?`, `:a-:b`, `::` for a colon, `*`. */
function parsePath(url: string): Piece[] {
  const pieces: Piece[] = [];
  let text = "";
  let at = 0;
  while (at < url.length) {
    const rest = url.slice(at);
    if (rest.startsWith("::")) {
      text += ":";
      at += 2;
    } else if (rest.startsWith(":")) {
      const name = /^:([^/(.-]*)/.exec(rest)?.[1] ?? "";
      at += 1 + name.length;
      if (url[at] === "(") at = endOfGroup(url, at);
      const isOptional = name.endsWith("?");
      pieces.push(encodeURI(isOptional ? text.replace(/\/$/, "") : text), {
        name: isOptional ? name.slice(0, -1) : name,
        isOptional,
      });
      text = "";
    } else if (rest === "*") {
      pieces.push(encodeURI(text), { name: "*", isOptional: false });
      text = "";
      at += 1;
    } else {
      text += url[at];
      at += 1;
    }
  }
  return [...pieces, encodeURI(text)];
}

function endOfGroup(url: string, start: number): number {
  let depth = 0;
  for (let at = start; at < url.length; at += 1) {
    if (url[at] === "\\") at += 1;
    else if (url[at] === "(") depth += 1;
    else if (url[at] === ")" && (depth -= 1) === 0) return at + 1;
  }
  return url.length;
}

/** Returns `undefined` if the parameters are not those of the path: then the spelling decides, which keeps more requests apart. */
function fillIn(pieces: readonly Piece[], params: unknown): string | undefined {
  const values = (params ?? {}) as Record<string, unknown>;
  let path = "";
  let used = 0;
  for (const piece of pieces) {
    if (typeof piece === "string") {
      path += piece;
      continue;
    }
    const value = values[piece.name];
    if (value === undefined && piece.isOptional) continue;
    if (typeof value !== "string") return undefined;
    used += 1;
    path += (piece.isOptional ? "/" : "") + encode(piece.name, value);
  }
  return used === Object.keys(values).length ? path : undefined;
}

function encode(name: string, value: string): string {
  const encoded = encodeURIComponent(value.toWellFormed());
  return name === "*" ? encoded.replaceAll("%2F", "/") : encoded;
}

function nameConstraints(constraints: FastifyRoute["constraints"]): string {
  return Object.entries(constraints ?? {})
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]: [string, unknown]) => ` ${name}=${String(value)}`)
    .join("");
}

function pathOf(url: string): string {
  return url.split(/[?#]/, 1)[0] ?? "/";
}

function bounded(target: string): string {
  if (Buffer.byteLength(target) <= MAX_TARGET_BYTES) return target;
  const digest = createHash("sha256").update(target).digest("hex");
  return `${target.slice(0, 64)}… sha256:${digest}`;
}
