/** Records what was observed of one key in one scope: its successive records and every answer made from them. */
import type { Retention, Ticket } from "../../src/store/store.ts";
import type { Change, Row } from "./database.ts";
import { endOf } from "./meaning.ts";
import type { Answer } from "./process.ts";

/** A finished record, from its commit on. Instants are the database's. */
export interface Kept {
  readonly status: number | null;
  readonly body: string;
  readonly expiresAt: number;
  /** Until when its key must run nothing. */
  readonly fenceUntil: number;
  /** When it was deleted or overwritten. */
  goneAt: number | undefined;
  isForgotten: boolean;
}

/** A request at the moment at which it reaches a process. */
export interface Asking {
  readonly ticket: Ticket;
  readonly at: number;
  /** Records that its process has forgotten by then. */
  readonly forgotten: ReadonlySet<Kept>;
}

export type FinalAnswer = Answer & { readonly kind: "final" };

export interface Final extends Asking {
  readonly answer: FinalAnswer;
  /** Record that the answer was made of. */
  readonly kept: Kept | undefined;
}

export interface Story {
  runs: number;
  running: number;
  readonly kept: Kept[];
  /** Rows that were deleted before anything was stored in them. */
  dropped: number;
  /** Effects outside of the database: the key that each passed on. */
  readonly outside: string[];
  readonly stored: string[];
  readonly finals: Final[];
  /** Answers that the response has expired. */
  gone: number;
}

export function createStory(): Story {
  return {
    runs: 0,
    running: 0,
    kept: [],
    dropped: 0,
    outside: [],
    stored: [],
    finals: [],
    gone: 0,
  };
}

/**
 * Applies a change of a row. A record lives until its promised instant unless it is deleted on purpose. A row under a live lease
 * survives even that.
 *
 * @returns the violation, or `undefined`.
 */
export function follow(
  { before, after, isForgotten }: Change,
  story: Story,
  { retentionMs, fenceMs }: Retention,
  now: number,
): string | undefined {
  const last = story.kept.at(-1);
  if (before !== undefined && after !== undefined && isBurial(before, after)) {
    if (before.expiresAt > now) return "became a tombstone before its response was over";
    return endOf(after) < endOf(before) ? "became a tombstone with a shorter fence" : undefined;
  }
  if (before?.status === null && after === undefined) story.dropped += 1;
  if (before !== undefined && before.status !== null && last !== undefined) {
    last.goneAt = now;
    last.isForgotten = isForgotten;
  }
  if (after !== undefined && after.status !== null) {
    const { status, expiresAt, createdAt } = after;
    const body = Buffer.from(after.body ?? "", "hex").toString();
    const fenceUntil = endOf(after);
    story.kept.push({ status, body, expiresAt, fenceUntil, goneAt: undefined, isForgotten: false });
    const keptMs = Math.ceil(expiresAt - createdAt / 1_000);
    if (keptMs < retentionMs) return `is kept for ${keptMs} ms of ${retentionMs}`;
    const fencedMs = Math.ceil(fenceUntil - createdAt / 1_000);
    if (fencedMs < fenceMs) return `is fenced for ${fencedMs} ms of ${fenceMs}`;
  }
  if (before === undefined) return undefined;
  if (after === undefined && (before.leaseUntil ?? 0) > now) return "was deleted under its owner";
  if (endOf(before) <= now || isForgotten) return undefined;
  if (after === undefined) return "was deleted before it was over";
  return before.status === null ? undefined : "was overwritten before it was over";
}

function isBurial(before: Row, after: Row): boolean {
  return before.createdAt === after.createdAt && before.headers !== null && after.headers === null;
}

/** Returns the record behind an answer: the latest with this body, since answers to a crash are equal each time. */
export function keptOf({ status, body }: FinalAnswer, { kept }: Story): Kept | undefined {
  return kept.findLast((one) => one.status === status && one.body === body);
}

/** Whether the key of the record must run nothing. */
export function isLive(kept: Kept | undefined, now: number): boolean {
  return kept !== undefined && kept.goneAt === undefined && kept.fenceUntil > now;
}
