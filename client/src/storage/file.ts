/** Storage in files of a folder, for Node: one file an entry, written atomically. */
import { createHash, randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { OperationStorage } from "./storage.ts";

/** Files that a killed process left half-written are deleted after this time. */
const LEFTOVER_MS = 60_000;

/**
 * Keeps operations in a folder, one file each: through a crash of the process, SIGKILL included,
 * and of the machine. A file is written beside its place, flushed to the disk (fsync) and renamed,
 * so that it is there whole or not at all. Folder and files are readable for their owner alone
 * (0700, 0600); they hold the bodies of requests.
 *
 * Threads of a process take turns with an instance if Node has Web Locks (24 and later). Processes
 * do not: each sends, but all of them use the key that was written first. This needs hard links,
 * which all file systems but FAT have. After an earlier operation of the instance, two processes can
 * still get a key each. This takes writes within the same milliseconds, or a process that learns of
 * the earlier rejection after another process is done.
 *
 * @param folder created if it is missing. Never deleted.
 * @throws TypeError if it is no string, or empty.
 */
export function fileStorage(folder: string): OperationStorage {
  if (typeof (folder as unknown) !== "string" || folder === "") {
    throw new TypeError(`folder must be a string that is not empty, got ${folder}`);
  }
  const root = resolve(folder);
  // A digest is a name on every file system: of one length, of one case, without separators.
  const pathOf = (name: string): string =>
    join(root, `${createHash("sha256").update(name).digest("hex")}.txt`);

  // `place` decides what becomes of a file that is there: a rename replaces it, a link is refused.
  async function put(name: string, value: string, place: typeof rename): Promise<void> {
    await mkdir(root, { recursive: true, mode: 0o700 });
    const path = pathOf(name);
    const draft = `${path}.${randomUUID()}.tmp`;
    try {
      await writeFlushed(draft, `${JSON.stringify(name)}\n${value}`);
      await place(draft, path);
    } finally {
      await rm(draft, { force: true });
    }
    await flushFolder(root);
  }

  return {
    sharedAs: `file:${root}`,
    async getItem(name) {
      const text = await orIfMissing(readFile(pathOf(name), "utf8"), null);
      return text === null ? null : parse(text).value;
    },
    async addItem(name, value) {
      let isAdded = true;
      await put(name, value, async (draft, path) => {
        try {
          await link(draft, path);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
          isAdded = false;
        }
      });
      return isAdded;
    },
    setItem: (name, value) => put(name, value, rename),
    async removeItem(name) {
      await rm(pathOf(name), { force: true });
      await orIfMissing(flushFolder(root), undefined);
    },
    async getAllKeys() {
      const files = await orIfMissing(readdir(root), []);
      const names = await Promise.all(files.map((file) => nameOf(join(root, file))));
      return names.filter((name) => name !== undefined);
    },
  };
}

async function nameOf(path: string): Promise<string | undefined> {
  if (path.endsWith(".tmp")) await deleteLeftover(path);
  if (!path.endsWith(".txt")) return undefined;
  // Another process may have removed it since the folder was read.
  return parse(await orIfMissing(readFile(path, "utf8"), "")).name;
}

async function deleteLeftover(path: string): Promise<void> {
  const writtenAt = await orIfMissing(
    stat(path).then(({ mtimeMs }) => mtimeMs),
    undefined,
  );
  if (writtenAt === undefined || Date.now() - writtenAt < LEFTOVER_MS) return;
  await rm(path, { force: true });
}

// The name is the first line, as JSON: the file's own name is a digest.
function parse(text: string): { readonly name: string | undefined; readonly value: string } {
  const end = text.indexOf("\n");
  try {
    const name: unknown = JSON.parse(text.slice(0, end));
    if (end > 0 && typeof name === "string") return { name, value: text.slice(end + 1) };
  } catch {
    // Not ours, or damaged: its reader finds that out from the content.
  }
  return { name: undefined, value: text };
}

async function writeFlushed(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Makes a rename or a removal last. If folders cannot be opened, as on Windows, the system does it
 * by itself.
 */
async function flushFolder(root: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(root, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function orIfMissing<Value, Otherwise>(
  promise: Promise<Value>,
  otherwise: Otherwise,
): Promise<Value | Otherwise> {
  try {
    return await promise;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return otherwise;
    throw error;
  }
}
