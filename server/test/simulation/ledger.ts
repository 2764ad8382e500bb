/** What was seen of each key, and whether it can be true of a single effect. */
import type { Ticket } from "../../src/store/store.ts";
import type { Database } from "./database.ts";
import type { Answer, Rules } from "./process.ts";

/** An effect that left the process. */
export interface Outside {
  readonly key: string;
  readonly run: number;
  readonly downstream: string;
}

interface Final {
  readonly ticket: Ticket;
  readonly answer: Answer & { readonly kind: "final" };
}

export interface Ledger {
  /** Counts a start of the handler, from 0. */
  runs(ticket: Ticket): number;
  ends(ticket: Ticket): void;
  happens(effect: Outside): void;
  lostAfterEnd(ticket: Ticket): void;
  stored(ticket: Ticket, body: string): void;
  answered(ticket: Ticket, answer: Answer): void;
  /** What is wrong, or `undefined`. */
  judge(database: Database): string | undefined;
}

/** @param isCalm whether nothing happens that could take a key from a handler that runs. */
export function createLedger(rules: Rules, isCalm: boolean): Ledger {
  const runs = new Map<string, number>();
  const outside: Outside[] = [];
  const stored: { readonly key: string; readonly body: string }[] = [];
  const finals: Final[] = [];
  const running: string[] = [];
  const early: string[] = [];
  return {
    runs({ key }) {
      const run = runs.get(key) ?? 0;
      if (
        rules.strategy !== "lease" &&
        finals.some((final) => final.ticket.key === key && isKept(final))
      )
        early.push(`${key}: was run after it had been answered`);
      if (isCalm && running.includes(key)) early.push(`${key}: was run twice at once`);
      running.push(key);
      runs.set(key, run + 1);
      return run;
    },
    ends: ({ key }) => void running.splice(running.indexOf(key), 1),
    happens: (effect) => void outside.push(effect),
    lostAfterEnd: ({ key }) => void early.push(`${key}: lost a claim that had ended`),
    stored: ({ key }, body) => void stored.push({ key, body }),
    answered(ticket, answer) {
      if (answer.kind === "final") finals.push({ ticket, answer });
    },
    judge(database) {
      const keys = new Set([...runs.keys(), ...finals.map(({ ticket }) => ticket.key)]);
      for (const key of keys) {
        const own = finals.filter(({ ticket }) => ticket.key === key);
        const wrong =
          judgeAnswers(own) ??
          judgeStored(key, own, stored, database) ??
          (rules.strategy === "lease"
            ? judgeOutside(
                outside.filter((effect) => effect.key === key),
                rules,
              )
            : judgeEffects(key, own, database));
        if (wrong !== undefined) return `${key}: ${wrong}`;
      }
      return early[0];
    },
  };
}

/**
 * Whether nobody can be given the key any more once this is answered. It can where the handler's writes were taken back, for
 * between that and the storing of its answer the lock is free; and under a lease that ran out. Then the fence alone decides.
 */
function isKept({ answer }: Final): boolean {
  return answer.status < 300;
}

/** All who got an answer got the same, and those are marked whose request was another than the one that ran. */
function judgeAnswers(finals: readonly Final[]): string | undefined {
  const told = new Set(finals.map(({ answer }) => `${answer.status} ${answer.body}`));
  if (told.size > 1) return `was answered in ${told.size} ways: ${[...told].join("; ")}`;
  for (const { ticket, answer } of finals) {
    // What was decided for a crash was made for whoever runs into it.
    const ran = fingerprintIn(answer.body);
    const differs = ran !== undefined && ran !== ticket.fingerprint.toString("hex");
    if (ran !== undefined && differs !== answer.isMismatch)
      return differs ? "a different request got no mark" : "the same request got the mark";
  }
  return undefined;
}

/** What a caller was told stands in the table, and no second claim was told that its own response does. */
function judgeStored(
  key: string,
  finals: readonly Final[],
  stored: readonly { readonly key: string; readonly body: string }[],
  { rows }: Database,
): string | undefined {
  const claims = stored.filter((one) => one.key === key);
  if (claims.length > 1) return `${claims.length} claims stored their response`;
  const [final] = finals;
  if (final === undefined) return "never came to an end";
  const { scope, target } = final.ticket;
  const row = rows.get(JSON.stringify([key, scope, target]));
  const body = Buffer.from(row?.body ?? "", "hex").toString();
  if (row?.status === final.answer.status && body === final.answer.body) return undefined;
  return `${final.answer.status} ${final.answer.body} was told, ${row?.status} ${body} is stored`;
}

/** One commit: the effect is there once where the answer is a success, and otherwise never was. */
function judgeEffects(
  key: string,
  finals: readonly Final[],
  { effects }: Database,
): string | undefined {
  const own = effects.filter((effect) => effect.key === key);
  const [final] = finals;
  const isDone = final?.answer.status === 201;
  if (own.length !== (isDone ? 1 : 0))
    return `${own.length} effects, and ${final?.answer.status} was told`;
  const run = runIn(final?.answer.body ?? "{}");
  if (isDone && own[0]?.run !== run)
    return `run ${own[0]?.run} had its effect, and run ${run} was told`;
  return undefined;
}

/** Outside of the database nothing is taken back: once, or each time under the same key to pass on. */
function judgeOutside(effects: readonly Outside[], { onCrash }: Rules): string | undefined {
  if (onCrash === "fail" && effects.length > 1) return `${effects.length} effects, never to rerun`;
  const passedOn = new Set(effects.map(({ downstream }) => downstream));
  return passedOn.size > 1 ? "reruns passed different keys on" : undefined;
}

function fingerprintIn(body: string): string | undefined {
  return (JSON.parse(body) as { readonly fingerprint?: string }).fingerprint;
}

function runIn(body: string): number | undefined {
  return (JSON.parse(body) as { readonly run?: number }).run;
}
