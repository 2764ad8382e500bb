/** A shopper with one or two tabs: performs the actions, and records the results. */
import { isIdempotencyError } from "@oncekey/client";
import type { PendingOperation, Settled } from "@oncekey/client";
import type { Call, Content, Seen } from "./ledger.ts";
import type { Origin } from "./origin.ts";
import { openTab } from "./tab.ts";
import type { Result, Tab, TabParts } from "./tab.ts";

export type Act =
  | { readonly kind: "click"; readonly tab: number; readonly content: Content }
  | {
      readonly kind:
        | "reload"
        | "resume pending"
        | "resume last"
        | "check pending"
        | "check last"
        | "forget"
        | "abort";
      readonly tab: number;
    };

/** End of the last call of a tab. `expired`: its key is too old to be sent again. */
export type Ended = "not yet" | "settled" | "unknown" | "expired";

export interface Shopper {
  readonly act: (act: Act) => void;
  readonly last: (tab: number) => Ended;
}

export interface ShopperParts extends TabParts {
  readonly origin: Origin;
  readonly tabs: number;
  readonly note: (seen: Seen) => void;
  /** Returns the content that the storage has under this key. */
  readonly kept: (key: string) => Content | undefined;
}

type Left = Extract<Result, { kind: "unknown" }> | PendingOperation;

interface Place {
  readonly id: symbol;
  readonly tab: Tab;
  ended: Ended;
  unknown: Extract<Result, { kind: "unknown" }> | undefined;
  controller: AbortController;
  /** Calls under way, each with its number. */
  readonly calls: Map<Promise<Result>, number>;
  /** Keys whose end was reported to the page. */
  readonly told: Set<string>;
}

export function createShopper(parts: ShopperParts): Shopper {
  const { origin, note, kept } = parts;
  // The first content of every key.
  const contents = new Map<string, Content>();
  const contentOf = (key: string | undefined): Content | undefined =>
    key === undefined ? undefined : (contents.get(key) ?? kept(key));
  let calls = 0;
  const open = (): Place => ({
    id: Symbol("tab"),
    tab: openTab(parts, (key, content) => {
      if (!contents.has(key)) contents.set(key, content);
      note({ kind: "sent", key, ...content });
    }),
    ended: "not yet",
    unknown: undefined,
    controller: new AbortController(),
    calls: new Map(),
    told: new Set(),
  });
  const places = Array.from({ length: parts.tabs }, open);

  function call(
    place: Place,
    kind: Call["kind"],
    content: Content,
    promise: Promise<Result>,
  ): void {
    // A second click on what is under way is the same call.
    if (place.calls.has(promise)) return;
    calls += 1;
    const number = calls;
    note({ kind, call: number, ...content });
    place.ended = "not yet";
    place.calls.set(promise, number);
    void wait(place, number, promise);
  }

  async function wait(place: Place, number: number, promise: Promise<Result>): Promise<void> {
    const result = await promise;
    place.calls.delete(promise);
    // A page that is gone gets no result.
    if (places.includes(place)) hear(place, number, result);
  }

  function hear(place: Place, number: number, result: Result): void {
    const { kind, key } = result;
    if (kind === "unknown") {
      note({ kind: "left open", call: number });
      place.unknown = result;
      place.ended = isIdempotencyError(result.error, "idempotency_key_expired")
        ? "expired"
        : "unknown";
      return;
    }
    place.ended = "settled";
    place.told.add(key);
    if (result.kind === "done") {
      note({ kind: "done", call: number, key, value: JSON.stringify(result.value) });
    } else if (result.earlierResult !== undefined) {
      hearOfEarlier(number, result.earlierResult);
      note({ kind: "earlier", call: number, key });
    } else {
      const isMismatch = isIdempotencyError(result.error, "idempotency_conflict");
      const refusal = isMismatch ? "mismatch" : "rejected";
      note({ kind: result.earlier === undefined ? refusal : "earlier", call: number, key });
    }
  }

  function hearOfEarlier(number: number, earlier: Settled): void {
    if (earlier.kind !== "done") return;
    const value = JSON.stringify(earlier.value);
    note({ kind: "done before", call: number, key: earlier.key, value });
  }

  function click(place: Place, content: Content): void {
    place.controller = new AbortController();
    const { signal } = place.controller;
    call(place, "run", content, place.tab.order.run(content, { signal }));
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
    await unfinished.forget();
  }

  function leave(place: Place): void {
    place.tab.crash();
    origin.close(place.id);
    for (const number of place.calls.values()) note({ kind: "cut off", call: number });
    for (const key of place.told) {
      if (kept(key) !== undefined) note({ kind: "left behind", key });
    }
    places[places.indexOf(place)] = open();
  }

  function actIn(place: Place, act: Act): unknown {
    switch (act.kind) {
      case "click":
        return click(place, act.content);
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
      case "abort":
        return place.controller.abort();
      default:
        return act satisfies never;
    }
  }

  return {
    act(act) {
      const place = places[act.tab % places.length];
      if (place !== undefined) origin.run(place.id, () => void actIn(place, act));
    },
    last: (tab) => places[tab % places.length]?.ended ?? "not yet",
  };
}
