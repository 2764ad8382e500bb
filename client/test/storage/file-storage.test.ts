import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chmod, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { fileStorage } from "@oncekey/client/node";
import { storageContract } from "@oncekey/client/storage-contract";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withEffects } from "../support/effects.ts";
import { cart, createShop } from "../support/shop.ts";
import { RECORD } from "../support/tabs.ts";
import { done, withServer } from "../support/server.ts";

const SHOPPER = fileURLToPath(new URL("../support/shopper.ts", import.meta.url));
const EXEC_ARGV = ["--conditions=@oncekey/source", "--no-warnings"];

let root = "";
let count = 0;
const newFolder = (): string => join(root, String((count += 1)));
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), "oncekey-"))));
afterAll(() => rm(root, { recursive: true }));

describe("fileStorage keeps the contract of storages:", () => {
  let folder: string;
  const checks = storageContract({
    open: () => fileStorage((folder = newFolder())),
    reopen: () => fileStorage(folder),
  });
  for (const { title, run } of checks) it(title, run);
});

describe("fileStorage", () => {
  it("can be read by its owner alone", async () => {
    const folder = newFolder();
    await fileStorage(folder).setItem("order", "secret");
    const [file = ""] = await readdir(folder);
    const modes = [await stat(folder), await stat(join(folder, file))].map(
      ({ mode }) => mode % 512,
    );
    expect(modes).toEqual([0o700, 0o600]);
  });

  it("refuses a folder that is none", () => {
    expect(() => fileStorage("")).toThrow(
      new TypeError("folder must be a string that is not empty, got "),
    );
    expect(() => fileStorage(undefined as never)).toThrow(TypeError);
  });

  it("clears away what a killed process was writing, and nothing that is written right now", async () => {
    const folder = newFolder();
    const storage = fileStorage(folder);
    await storage.setItem("order", "1");
    const [file] = await readdir(folder);
    const [old, fresh] = [`${file}.1.tmp`, `${file}.2.tmp`];
    await Promise.all([old, fresh].map((name) => writeFile(join(folder, name), "half")));
    await utimes(join(folder, old), 1, 1);
    expect(await storage.getAllKeys()).toEqual(["order"]);
    expect((await readdir(folder)).toSorted()).toEqual([file, fresh]);
  });

  it("passes a damaged file over with a warning, and files of others in silence", async () => {
    const folder = newFolder();
    await withServer([done], async ({ url }) => {
      const storage = { ...fileStorage(folder), namespace: "shop" };
      const { order, client, warnings } = createShop(url, { storage });
      await fileStorage(folder).setItem(RECORD, "{}");
      const [file = ""] = await readdir(folder);
      for (const damage of ["", "\0\0\0\0", `"${RECORD}"\n{"ver`]) {
        await writeFile(join(folder, file), damage);
        await writeFile(join(folder, "notes.md"), "mine");
        expect(await client.pending()).toEqual([]);
        expect((await order.run(cart)).kind).toBe("done");
      }
      expect(new Set(warnings.map(({ code }) => code))).toEqual(new Set(["storage_entry_ignored"]));
      expect(await readFile(join(folder, "notes.md"), "utf8")).toBe("mine");
    });
  });

  it("leaves nothing half written where the disk refuses", async () => {
    const file = newFolder();
    await writeFile(file, "a file where the folder should be");
    await withServer([done], async ({ url }) => {
      const { order, warnings } = createShop(url, { storage: fileStorage(file) });
      expect((await order.run(cart)).kind).toBe("done");
      expect(warnings.map(({ code }) => code)).toContain("storage_failed");
      await chmod(file, 0o600);
      expect(await readFile(file, "utf8")).toBe("a file where the folder should be");
    });
  });
});

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [...EXEC_ARGV, SHOPPER, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

async function resultOf(child: ChildProcess): Promise<{ kind: string; key: string }> {
  if (child.stdout === null) throw new Error("a shopper prints its result");
  return JSON.parse(await text(child.stdout)) as { kind: string; key: string };
}

describe("a process that is killed in the middle of an operation", () => {
  it.each(["run", "resume"])(
    "settles it when it is started again, with the same key: %s",
    async (move) => {
      await withEffects(async ({ url, seen, effects, answer }) => {
        const folder = newFolder();
        const first = start(url, folder, "run");
        await expect.poll(() => seen.length).toBe(1);
        first.kill("SIGKILL");
        answer();
        const result = await resultOf(start(url, folder, move));
        expect(result).toEqual({ kind: "done", key: seen[0]?.key });
        expect(effects.size, "one effect").toBe(1);
        expect(await readdir(folder)).toEqual([]);
      });
    },
  );
});

describe("two processes on one folder", () => {
  it("send the same key, once the first has written it down", async () => {
    await withEffects(async ({ url, seen, effects, answer }) => {
      const folder = newFolder();
      const first = resultOf(start(url, folder));
      await expect.poll(() => seen.length).toBe(1);
      const second = resultOf(start(url, folder));
      await expect.poll(() => seen.length).toBe(2);
      answer();
      expect(await second).toEqual(await first);
      expect([effects.size, await readdir(folder)]).toEqual([1, []]);
    });
  });
});

describe("two threads on one folder", () => {
  it("make one request, and both have its result", async () => {
    await withEffects(async ({ url, seen, answer }) => {
      const folder = newFolder();
      const told: unknown[] = [];
      const threads = [1, 2].map(
        () => new Worker(SHOPPER, { workerData: [url, folder], execArgv: EXEC_ARGV }),
      );
      for (const thread of threads) thread.on("message", (message) => told.push(message));
      await expect.poll(() => told).toEqual(["waiting"]);
      answer();
      await Promise.all(threads.map((thread) => once(thread, "exit")));
      const result = { kind: "done", key: seen[0]?.key };
      expect([told, seen.length]).toEqual([["waiting", result, result], 1]);
      expect(await readdir(folder)).toEqual([]);
    });
  });
});
