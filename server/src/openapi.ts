/** Adds the headers and problems of protected routes to an OpenAPI document. */
import {
  IDEMPOTENCY_KEY,
  IDEMPOTENCY_KEY_LIFETIME,
  IDEMPOTENCY_MISMATCH,
  IDEMPOTENCY_ONLY_IF_STORED,
  IDEMPOTENT_REPLAYED,
  MAX_KEY_LENGTH,
  PROBLEM_CONTENT_TYPE,
  PROBLEMS,
} from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import type { FastifyContextConfig, FastifySchema } from "fastify";
import { PROTECTED } from "./request/protect-route.ts";
import type { PublicOptions } from "./request/protect-route.ts";

/** Input of a `transform` of `@fastify/swagger`, as far as it is read here. */
export interface DescribedRoute {
  /** `undefined` where the route has none. */
  readonly schema: DescribedSchema | undefined;
  readonly url: string;
  readonly route: { readonly config?: FastifyContextConfig };
}

type DescribedSchema = FastifySchema & { readonly produces?: readonly string[] };
type Schema = Readonly<Record<string, unknown>>;

/**
 * A `transform` for `@fastify/swagger` 9. Adds to every protected route the request headers,
 * response headers and problems that its options allow. The route's own descriptions stay. OpenAPI
 * 3 only.
 *
 * @throws TypeError if the document is Swagger 2, which has no media types per response.
 *
 * @example
 * await app.register(swagger, { openapi: {}, transform: openapiTransform });
 * // After one of your own:
 * transform: (route) => openapiTransform({ ...route, ...yours(route) }),
 */
export function openapiTransform(described: DescribedRoute): {
  schema: FastifySchema;
  url: string;
} {
  if ("swaggerObject" in described)
    throw new TypeError("openapiTransform needs option openapi of @fastify/swagger, not swagger");
  const { url, route } = described;
  const schema: DescribedSchema = described.schema ?? {};
  const options = route.config?.[PROTECTED];
  if (options === undefined) return { schema, url };
  const headers = withKey(asSchema(schema.headers), options);
  return { schema: { ...schema, headers, response: withProblems(schema, options) }, url };
}

function withKey(own: Schema | undefined, { required }: PublicOptions): Schema {
  const declared = new Set(
    Object.keys(asSchema(own?.["properties"]) ?? {}).map((name) => name.toLowerCase()),
  );
  const properties = Object.entries(REQUEST_HEADERS).filter(
    ([name]) => !declared.has(name.toLowerCase()),
  );
  const ours = {
    type: "object",
    properties: Object.fromEntries(properties),
    ...(required ? { required: [IDEMPOTENCY_KEY] } : {}),
  };
  return own === undefined ? ours : { allOf: [own, ours] };
}

function withProblems(schema: DescribedSchema, options: PublicOptions): Schema {
  // The default of @fastify/swagger for a route that describes no response.
  const own = asSchema(schema.response) ?? { 200: { type: "null", description: DEFAULT } };
  const answers = Object.entries(own).map(([status, response]) => [
    status,
    withHeaders(asSchema(response) ?? {}, RESPONSE_HEADERS),
  ]);
  const problems = [...codesByStatus(options)].map(([status, codes]) => {
    // A status of its own in the document would hide the route's description of a whole range.
    const said = own[status] ?? own[`${status[0]}xx`] ?? own[`${status[0]}XX`] ?? own["default"];
    return [status, withProblem(asSchema(said), codes, schema.produces)];
  });
  return { ...Object.fromEntries(answers), ...Object.fromEntries(problems) };
}

function withProblem(
  said: Schema | undefined,
  codes: readonly ProblemCode[],
  produces: readonly string[] = ["application/json"],
): Schema {
  const titles = codes.map((code) => PROBLEMS[code].title).join(", or: ");
  const content: Record<string, unknown> = { ...contentOf(said, produces) };
  const other = asSchema(content[PROBLEM_CONTENT_TYPE])?.["schema"];
  const problem = problemSchema(codes);
  content[PROBLEM_CONTENT_TYPE] = {
    schema: other === undefined ? problem : { anyOf: [other, problem] },
  };
  const own = said?.["x-response-description"] ?? said?.["description"];
  const headers = codes.some((code) => PROBLEMS[code].retryable)
    ? { ...RESPONSE_HEADERS, ...RETRY_AFTER }
    : RESPONSE_HEADERS;
  const description = typeof own === "string" ? `${own}, or: ${titles}` : titles;
  return withHeaders({ headers: said?.["headers"], description, content }, headers);
}

/** Returns the body schemas of a response: by media type, or one schema for all media types. */
function contentOf(said: Schema | undefined, produces: readonly string[]): Schema {
  if (said === undefined || said["type"] === "null") return {};
  const content = asSchema(said["content"]);
  if (content !== undefined) return content;
  const { headers: _, ...schema } = said;
  return Object.fromEntries(produces.map((type) => [type, { schema }]));
}

function withHeaders(response: Schema, headers: Schema): Schema {
  return { ...response, headers: { ...headers, ...asSchema(response["headers"]) } };
}

/** The problems that a route with these options can answer with. */
function codesByStatus(options: PublicOptions): Map<string, ProblemCode[]> {
  const { mismatch, maxKeyAgeMs, strategy } = options;
  const codes: ProblemCode[] = [
    "idempotency_key_required",
    "idempotency_key_invalid",
    "idempotency_not_found",
    "idempotency_in_flight",
    "idempotency_response_not_stored",
    "idempotency_unavailable",
  ];
  if (mismatch === "reject" || strategy === "lease") codes.push("idempotency_conflict");
  if (maxKeyAgeMs !== undefined) codes.push("idempotency_key_expired");
  if (strategy === "lease") codes.push("idempotency_outcome_unknown");
  return Map.groupBy(codes, (code) => String(PROBLEMS[code].status));
}

function problemSchema(codes: readonly ProblemCode[]): Schema {
  const isDone = codes.includes("idempotency_response_not_stored");
  return {
    type: "object",
    required: ["type", "title", "status", "detail", "code", "retryable"],
    properties: {
      type: { type: "string" },
      title: { type: "string" },
      status: { type: "integer" },
      detail: { type: "string" },
      code: { type: "string", enum: [...codes] },
      retryable: { type: "boolean" },
      ...(isDone ? { originalStatus: { type: "integer" } } : {}),
    },
  };
}

function asSchema(value: unknown): Schema | undefined {
  return typeof value === "object" && value !== null ? (value as Schema) : undefined;
}

const DEFAULT = "Default Response";

const REQUEST_HEADERS: Schema = {
  [IDEMPOTENCY_KEY]: {
    type: "string",
    description: `Names the operation, the same on every retry: 1 to ${MAX_KEY_LENGTH} visible ASCII characters, bare or as a structured-field string`,
  },
  [IDEMPOTENCY_ONLY_IF_STORED]: {
    type: "string",
    enum: ["true"],
    description: "Answers with what is stored for the key and starts nothing",
  },
};

const RESPONSE_HEADERS: Schema = {
  [IDEMPOTENCY_KEY]: { type: "string", description: "The key, as it was understood" },
  [IDEMPOTENCY_KEY_LIFETIME]: {
    type: "integer",
    description: "Seconds for which the key will still be recognised",
  },
  [IDEMPOTENT_REPLAYED]: {
    type: "string",
    enum: ["true"],
    description: "The response was stored before; nothing ran",
  },
  [IDEMPOTENCY_MISMATCH]: {
    type: "string",
    enum: ["true"],
    description: "The stored response belongs to another request with this key",
  },
};

const RETRY_AFTER: Schema = {
  "Retry-After": { type: "integer", description: "Seconds to wait before the same request" },
};
