/** Actions of shoppers with one or two tabs, and what the pages report to them. */
import { isIdempotencyError } from "@oncekey/client";
import type { PendingOperation, Settled } from "@oncekey/client";
import type { Content, Seen } from "./ledger.ts";
import type { Origin } from "./origin.ts";
import { openTab } from "./tab.ts";
import type { Result, Tab, TabCallbacks, TabParts } from "./tab.ts";

/** Lines of a cart; the signed-in user owns it. */
export type Cart = Omit<Content, "owner">;

export type Act =
  | {
      readonly kind: "click";
      readonly tab: number;
      readonly content: Cart;
      /** Whether a new operation is asked for. */
      readonly again: boolean;
    }
  | {
      readonly kind:
        | "reload"
        | "resume pending"
        | "resume last"
        | "check pending"
        | "check last"
        | "forget"
        | "forget own"
        | "forget all"
        | "abort";
      readonly tab: number;
    }
  | { readonly kind: "sign in"; readonly owner: string };

/** Action of a page when it starts, and at each sign-in. `ask`: `confirmLate` declines. */
export type StartUp = "nothing" | "resumeAll" | "confirm" | "ask";

/** End of the last call of a tab. `expired`: its key is too old to be sent again. */
export type Ended = "not yet" | "settled" | "unknown" | "expired";

export interface Shopper {
  readonly act: (act: Act) => void;
  readonly last: (tab: number) => Ended;
}

export interface ShopperParts extends Omit<TabParts, "signedIn"> {
  readonly origin: Origin;
  readonly tabs: number;
  readonly startUp: StartUp;
  readonly owner: string;
  readonly note: (seen: Seen) => void;
  /** Returns the content of the unresolved record with this key. */
  readonly kept: (key: string) => Content | undefined;
  /** Returns the keys of all records. */
  readonly keys: () => readonly string[];
  /** Returns the key of a record, by its name in the storage. */
  readonly keyAt: (name: string) => string | undefined;
}

type Left = Extract<Result, { kind: "unknown" }> | PendingOperation;

interface Place {
  readonly id: symbol;
  readonly page: string;
  readonly tab: Tab;
  ended: Ended;
  unknown: Extract<Result, { kind: "unknown" }> | undefined;
  controller: AbortController;
  /** The live calls, each with its number. */
  readonly calls: Map<Promise<unknown>, number>;
  /** Keys whose outcome the page has reported. */
  readonly reported: Set<string>;
  /** Number of `forgetAll` calls that have not ended. */
  forgettingAll: number;
  /** Keys that calls which have not ended give up. */
  readonly forgetting: Set<string>;
}

export function createShopper(parts: ShopperParts): Shopper {
  const { origin, note, kept, startUp } = parts;
  // The first content of every key.
  const contents = new Map<string, Content>();
  const contentOf = (key: string | undefined): Content | undefined =>
    key === undefined ? undefined : (contents.get(key) ?? kept(key));
  let calls = 0;
  let pages = 0;
  let signedIn = parts.owner;

  function open(): Place {
    pages += 1;
    const page = `page-${pages}`;
    const id = Symbol(page);
    const reported = new Set<string>();
    const storage = {
      ...parts.storage,
      removeItem(name: string) {
        const key = parts.keyAt(name);
        const isForgotten = place.forgettingAll > 0 || place.forgetting.has(key ?? "");
        if (isForgotten && key !== undefined) noteForgotten(key);
        return parts.storage.removeItem(name);
      },
    };
    const callbacks: TabCallbacks = {
      onSend(key, content, isLook) {
        if (!contents.has(key)) contents.set(key, content);
        note({ kind: "sent", key, signedIn, isLook, ...content });
      },
      onSettled({ key, ...result }) {
        reported.add(key);
        const value = result.kind === "done" ? JSON.stringify(result.value) : undefined;
        note({ kind: "settled", page, key, value });
      },
    };
    const own = { ...parts, storage, signedIn: () => signedIn };
    // Its channel belongs to the tab as well.
    const tab = origin.run(id, () => openTab(own, callbacks));
    const place: Place = {
      id,
      page,
      tab,
      ended: "not yet",
      unknown: undefined,
      controller: new AbortController(),
      calls: new Map(),
      reported,
      forgettingAll: 0,
      forgetting: new Set(),
    };
    origin.run(place.id, () => start(place));
    return place;
  }

  function start(place: Place): void {
    if (startUp === "nothing") return;
    const confirmLate = startUp === "resumeAll" ? undefined : () => startUp === "confirm";
    calls += 1;
    const number = calls;
    note({ kind: "start-up", call: number, owner: signedIn });
    const promise = place.tab.client.resumeAll(confirmLate && { confirmLate });
    place.calls.set(promise, number);
    void end(place, number, promise);
  }

  async function end(place: Place, number: number, promise: Promise<void>): Promise<void> {
    await promise;
    place.calls.delete(promise);
    if (places.includes(place)) note({ kind: "left open", call: number });
  }

  function call(
    place: Place,
    kind: "run" | "resume" | "check",
    content: Content,
    promise: Promise<Result>,
    again = false,
  ): void {
    // A second click during a run joins it.
    if (place.calls.has(promise)) return;
    calls += 1;
    const number = calls;
    note({ kind, call: number, again, ...content });
    place.ended = "not yet";
    place.calls.set(promise, number);
    void wait(place, number, promise);
  }

  async function wait(place: Place, number: number, promise: Promise<Result>): Promise<void> {
    const result = await promise;
    place.calls.delete(promise);
    // A page that is gone reports nothing.
    if (places.includes(place)) hear(place, number, result);
  }

  function hear(place: Place, number: number, result: Result): void {
    const { page } = place;
    const { kind, key } = result;
    if (kind === "unknown") {
      note({ kind: "left open", call: number });
      place.unknown = result;
      const isExpired = isIdempotencyError(result.error, "idempotency_key_expired");
      place.ended = isExpired ? "expired" : "unknown";
      return;
    }
    place.ended = "settled";
    place.reported.add(key);
    if (result.kind === "done") {
      note({ kind: "done", call: number, page, key, value: JSON.stringify(result.value) });
    } else if (result.earlierResult !== undefined) {
      hearOfEarlier(number, page, result.earlierResult);
      note({ kind: "earlier", call: number, page, key });
    } else {
      const { code } = result.error;
      const isMismatch = code === "idempotency_conflict" || code === "earlier_operation_exists";
      const refusal = isMismatch ? "mismatch" : "rejected";
      note({ kind: result.earlier === undefined ? refusal : "earlier", call: number, page, key });
    }
  }

  function hearOfEarlier(number: number, page: string, earlier: Settled): void {
    if (earlier.kind !== "done") return;
    const value = JSON.stringify(earlier.value);
    note({ kind: "done before", call: number, page, key: earlier.key, value });
  }

  function click(place: Place, cart: Cart, again: boolean): void {
    place.controller = new AbortController();
    const { signal } = place.controller;
    const content = { owner: signedIn, ...cart };
    call(place, "run", content, place.tab.order.run(content, { signal, again }), again);
  }

  function goOn(place: Place, kind: "resume" | "check", left: Left | undefined): void {
    const content = contentOf(left?.key);
    const ask = left?.[kind];
    if (content !== undefined && ask !== undefined) call(place, kind, content, ask());
  }

  async function goOnWithPending(place: Place, kind: "resume" | "check"): Promise<void> {
    for (const left of await place.tab.client.pending()) goOn(place, kind, left);
  }

  async function forget(place: Place): Promise<void> {
    const unfinished = place.unknown ?? (await place.tab.client.pending())[0];
    const content = contentOf(unfinished?.key);
    if (unfinished === undefined || content === undefined) return;
    note({ kind: "forgotten", key: unfinished.key, ...content });
    place.forgetting.add(unfinished.key);
    await unfinished.forget();
    place.forgetting.delete(unfinished.key);
  }

  function noteForgotten(key: string): void {
    const content = contentOf(key);
    if (content !== undefined) note({ kind: "forgotten", key, ...content });
  }

  function noteKept(key: string): void {
    const content = kept(key);
    if (content !== undefined) note({ kind: "kept", key, ...content });
  }

  async function forgetAll(place: Place, owner: string | undefined): Promise<void> {
    const keys = parts.keys().filter((key) => !owner || contentOf(key)?.owner === owner);
    for (const key of keys) {
      noteForgotten(key);
      place.forgetting.add(key);
    }
    place.forgettingAll += 1;
    await place.tab.client.forgetAll({ owner });
    place.forgettingAll -= 1;
    for (const key of keys) place.forgetting.delete(key);
  }

  function leave(place: Place): void {
    place.tab.crash();
    origin.close(place.id);
    for (const number of place.calls.values()) note({ kind: "cut off", call: number });
    for (const key of place.forgetting) noteKept(key);
    for (const key of place.reported) {
      if (kept(key) !== undefined) note({ kind: "left behind", key });
    }
    places[places.indexOf(place)] = open();
  }

  function signIn(owner: string): void {
    signedIn = owner;
    for (const place of places) origin.run(place.id, () => start(place));
  }

  function actIn(place: Place, act: Exclude<Act, { kind: "sign in" }>): unknown {
    switch (act.kind) {
      case "click":
        return click(place, act.content, act.again);
      case "reload":
        return leave(place);
      case "resume pending":
        return goOnWithPending(place, "resume");
      case "resume last":
        return goOn(place, "resume", place.unknown);
      case "check pending":
        return goOnWithPending(place, "check");
      case "check last":
        return goOn(place, "check", place.unknown);
      case "forget":
        return forget(place);
      case "forget own":
        return forgetAll(place, signedIn === "nobody" ? undefined : signedIn);
      case "forget all":
        return forgetAll(place, undefined);
      case "abort":
        return place.controller.abort();
      default:
        return act satisfies never;
    }
  }

  const places: Place[] = [];
  while (places.length < parts.tabs) places.push(open());
  return {
    act(act) {
      if (act.kind === "sign in") return signIn(act.owner);
      const place = places[act.tab % places.length];
      if (place !== undefined) origin.run(place.id, () => void actIn(place, act));
    },
    last: (tab) => places[tab % places.length]?.ended ?? "not yet",
  };
}
