/** Records what was observed of every record, and judges whether a single effect explains it. */
import type { Ticket } from "../../src/store/store.ts";
import { idOf } from "./database.ts";
import type { Change, Database } from "./database.ts";
import { judge } from "./judge.ts";
import type { Answer, Rules } from "./process.ts";
import { createStory, follow, isLive, keptOf } from "./story.ts";
import type { Asking, Final, Kept, Story } from "./story.ts";

export interface Ledger {
  /** Counts a start of the handler, from 0. */
  runs(ticket: Ticket): number;
  ends(ticket: Ticket): void;
  happens(ticket: Ticket, downstream: string): void;
  lostAfterEnd(ticket: Ticket): void;
  stored(ticket: Ticket, body: string): void;
  changed(change: Change): void;
  asks(ticket: Ticket, process: object): Asking;
  answered(asking: Asking, answer: Answer): void;
  /** Called when a process reports the record as deleted. */
  forgot(ticket: Ticket, process: object): void;
  /** Violation found, or `undefined`. */
  judge(database: Database): string | undefined;
}

/**
 * @param isCalm whether nothing happens that could take a key from a handler that runs.
 * @param now the database's clock.
 */
export function createLedger(rules: Rules, isCalm: boolean, now: () => number): Ledger {
  const stories = new Map<string, Story>();
  const forgotten = new Map<object, Set<Kept>>();
  const early: string[] = [];
  const storyOf = (id: string): Story => {
    const story = stories.get(id) ?? createStory();
    stories.set(id, story);
    return story;
  };
  const of = (ticket: Ticket): Story => storyOf(idOf(ticket));
  const accuse = (id: string, what: string): void => void early.push(`${id}: ${what}`);
  return {
    runs(ticket) {
      const story = of(ticket);
      const isFenced = rules.strategy !== "lease" || isCalm;
      const isAnswered = story.finals.some((final) => isDone(final) && isLive(final.kept, now()));
      if (isFenced && isAnswered) accuse(idOf(ticket), "was run after it had been answered");
      if (isCalm && story.running > 0) accuse(idOf(ticket), "was run twice at once");
      story.running += 1;
      story.runs += 1;
      return story.runs - 1;
    },
    ends: (ticket) => void (of(ticket).running -= 1),
    happens(ticket, downstream) {
      const story = of(ticket);
      story.outside.push(downstream);
      // After a record has expired another one may begin with its own effect; a late effect belongs to the earlier record.
      const over = story.kept.filter((kept) => !isLive(kept, now())).length + story.dropped;
      const count = story.outside.length;
      if (rules.onCrash === "fail" && count > over + 1)
        accuse(idOf(ticket), `${count} effects, never to rerun, and ${over} records are over`);
    },
    lostAfterEnd: (ticket) => accuse(idOf(ticket), "lost a claim that had ended"),
    stored: (ticket, body) => void of(ticket).stored.push(body),
    changed(change) {
      const wrong = follow(change, storyOf(change.id), rules, now());
      if (wrong !== undefined) accuse(change.id, wrong);
    },
    asks(ticket, process) {
      // Reserves the place of its story: a story that never ends is then missed.
      of(ticket);
      return { ticket, at: now(), forgotten: new Set(forgotten.get(process)) };
    },
    answered(asking, answer) {
      if (answer.kind === "gone") of(asking.ticket).gone += 1;
      if (answer.kind !== "final") return;
      const story = of(asking.ticket);
      story.finals.push({ ...asking, answer, kept: keptOf(answer, story) });
    },
    forgot(ticket, process) {
      const gone = of(ticket).kept.filter(({ isForgotten }) => isForgotten);
      forgotten.set(process, new Set([...(forgotten.get(process) ?? []), ...gone]));
    },
    judge: (database) => early[0] ?? judge(stories, database, rules),
  };
}

/**
 * Whether no other request can claim the key once this one is answered. Two exceptions leave the decision to the fence: rolled-back
 * writes, because the lock is free until the answer is stored, and a lease that expired.
 */
function isDone({ answer }: Final): boolean {
  return answer.status < 300;
}
