/** The client: what all operations share, and the calls that a page makes. */
import { createError } from "@oncekey/shared";
import { createRenewal } from "./retry/renew-credentials.ts";
import { createRetryBudget } from "./options/backoff.ts";
import { createCoalescer } from "./tabs/dedupe.ts";
import { checkOperation, defineOperation } from "./operation/define.ts";
import type { DefineOperation, HasCheck, Operation, OperationOptions } from "./operation/define.ts";
import {
  checkClientOptions,
  resolveClientPolicy,
  resolvePolicy,
} from "./options/client-options.ts";
import type { ClientOptions, OperationPolicy } from "./options/client-options.ts";
import { DEBUG } from "./options/events.ts";
import { createMinter } from "./operation/key-minter.ts";
import { toPending } from "./operation/settle.ts";
import type { OperationParts } from "./operation/exclusive-run.ts";
import { createPlainCall } from "./call.ts";
import type { PlainCall } from "./call.ts";
import { createProgress } from "./operation/state.ts";
import { createShelf } from "./records/record-store.ts";
import { repeat } from "./retry/repeat.ts";
import type { PendingOperation } from "./result.ts";
import { createSend } from "./wire/send.ts";
import { createTransport } from "./wire/transport.ts";
import { createBodyKeeper } from "./records/body-codec.ts";
import { memoryStorage } from "./storage/memory.ts";
import { createTabs } from "./tabs/tab-lock.ts";
import { listUnresolved } from "./operation/pending.ts";
import { createWarn } from "./options/warnings.ts";

/** What {@link createClient} makes. Its functions need no `this`. */
export interface Client<CanCheck extends boolean = boolean> {
  readonly operation: DefineOperation<CanCheck>;
  /**
   * What was left unfinished, by an earlier page or by a run that ended in `unknown`, oldest first. What runs right now is not
   * among it. Operations need not be defined for it.
   */
  readonly pending: () => Promise<PendingOperation[]>;
  /** Calls without an operation, by their methods: one key for one call. Nothing of them is kept through a reload. */
  readonly post: PlainCall;
  readonly put: PlainCall;
  readonly patch: PlainCall;
  readonly delete: PlainCall;
}

/**
 * Makes a client. Create one for the whole application: operations coalesce, and retries are bounded, within it.
 *
 * @throws TypeError or RangeError that names a wrong option and what is allowed.
 */
export function createClient<const StatusCheck extends boolean | undefined = undefined>(
  options: ClientOptions<StatusCheck> = {},
): Client<HasCheck<StatusCheck, boolean>> {
  checkClientOptions(options);
  const { onUnauthorized } = options;
  const { base, exchange } = createTransport(options.ky);
  const clientPolicy = resolveClientPolicy(options);
  const warn = createWarn(options.onWarning);
  const loop = {
    send: createSend(exchange, options),
    repeat,
    budget: createRetryBudget(options.retryBudget),
    warn,
    createError,
    echoing: new Set<string>(),
    renewal: onUnauthorized && createRenewal(onUnauthorized, warn),
  };
  const listener = options.debug === true ? { ...options, ...DEBUG } : options;
  const storage = options.storage ?? memoryStorage();
  const keeper = createBodyKeeper(options.storedBody, warn);
  const shelf = createShelf(storage, keeper, warn);
  const minter = createMinter(options.key ?? "v7", warn);
  const parts: OperationParts = {
    loop,
    shelf,
    identify: keeper.identify,
    live: createCoalescer(),
    tabs: createTabs(storage.sharedAs),
    minter,
    progress: createProgress(warn),
    listener,
  };
  const policies = new Map<string, OperationPolicy>();
  const call = (method: "POST" | "PUT" | "PATCH" | "DELETE"): PlainCall =>
    createPlainCall({
      loop,
      minter,
      base,
      policy: clientPolicy,
      method,
      listener,
    });

  function operation(name: string, own: OperationOptions<unknown>): Operation<unknown, unknown> {
    checkOperation(name, own, policies);
    const policy = { ...resolvePolicy(own, clientPolicy), response: own.response };
    policies.set(name, policy);
    return defineOperation(parts, name, own, policy, base);
  }

  return Object.freeze({
    operation,
    async pending() {
      const records = await listUnresolved(parts);
      return records
        .sort((a, b) => a.createdAt - b.createdAt)
        .map((record) => toPending(parts, record, policies.get(record.operation) ?? clientPolicy));
    },
    post: call("POST"),
    put: call("PUT"),
    patch: call("PATCH"),
    delete: call("DELETE"),
  });
}
