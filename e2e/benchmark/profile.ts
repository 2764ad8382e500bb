/** `bench --profile`: the time of a request, in the server's functions and in Postgres' statements. */
import { mkdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PAGES, provenance, table, writePage } from "@oncekey/test-support/reporting/page";
import { openLab, openPool } from "./lab.ts";
import type { Lab } from "./lab.ts";
import { describeMachine } from "./machine.ts";
import type { Machine } from "./machine.ts";
import type { Origin } from "./page.ts";
import type { OnProgress } from "./progress.ts";
import { createKeys, LOAD_CONNECTIONS } from "./rounds.ts";
import type { Plan } from "./settings.ts";
import { KIND_TITLE } from "./table.ts";
import { readStatements } from "./statement-profile.ts";
import { PATH, SUBJECTS } from "./subjects/subjects.ts";
import type { Kind, SubjectName } from "./subjects/subjects.ts";
import { summariseCpuProfile } from "./cpu-profile.ts";
import type { CpuProfile } from "./cpu-profile.ts";

const SHOWN = 25;
const PRELOADED = {
  shared_preload_libraries: "pg_stat_statements",
  "pg_stat_statements.track_planning": "on",
};

/** Folder of the profiles of V8. The DevTools of Chromium open them. */
const FOLDER = join(tmpdir(), "oncekey-profiles");

export interface Profile {
  readonly machine: Machine;
  /** Markdown, a section for each subject and kind. */
  readonly sections: readonly string[];
}

export async function profile(plan: Plan, onProgress: OnProgress): Promise<Profile> {
  await mkdir(FOLDER, { recursive: true });
  const ways = plan.subjects.flatMap((subject) => {
    const own = SUBJECTS.find(({ name }) => name === subject)?.kinds ?? [];
    return plan.kinds.filter((kind) => own.includes(kind)).map((kind) => ({ subject, kind }));
  });
  const lab = await openLab({ settings: PRELOADED });
  try {
    const sections: string[] = [];
    for (const [index, { subject, kind }] of ways.entries()) {
      onProgress(index, ways.length, `${subject}, ${kind}`);
      sections.push(await profileOne(lab, subject, kind, plan));
    }
    console.log(`The profiles of V8 are in ${FOLDER}.`);
    return { machine: await describeMachine(lab), sections };
  } finally {
    await lab.stop();
  }
}

/** Writes the page. @param folder ends with a slash. */
export async function writeProfile(
  { machine, sections }: Profile,
  { command, commit }: Origin,
  folder: string = PAGES,
): Promise<void> {
  const page = `# Profile

${provenance(command, commit)} ${machine.cpu}, ${machine.memoryGiB} GiB, PostgreSQL ${machine.postgres}.

This page divides the time of a request: among the server's packages and functions, as V8 samples them, and among the statements of Postgres, as \`pg_stat_statements\` counts them. The time that Postgres takes for the protocol, for parsing and for the flush of the log is not among its statements. Sampling costs time as well, so compare shares. F0 and F2 are the references of [the benchmark](benchmark.md).

${sections.join("\n")}`;
  await writePage(`${folder}profile.md`, page);
}

async function profileOne(
  lab: Lab,
  subject: SubjectName,
  kind: Kind,
  { slice, warmUp, ring, concurrencies }: Plan,
): Promise<string> {
  const url = await lab.database(subject);
  const server = await lab.start(subject, url);
  const connections = concurrencies.find((one) => one > 1) ?? LOAD_CONNECTIONS;
  const order = { port: server.port, path: PATH[kind], connections, isReplay: undefined };
  const pool = openPool(url);
  try {
    const keys =
      kind === "first" ? "v4" : await createKeys(lab, { port: server.port, kind, count: ring });
    await lab.loader.load({ ...order, keys, until: warmUp });
    await pool.query("create extension if not exists pg_stat_statements");
    await pool.query("select pg_stat_statements_reset()");
    await server.ask({ ask: "start-profile" });
    const { requests } = await lab.loader.load({ ...order, keys, until: slice });
    const file = join(FOLDER, `${subject}-${kind}.cpuprofile`);
    await server.ask({ ask: "write-profile", file });
    const cpu = JSON.parse(await readFile(file, "utf8")) as CpuProfile;
    const statements = await readStatements(pool, requests);
    return [
      `## ${subject}, ${KIND_TITLE[kind].toLowerCase()}`,
      `${requests.toLocaleString("en")} requests over ${connections} connections.`,
      table(summariseCpuProfile(cpu, requests, SHOWN)),
      statements.length > 2 ? `${table(statements)}\n` : "",
    ].join("\n\n");
  } finally {
    await pool.end();
    await server.stop();
  }
}
