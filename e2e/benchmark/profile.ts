/** `bench --profile`: the time of a request, in the server's functions and in Postgres' statements. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { table } from "@oncekey/test-support/reporting/page";
import { openLab } from "./lab.ts";
import type { Lab } from "./lab.ts";
import type { OnProgress } from "./progress.ts";
import { createKeys, LOAD_CONNECTIONS } from "./rounds.ts";
import type { Plan } from "./settings.ts";
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

/** @param folder for the profiles. Default: one of the system's temporary folder. */
export async function profile(
  plan: Plan,
  folder: string = join(tmpdir(), "oncekey-profiles"),
  onProgress: OnProgress,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const ways = plan.subjects.flatMap((subject) => {
    const own = SUBJECTS.find(({ name }) => name === subject)?.kinds ?? [];
    return plan.kinds.filter((kind) => own.includes(kind)).map((kind) => ({ subject, kind }));
  });
  const lab = await openLab({ settings: PRELOADED });
  try {
    for (const [index, { subject, kind }] of ways.entries()) {
      onProgress(index, ways.length, `${subject}, ${kind}`);
      const text = await profileOne(lab, subject, kind, plan, folder);
      await writeFile(join(folder, `${subject}-${kind}.md`), text);
      console.log(text);
    }
  } finally {
    await lab.stop();
  }
}

async function profileOne(
  lab: Lab,
  subject: SubjectName,
  kind: Kind,
  { slice, warmUp, ring, concurrencies }: Plan,
  folder: string,
): Promise<string> {
  const url = await lab.database(subject);
  const server = await lab.start(subject, url);
  const connections = concurrencies.find((one) => one > 1) ?? LOAD_CONNECTIONS;
  const order = { port: server.port, path: PATH[kind], connections, isReplay: undefined };
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  try {
    const keys =
      kind === "first" ? "v4" : await createKeys(lab, { port: server.port, kind, count: ring });
    await lab.loader.load({ ...order, keys, until: warmUp });
    await pool.query("create extension if not exists pg_stat_statements");
    await pool.query("select pg_stat_statements_reset()");
    await server.ask({ ask: "start-profile" });
    const { requests } = await lab.loader.load({ ...order, keys, until: slice });
    const file = join(folder, `${subject}-${kind}.cpuprofile`);
    await server.ask({ ask: "write-profile", file });
    const cpu = JSON.parse(await readFile(file, "utf8")) as CpuProfile;
    const statements = await readStatements(pool, requests);
    return [
      `## ${subject}, ${kind}, ${connections} connections, ${requests} requests`,
      table(summariseCpuProfile(cpu, requests, SHOWN)),
      table(statements),
      `The profile is \`${file}\`.\n`,
    ].join("\n\n");
  } finally {
    await pool.end();
    await server.stop();
  }
}
