/** The page about a run: made by the run itself, from what it measured. */
import { BOUNDARIES } from "./protocol/boundaries.ts";
import type { RunReport } from "./one-run/run.ts";
import type { Abandoned } from "./checker/abandoned.ts";
import { formatVerdict } from "./checker/verdict.ts";
import { summarize } from "./mutants/hunted.ts";
import type { Hunted } from "./mutants/hunted.ts";
import { provenance, table } from "@oncekey/test-support/reporting/page";

const ENDS = {
  whole: "The whole programme ran.",
  "out of time":
    "It ran out of time before the whole programme was done; what ran is judged whole, but that keys come to an end (I7) only of those that were asked for again.",
  interrupted:
    "It was interrupted: not every key was asked for again, what was still held was not read, and what had happened until then is judged.",
} as const;

/** @param hunted the planted bugs that were hunted after the run. */
export function formatReport(report: RunReport, hunted: Hunted, commit: string): string {
  const { verdict, dealt, undealt, caused, seed, operations } = report;
  const races = Object.entries(verdict.races).map(([name, count]) => [name, String(count)]);
  const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;
  return `# What tried to break the promise${report.isPartitioned ? " of a table with partitions" : ""}

${provenance(`test:faults --seed ${seed}${report.share === 1 ? "" : ` --share ${report.share}`}${report.isPartitioned ? " --partitioned" : ""}`, commit)} ${ENDS[report.end]}

\`\`\`text
${formatVerdict(verdict)}
\`\`\`

Four server processes on one PostgreSQL: two of them on direct connections (one with \`pipeline: true\`, their clocks an hour fast and an
hour slow), one behind a TCP proxy that breaks COMMITs, one ${report.isPooled ? "behind PgBouncer in transaction mode" : "on direct connections too: **this machine has no PgBouncer**"}. 64 clients: ours, our \`fetch\`, undici with its own
retries, and one that repeats whatever fails. The records are ${report.isPartitioned ? "partitioned by the day of their key; days come and go beside the load" : "one table"}. What is judged, and how, is in \`e2e/chaos/checker\`.

| | |
| --- | --- |
${table([
  ["operations", String(operations)],
  ["attempts", String(verdict.attempts)],
  ["keys (scope, key, target)", String(verdict.tickets)],
  ["effects", String(verdict.effects)],
  ["violations", String(verdict.violations.length)],
  ["repeats that got 410, because the response had expired", String(verdict.tombstones)],
  ...(report.isPartitioned
    ? [["attempts that got 412, because the day of their key was over", String(verdict.dropped)]]
    : []),
  ["time under load", seconds(report.loadMs)],
  ["time to ask for every key again", seconds(report.settleMs)],
  ["keys that there was no time to ask for again", String(report.evidence.unasked.length)],
])}

## Faults

Servers are stopped at a boundary when they are struck. The boundaries are ${BOUNDARIES.map(({ name, what }) => `${name} (${what})`).join(", ")}.

| fault | times |
| --- | --- |
${table([
  ["SIGKILL of a server at a boundary", String(dealt.kill)],
  ["SIGSTOP for longer than lease and transaction last, then SIGCONT", String(dealt.pause)],
  [
    "`pg_terminate_backend` of all sessions of a server that stands at a boundary",
    String(dealt.terminate),
  ],
  ["PostgreSQL crash and recovery while a server stands at a boundary", String(dealt.crash)],
  [
    "planned faults, COMMITs to be broken included, that did not come about in time",
    String(undealt),
  ],
  ...Object.entries(caused).map(([name, count]) => [NAMES[name] ?? name, String(count)] as const),
])}

A COMMIT counts whosever it is on the line of that server: those of requests, and those of heartbeats, claims and sweeps between them.

## Clients that never come back

Lease keys that were sent once, to a server that was killed while the handler worked. Crash recovery, the sweep or an operator has to
end each of them, with a row of the audit.

| keys | |
| --- | --- |
${table(Object.entries(verdict.abandoned).map(([name, count]) => [OUTCOMES[name as keyof Abandoned], String(count)]))}

## Races

Keys of which a duplicate was under way at another server while the request that ran was.

| strategy | races |
| --- | --- |
${table(races)}

## Would it have been noticed?

After the run the same rig looked for quick [planted bugs](planted-bugs.md): ${summarize(hunted)}
`;
}

const OUTCOMES: Readonly<Record<keyof Abandoned, string>> = {
  keys: "sent",
  notBegun: "never begun: the server was struck or refused them",
  finished: "finished by the handler, whose answer found no client",
  resolved: "resolved, by `onCrash` in crash recovery or by the operator",
  forgotten: "forgotten by the operator",
  expired: "expired without a decision, announced by the sweep",
};

const NAMES: Readonly<Record<string, string>> = {
  "drop-request": "COMMIT lost on its way to the database",
  "drop-answer": "COMMIT's answer lost on its way back",
  delay: "COMMIT late",
  "half-open": "line half open at COMMIT",
  "rig stood still": "the rig itself stalled for a second or more",
  "pooler killed": "PgBouncer killed and started again",
  "pool ended": "pool of a route ended and replaced by its application while requests used it",
  "table wrapped": "20,000 expired rows put into the table, to be swept beside the load",
  "clients vanished": "SIGKILL of a server whose clients never came back, 50 leases each",
  "callers hung up": "callers that hung up on a handler or a reply stream without end",
  "day added": "partition of a day added by a server beside the load, records of its keys included",
  "day dropped": "partition of a day dropped by a server beside the load",
  "pool taken": "all connections of a server's pool taken by its own application",
};
