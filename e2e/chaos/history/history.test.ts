import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createHistory, readLines, writeLines } from "./history.ts";

test("a history comes back from its file as it was, each event with its instant", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oncekey-history-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "history.jsonl");
  const history = createHistory();
  const attempt = history.invoke({
    process: "client 1",
    server: "A",
    operation: "op1",
    scope: "ada",
    key: "k1",
    target: "POST /orders",
    fingerprint: "f1",
  });
  history.add({ kind: "info", attempt, reason: 'a line\nbreak and a "quote"' });
  await writeLines(file, history.events);
  expect(await readLines(file)).toEqual(history.events);
  const [invoke, info] = history.events;
  expect(info?.atMs).toBeGreaterThanOrEqual(invoke?.atMs ?? Infinity);
});
