/** Pages of the reference: which exports stand on which page, in which order. */

/** An entry of a package, such as `@oncekey/client/react`. */
export interface Entry {
  readonly name: string;
  readonly source: string;
}

/** A page of generated sections. */
export interface Page {
  readonly file: string;
  readonly title: string;
  readonly intro: string;
  /** Exports by their entries. `"*"` stands for every export of the entry that no page names. */
  readonly exports: Readonly<Record<string, readonly string[]>>;
  /** Types whose options are listed in a table at the top. */
  readonly tableOf?: readonly string[];
  /** Types whose members stand in the section of another type, by the name of that type. */
  readonly partsOf?: Readonly<Record<string, readonly string[]>>;
}

export const ENTRIES: readonly Entry[] = [
  { name: "@oncekey/server", source: "server/src/index.ts" },
  { name: "@oncekey/server/opentelemetry", source: "server/src/opentelemetry.ts" },
  { name: "@oncekey/server/operator", source: "server/src/operator/index.ts" },
  { name: "@oncekey/server/testing", source: "server/src/testing.ts" },
  { name: "@oncekey/client", source: "client/src/index.ts" },
  { name: "@oncekey/client/fetch", source: "client/src/fetch.ts" },
  { name: "@oncekey/client/react", source: "client/src/react.ts" },
  { name: "@oncekey/client/tanstack-query", source: "client/src/tanstack-query.ts" },
  { name: "@oncekey/client/stored-body", source: "client/src/stored-body.ts" },
  { name: "@oncekey/client/node", source: "client/src/node.ts" },
  { name: "@oncekey/client/storage-contract", source: "client/src/storage-contract.ts" },
  { name: "@oncekey/client/testing", source: "client/src/testing.ts" },
  { name: "@oncekey/shared", source: "shared/src/index.ts" },
];

export const PAGES: readonly Page[] = [
  {
    file: "plugin-options.md",
    title: "Options of the plugin",
    intro:
      "Options of `app.register(idempotency, { … })`. A route sets its own in `config.idempotency`, if the column _route_ has yes. An unknown or wrong option throws at registration, and so does a route's option that has no effect beside its others. The message names the option and the allowed values. Fastify's types find a wrong value of an option in `config`, and accept a misspelled name: write `{ … } satisfies RouteIdempotencyOptions` to have the compiler find it.",
    tableOf: ["IdempotencyOptions"],
    partsOf: { IdempotencyOptions: ["RouteIdempotencyOptions"] },
    exports: {
      "@oncekey/server": [
        "IdempotencyOptions",
        "RouteIdempotencyOptions",
        "LeaseOptions",
        "RecoverOptions",
        "OnCrash",
        "CrashContext",
        "CrashDecision",
        "CrashResponse",
        "EncryptionOptions",
        "EncryptionKey",
        "ReplayCacheOptions",
        "SweepOptions",
        "PoolOption",
        "ScopeOption",
        "KeyOption",
        "FingerprintOption",
        "Strategy",
        "STORED_HEADERS",
      ],
    },
  },
  {
    file: "request.md",
    title: "request.idempotency",
    intro: "Members of `request.idempotency` on a protected request.",
    exports: {
      "@oncekey/server": [
        "RequestIdempotency",
        "RollbackOptions",
        "Step",
        "AsJson",
        "CommitWrites",
        "BeginOutcomeName",
      ],
    },
  },
  {
    file: "server.md",
    title: "@oncekey/server",
    intro: "Functions of the server, `app.idempotency`, and their types.",
    exports: {
      "@oncekey/server": [
        "idempotency",
        "migrate",
        "MigrateOptions",
        "transactional",
        "openapiTransform",
        "IdempotencyAdministration",
        "*",
      ],
      "@oncekey/server/testing": ["*"],
    },
  },
  {
    file: "events.md",
    title: "Events",
    intro:
      "Events on `node:diagnostics_channel`. No event contains a key, a scope, a body or a parameter.",
    exports: {
      "@oncekey/server": [
        "TelemetryEvents",
        "BeginEvent",
        "CompleteEvent",
        "HeartbeatEvent",
        "LeaseLostEvent",
        "SweepEvent",
        "RouteLabels",
        "KeyDigest",
      ],
    },
  },
  {
    file: "metrics.md",
    title: "Metrics",
    intro: "OpenTelemetry instruments of `@oncekey/server/opentelemetry`.",
    exports: { "@oncekey/server/opentelemetry": ["*"] },
  },
  {
    file: "operator.md",
    title: "The operator's page",
    intro:
      "Options of `app.register(operator, { … })` of `@oncekey/server/operator`: [the guide](../guides/operator.md). An unknown or wrong option throws at registration.",
    tableOf: ["OperatorOptions"],
    exports: { "@oncekey/server/operator": ["*"] },
  },
  {
    file: "client-options.md",
    title: "Options of the client",
    intro:
      "Options of `createClient({ … })`, all of them optional. An unknown or wrong option throws at creation; the message names the option and the allowed values.",
    tableOf: ["ClientOptions"],
    partsOf: { ClientOptions: ["RetryOptions", "LifeOptions"] },
    exports: {
      "@oncekey/client": [
        "ClientOptions",
        "RetryOptions",
        "LifeOptions",
        "BackoffOptions",
        "KeyOption",
        "EventCallbacks",
        "AttemptEvent",
        "WaitEvent",
        "Unauthorized",
        "UnauthorizedHook",
        "LooseKyOptions",
        "Warning",
        "WarningCode",
      ],
    },
  },
  {
    file: "operations.md",
    title: "Operations and results",
    intro: "`shop.operation(name, { … })`, its runs, and their results.",
    tableOf: ["OperationOptions", "SettledOptions"],
    exports: {
      "@oncekey/client": [
        "OperationOptions",
        "SettledOptions",
        "RequestSpec",
        "SettledCallback",
        "SettledOperation",
        "DefineOperation",
        "Operation",
        "Run",
        "RunOptions",
        "RunResult",
        "Done",
        "Rejected",
        "Unknown",
        "PendingOperation",
        "OperationState",
        "OperationStore",
      ],
    },
  },
  {
    file: "client.md",
    title: "@oncekey/client",
    intro: "`createClient`, the client that it returns, and the other types.",
    exports: {
      "@oncekey/client": ["createClient", "Client", "ResumeAllOptions", "ForgetAllOptions", "*"],
      "@oncekey/client/testing": ["*"],
    },
  },
  {
    file: "fetch.md",
    title: "@oncekey/client/fetch",
    intro: "`createIdempotentFetch({ … })` and its options.",
    tableOf: ["FetchOptions"],
    exports: { "@oncekey/client/fetch": ["createIdempotentFetch", "FetchOptions", "*"] },
  },
  {
    file: "react.md",
    title: "React and TanStack Query",
    intro: "`@oncekey/client/react` and `@oncekey/client/tanstack-query`.",
    exports: {
      "@oncekey/client/react": ["*"],
      "@oncekey/client/tanstack-query": ["*"],
    },
  },
  {
    file: "storage.md",
    title: "Storage",
    intro: "Storages for unresolved operations, and the form of stored bodies.",
    exports: {
      "@oncekey/client": [
        "webStorage",
        "WebStorageOptions",
        "indexedDbStorage",
        "IndexedDbStorageOptions",
        "asyncStorage",
        "memoryStorage",
        "OperationStorage",
        "StoredBody",
      ],
      "@oncekey/client/node": ["*"],
      "@oncekey/client/stored-body": ["*"],
      "@oncekey/client/storage-contract": ["*"],
    },
  },
  {
    file: "headers.md",
    title: "Headers",
    intro:
      "Headers of the contract between client and server. Every answer to a request whose key the plugin has read carries `Idempotency-Key`, the echo that proves it, and `Idempotency-Key-Lifetime`. A refusal of your validation or authentication carries neither.",
    exports: {
      "@oncekey/shared": [
        "IDEMPOTENCY_KEY",
        "IDEMPOTENCY_ONLY_IF_STORED",
        "IDEMPOTENT_REPLAYED",
        "IDEMPOTENCY_MISMATCH",
        "IDEMPOTENCY_KEY_LIFETIME",
        "EXPOSED_HEADERS",
        "MAX_KEY_LENGTH",
        "KEY_RULE",
        "KeyFormat",
        "ParsedKey",
        "parseKey",
        "readKey",
        "formatKey",
        "isKey",
      ],
    },
  },
  {
    file: "problems.md",
    title: "Problems",
    intro:
      "Every refusal is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`, `code` and `retryable`.",
    exports: {
      "@oncekey/shared": [
        "Problem",
        "PROBLEMS",
        "PROBLEM_BASE_URI",
        "PROBLEM_CONTENT_TYPE",
        "ProblemCode",
        "ProblemKind",
        "CodeKind",
        "NextAction",
        "createProblem",
        "ProblemDetails",
        "parseProblem",
        "isProblemCode",
      ],
    },
  },
  {
    file: "errors.md",
    title: "Errors",
    intro:
      "Errors of the client: one class with a `code`, and a class for each code that adds a field.",
    exports: {
      "@oncekey/shared": [
        "IdempotencyError",
        "KeyConflictError",
        "ResponseNotStoredError",
        "UnexpectedAnswerError",
        "EarlierOperationExistsError",
        "isIdempotencyError",
        "ErrorCode",
        "ClientCode",
        "*",
      ],
    },
  },
];
