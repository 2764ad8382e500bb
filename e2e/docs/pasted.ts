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
  const servers: StartedServer[] = [];
  return {
    path,
    async run(file) {
      const child = launch(path, [SOURCES, file]);
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
      servers.push(await startServer(path, [SOURCES, file], port, environment));
    },
    async remove() {
      for (const server of servers) await server.stop();
      await rm(path, { recursive: true });
    },
  };
}

/** A server in a process of its own. */
export interface StartedServer {
  /** Kills the process and waits for its end. Safe to call twice. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts a server and resolves when its port answers.
 *
 * @param command Arguments of Node.
 */
export async function startServer(
  folder: string,
  command: readonly string[],
  port: number,
  environment?: NodeJS.ProcessEnv,
): Promise<StartedServer> {
  const server = launch(folder, command, environment);
  let output = "";
  for (const stream of [server.stdout, server.stderr]) {
    stream?.on("data", (chunk) => (output += chunk));
  }
  const ended = once(server, "exit");
  const early = ended.then(() => {
    throw new Error(`${command.join(" ")} has ended: ${output}`);
  });
  early.catch(() => undefined);
  await Promise.race([answers(port), early]);
  return {
    async stop() {
      server.kill("SIGKILL");
      await ended;
    },
  };
}

/** Makes Node take the sources of linked packages. */
export const SOURCES = "--conditions=@oncekey/source";

function launch(
  folder: string,
  command: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): ChildProcess {
  return spawn(process.execPath, command, {
    cwd: folder,
    env: { ...process.env, ...environment },
  });
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
