/** Checks what must hold for each record at the end of a history. */
import type { Database } from "./database.ts";
import type { Rules } from "./process.ts";
import type { Final, Story } from "./story.ts";

/** For so long another process may replay what was forgotten. */
const FORGET_MS = 60_000;

/** Violation found, or `undefined`. */
export function judge(
  stories: ReadonlyMap<string, Story>,
  database: Database,
  rules: Rules,
): string | undefined {
  const owners = new Map<string, string>();
  for (const [id, story] of stories) {
    const wrong =
      judgeAnswers(story) ??
      judgeStored(story) ??
      (rules.strategy === "lease"
        ? judgeOutside(id, story, owners)
        : judgeEffects(id, story, database));
    if (wrong !== undefined) return `${id}: ${wrong}`;
  }
  return undefined;
}

/** Checks that each answer came from a live record, and that answers to another request are marked. */
function judgeAnswers(story: Story): string | undefined {
  if (story.finals.length + story.gone === 0) return "never came to an end";
  for (const final of story.finals) {
    const wrong = judgeWords(final) ?? judgeTime(final);
    if (wrong !== undefined) return `${wrong}: ${final.answer.status} ${final.answer.body}`;
  }
  return undefined;
}

function judgeWords({ ticket, answer }: Final): string | undefined {
  // A crash decision carries no request: it was made for the one that met the crash.
  const { fingerprint: ran, scope = ticket.scope } = wordsOf(answer.body);
  if (scope !== ticket.scope) return `${ticket.scope} was told what ${scope} did`;
  const differs = ran !== undefined && ran !== ticket.fingerprint.toString("hex");
  if (ran === undefined || differs === answer.isMismatch) return undefined;
  return differs ? "a different request got no mark" : "the same request got the mark";
}

function judgeTime({ kept, at, forgotten }: Final): string | undefined {
  if (kept === undefined) return "was told, and was not stored";
  const { expiresAt, goneAt = at, isForgotten } = kept;
  if (expiresAt <= at) return `was over ${at - expiresAt} ms before it was asked for`;
  if (forgotten.has(kept)) return "was told by a process that had forgotten it";
  if (!isForgotten || at < goneAt + FORGET_MS) return undefined;
  return `was forgotten ${at - goneAt} ms before it was asked for`;
}

/** Checks that no claim reported a stored response that is missing. */
function judgeStored({ stored, kept }: Story): string | undefined {
  const lost = stored.find((body) => kept.every((one) => one.body !== body));
  return lost === undefined ? undefined : `${lost} was said to be stored, and is not`;
}

/** Checks the one commit: each stored record has exactly one effect, that of its run. */
function judgeEffects(id: string, { kept }: Story, { effects }: Database): string | undefined {
  const had = effects.filter((effect) => effect.id === id).map(({ run }) => run);
  const told = kept.filter(({ status }) => status === 201).map(({ body }) => wordsOf(body).run);
  if (had.join() === told.join()) return undefined;
  return `effects of runs [${had.join()}], and [${told.join()}] were stored`;
}

/** Checks effects outside of the database: every repeat passes on the same derived key, and no other record uses it. */
function judgeOutside(
  id: string,
  { outside }: Story,
  owners: Map<string, string>,
): string | undefined {
  if (new Set(outside).size > 1) return "reruns passed different keys on";
  const [passedOn] = outside;
  if (passedOn === undefined) return undefined;
  const owner = owners.get(passedOn) ?? id;
  owners.set(passedOn, owner);
  return owner === id ? undefined : `passed on the key of ${owner}`;
}

interface Words {
  readonly run?: number;
  readonly scope?: string;
  readonly fingerprint?: string;
}

function wordsOf(body: string): Words {
  return JSON.parse(body) as Words;
}
