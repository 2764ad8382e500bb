/** What a shopper with one or two tabs can do, and what is told in return. */
import { isIdempotencyError } from "@oncekey/client";
import type { Content, Seen } from "./ledger.ts";
import type { Origin } from "./origin.ts";
import { openTab } from "./tab.ts";
import type { Result, Tab, TabParts } from "./tab.ts";

export type Act =
  | { readonly kind: "click"; readonly tab: number; readonly content: Content }
  | {
      readonly kind: "reload" | "resume pending" | "resume last" | "forget" | "abort";
      readonly tab: number;
    };

/** How the last call of a tab ended. `expired`: its key is too old to be sent again. */
export type Ended = "not yet" | "settled" | "unknown" | "expired";

export interface Shopper {
  readonly act: (act: Act) => void;
  readonly last: (tab: number) => Ended;
}

export interface ShopperParts extends TabParts {
  readonly origin: Origin;
  readonly tabs: number;
  readonly note: (seen: Seen) => void;
}

interface Place {
  readonly id: symbol;
  readonly tab: Tab;
  ended: Ended;
  unknown: Extract<Result, { kind: "unknown" }> | undefined;
  controller: AbortController;
  /** Under way, each with its number. */
  readonly calls: Map<Promise<Result>, number>;
}

export function createShopper(parts: ShopperParts): Shopper {
  const { origin, note } = parts;
  // What every key was first sent with.
  const contents = new Map<string, Content>();
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
  });
  const places = Array.from({ length: parts.tabs }, open);

  function call(
    place: Place,
    kind: "run" | "resume",
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
    // In a page that is gone, nobody is there to be told.
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
    if (kind === "done") {
      note({ kind, call: number, key, value: JSON.stringify(result.value) });
    } else {
      const isMismatch = isIdempotencyError(result.error, "idempotency_conflict");
      const refusal = isMismatch ? "mismatch" : "rejected";
      note({ kind: result.earlier === undefined ? refusal : "earlier", call: number, key });
    }
  }

  function click(place: Place, content: Content): void {
    place.controller = new AbortController();
    const { signal } = place.controller;
    call(place, "run", content, place.tab.order.run(content, { signal }));
  }

  function resumeLast(place: Place): void {
    const { unknown } = place;
    const content = contents.get(unknown?.key ?? "");
    if (unknown !== undefined && content !== undefined) {
      call(place, "resume", content, unknown.resume());
    }
  }

  async function resumePending(place: Place): Promise<void> {
    for (const { key, resume } of await place.tab.client.pending()) {
      const content = contents.get(key);
      if (content !== undefined) call(place, "resume", content, resume());
    }
  }

  async function forget(place: Place): Promise<void> {
    const unfinished = place.unknown ?? (await place.tab.client.pending())[0];
    const content = contents.get(unfinished?.key ?? "");
    if (unfinished === undefined || content === undefined) return;
    note({ kind: "forgotten", key: unfinished.key, ...content });
    await unfinished.forget();
  }

  function leave(place: Place): void {
    place.tab.crash();
    origin.close(place.id);
    for (const number of place.calls.values()) note({ kind: "left open", call: number });
    places[places.indexOf(place)] = open();
  }

  function actIn(place: Place, act: Act): unknown {
    switch (act.kind) {
      case "click":
        return click(place, act.content);
      case "reload":
        return leave(place);
      case "resume pending":
        return resumePending(place);
      case "resume last":
        return resumeLast(place);
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
