/** A disk of a few megabytes that a test can fill. */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallDisk {
  readonly folder: string;
  /** Takes all room that there is left, until the returned function is called. */
  readonly fill: () => () => void;
  readonly remove: () => void;
}

const CHUNK = Buffer.alloc(64 * 1_024, "x");

/** Undefined where this process may not mount one. */
export function mountSmallDisk(bytes: number): SmallDisk | undefined {
  // Root's own TMPDIR may be closed to all other users.
  const folder = mkdtempSync(join(process.getuid?.() === 0 ? "/tmp" : tmpdir(), "oncekey-disk-"));
  const options = `size=${bytes},mode=755`;
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
  if (status !== 0) {
    rmSync(folder, { recursive: true });
    return undefined;
  }
  return {
    folder,
    fill: () => fill(join(folder, "filler")),
    remove() {
      spawnSync("umount", ["--lazy", folder]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function fill(path: string): () => void {
  const file = openSync(path, "w");
  try {
    for (;;) writeSync(file, CHUNK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    closeSync(file);
  }
  return () => rmSync(path);
}
