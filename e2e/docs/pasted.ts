/** Runs code as a reader pastes it: files in a folder of their own, beside the packages that it imports. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const MODULES = join(import.meta.dirname, "../node_modules");

/** A folder of pasted files. */
export interface PastedFolder {
  readonly path: string;
  /** Runs a file to its end and returns its output. */
  readonly run: (file: string) => Promise<string>;
  /** Starts a server and resolves when its port answers. */
  readonly serve: (file: string, port: number, environment?: NodeJS.ProcessEnv) => Promise<void>;
  /** Ends the servers and deletes the folder. */
  readonly remove: () => Promise<void>;
}

/** Writes files by their names, for example `server.mts`. */
export async function paste(files: Readonly<Record<string, string>>): Promise<PastedFolder> {
  const path = await mkdtemp(join(tmpdir(), "pasted-"));
  await symlink(MODULES, join(path, "node_modules"));
  for (const [name, code] of Object.entries(files)) await writeFile(join(path, name), code);
  const servers: ChildProcess[] = [];

  function start(file: string, environment: NodeJS.ProcessEnv = {}): ChildProcess {
    return spawn(process.execPath, ["--conditions=@oncekey/source", file], {
      cwd: path,
      env: { ...process.env, ...environment },
    });
  }
  return {
    path,
    async run(file) {
      const child = start(file);
      const { stdout, stderr } = child;
      if (stdout === null || stderr === null) throw new Error(`${file} has no output`);
      const [out, err, [code]] = await Promise.all([
        text(stdout),
        text(stderr),
        once(child, "exit"),
      ]);
      if (code !== 0) throw new Error(`${file} ended with ${String(code)}: ${out}${err}`);
      return out;
    },
    async serve(file, port, environment) {
      const server = start(file, environment);
      servers.push(server);
      let output = "";
      for (const stream of [server.stdout, server.stderr])
        stream?.on("data", (chunk) => (output += chunk));
      const ended = once(server, "exit").then(() => {
        throw new Error(`${file} has ended: ${output}`);
      });
      await Promise.race([answers(port), ended]);
      ended.catch(() => undefined);
    },
    async remove() {
      for (const server of servers) {
        if (server.exitCode !== null) continue;
        server.kill("SIGKILL");
        await once(server, "exit");
      }
      await rm(path, { recursive: true });
    },
  };
}

/** Resolves when something listens on the port. */
async function answers(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "localhost");
    const isOpen = await Promise.race([
      once(socket, "connect").then(() => true),
      once(socket, "close").then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Returns the TypeScript blocks of a page, in their order. */
export function blocksOf(page: string): readonly string[] {
  return [...page.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = ""]) => code);
}
