/** The client: what all operations share, and the calls that a page makes. */
import { createError } from "@oncekey/shared";
import { createPlainCall } from "./call.ts";
import type { PlainCall } from "./call.ts";
import { checkOperation, defineOperation } from "./operation/define.ts";
import type {
  DefineOperation,
  HasCheck,
  Operation,
  OperationOptions,
  SettledOptions,
} from "./operation/define.ts";
import { createMinter } from "./operation/key-minter.ts";
import type { ClientContext, Definition } from "./operation/operation-run.ts";
import { listenToTabs } from "./operation/listen-to-tabs.ts";
import { checkResumeAll, listPending, resumeAll } from "./operation/pending.ts";
import type { ResumeAllOptions } from "./operation/pending.ts";
import { createSettlements } from "./operation/settlements.ts";
import { createStates } from "./operation/state.ts";
import { createRetryBudget } from "./options/backoff.ts";
import {
  checkClientOptions,
  resolveClientPolicy,
  resolvePolicy,
} from "./options/client-options.ts";
import type { ClientOptions, OperationPolicy } from "./options/client-options.ts";
import { DEBUG } from "./options/events.ts";
import { createWarn } from "./options/warnings.ts";
import { createBodyCodec } from "./records/body-codec.ts";
import { createRecordNames } from "./records/record-names.ts";
import { createRecordStore } from "./records/record-store.ts";
import type { PendingOperation } from "./operation/result.ts";
import { repeat } from "./retry/repeat.ts";
import { createRenewal } from "./retry/renew-credentials.ts";
import { memoryStorage } from "./storage/memory.ts";
import { createExclusive } from "./tabs/exclusive.ts";
import { createTabChannel } from "./tabs/tab-channel.ts";
import { checkOptions, isFilled } from "./validation/check.ts";
import { parseUrl } from "./validation/parse-url.ts";
import { createSend } from "./wire/send.ts";
import { createTransport } from "./wire/transport.ts";
import type { Transport } from "./wire/transport.ts";
import type { RequestMethod, UrlBase } from "./wire/request.ts";

/** Result of {@link createClient}. Its functions need no `this`. */
export interface Client<CanCheck extends boolean = boolean> {
  readonly operation: DefineOperation<CanCheck>;
  /**
   * Lists what this owner left unfinished, in an earlier page or by a run that ended in `unknown`, oldest first. Live runs are not in
   * the list. Operations need not be defined for it.
   */
  readonly pending: () => Promise<PendingOperation[]>;
  /**
   * Goes on with everything that is pending: the one line of a page that starts. Results come through `onSettled`; four run at a time,
   * and none begins after `deadlineMs`. Never rejects; nothing needs to wait for it.
   */
  readonly resumeAll: (options?: ResumeAllOptions) => Promise<void>;
  /**
   * Stops this page's runs and deletes their records, for signing out: all of this client, or those of one owner. A request that was sent may
   * still happen, and its key is lost.
   */
  readonly forgetAll: (options?: ForgetAllOptions) => Promise<void>;
  /** Stops all runs, and forgets their records and all states. For tests. */
  readonly reset: () => Promise<void>;
  /** Calls without an operation, by their methods: one key for one call. Nothing of them is kept through a reload. */
  readonly post: PlainCall;
  readonly put: PlainCall;
  readonly patch: PlainCall;
  readonly delete: PlainCall;
}

/** Options of `forgetAll`. */
export interface ForgetAllOptions {
  /** Owner of the records to delete, as the option `owner` returned it. Default: all owners. */
  readonly owner?: string | undefined;
}

/**
 * Makes a client. Create one for the whole application: runs join each other, and retries are bounded, within it.
 *
 * @throws TypeError or RangeError that names a wrong option and what is allowed.
 */
export function createClient<
  const StatusCheck extends boolean | undefined = undefined,
  const Server extends "oncekey" | undefined = undefined,
>(
  options: ClientOptions<StatusCheck, Server> = {},
): Client<HasCheck<StatusCheck, Server extends "oncekey" ? true : boolean>> {
  checkClientOptions(options);
  const transport = createTransport(options.ky);
  const { base } = transport;
  const createdAt = Date.now();
  const clientPolicy = resolveClientPolicy(options);
  const client = createContext(options, transport);
  const { loop, names, records, settlements, states, turns } = client;
  const definitions = new Map<string, OperationPolicy>();
  const definitionOf = (name: string): Definition => {
    return { name, policy: definitions.get(name) ?? clientPolicy };
  };
  const pending = (): Promise<PendingOperation[]> => listPending(client, definitionOf);

  async function forget(prefix: string, reason: string): Promise<void> {
    await turns.abort(prefix, new Error(reason));
    await records.removeAll(prefix);
    states.clear(prefix);
  }

  const call = (method: RequestMethod): PlainCall =>
    createPlainCall(client, base, clientPolicy, method);

  function operation(
    name: string,
    own: OperationOptions<unknown> & SettledOptions<unknown, unknown>,
  ): Operation<unknown, unknown> {
    checkOperation(name, own);
    const policy = { ...resolvePolicy(own, clientPolicy), response: own.response };
    definitions.set(name, policy);
    if (own.onSettled !== undefined) listenToTabs(client);
    return defineOperation(client, own, { name, policy, base });
  }

  return Object.freeze({
    operation,
    pending,
    async resumeAll(given: ResumeAllOptions = {}) {
      checkResumeAll(given);
      const bounds = { pageStartedAt: createdAt, limitMs: clientPolicy.deadlineMs };
      try {
        await resumeAll(await pending(), given, bounds);
      } catch (cause) {
        loop.warn({ code: "callback_failed", message: "resumeAll did not finish", cause });
      }
    },
    async forgetAll(given: ForgetAllOptions = {}) {
      checkOptions(given, { owner: isFilled }, "forgetAll.");
      const { owner } = given;
      await forget(owner === undefined ? names.prefix() : names.prefixOf(owner), "Signed out");
    },
    async reset() {
      await forget(names.prefix(), "The client was reset");
      settlements.clear();
    },
    post: call("POST"),
    put: call("PUT"),
    patch: call("PATCH"),
    delete: call("DELETE"),
  });
}

function createContext(options: ClientOptions, { base, exchange }: Transport): ClientContext {
  const { onUnauthorized } = options;
  const warn = createWarn(options.onWarning);
  const storage = options.storage ?? memoryStorage();
  const { sharedAs } = storage;
  // Two applications on one origin do not meet.
  const names = createRecordNames(() => storage.namespace ?? apiOf(base));
  const channel = createTabChannel(() => sharedAs && `${names.prefix()}@${sharedAs}`);
  return {
    loop: {
      send: createSend(exchange, options),
      repeat,
      budget: createRetryBudget(options.retryBudget),
      warn,
      createError,
      echoing: new Set(),
      renewal: onUnauthorized && createRenewal(onUnauthorized, warn),
    },
    names,
    records: createRecordStore(storage, names, createBodyCodec(options.storedBody, warn), warn),
    turns: createExclusive(sharedAs, channel),
    channel,
    minter: createMinter(options.key ?? "v7", warn),
    states: createStates(warn),
    settlements: createSettlements(warn),
    ...watchOwner(options.owner),
    listener: options.debug === true ? { ...options, ...DEBUG } : options,
  };
}

/** Returns the API's origin and prefix, whatever the slashes at its end. */
function apiOf({ prefix = "", baseUrl }: UrlBase): string {
  const page = globalThis.location?.href;
  const start = baseUrl === undefined ? page : (parseUrl(String(baseUrl), page)?.href ?? page);
  // A page's own address names no API: all pages of the origin use the same one.
  const path = String(prefix) || (baseUrl === undefined ? "/" : "");
  return (parseUrl(path, start)?.href ?? `${String(baseUrl)} ${path}`).replace(/\/+$/, "");
}

function watchOwner(ask: ClientOptions["owner"]): Pick<ClientContext, "owner" | "ownerChanges"> {
  let last: string | undefined;
  let changes = 0;
  const owner = (): string | undefined => {
    const now = ask?.();
    if (now !== undefined) isFilled("what owner returns", now);
    if (now !== last) changes += 1;
    last = now;
    return now;
  };
  return { owner, ownerChanges: () => (owner(), changes) };
}
