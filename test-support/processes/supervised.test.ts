import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { supervise, superviseOnFreePort } from "./supervised.ts";
import type { Supervised, Supervision } from "./supervised.ts";

const LISTENS = "console.log(4711); setInterval(() => {}, 1e6)";
const BREAKS = "process.exit(3)";

function supervisionOf(code: string): Supervision {
  return {
    name: "the shop",
    launch: () => spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] }),
    async listening({ stdout }) {
      const [line] = (await once(stdout ?? process.stdin, "data")) as [Buffer];
      return Number(line.toString());
    },
  };
}

function start(code: string, more: Partial<Supervision> = {}): Supervised {
  const server = supervise({ ...supervisionOf(code), ...more });
  onTestFinished(server.stop);
  return server;
}

test("a server that listens has a port until it is killed", async () => {
  const server = start(LISTENS);
  expect(server.port()).toBeUndefined();
  expect(await server.up()).toBe(4711);
  expect(server.port()).toBe(4711);
  server.kill();
  expect(server.port()).toBeUndefined();
  await server.ended;
  await expect(server.up()).rejects.toThrow("the shop has ended: SIGKILL");
  expect(server.unexpectedEnds()).toBe(0);
});

test("a restarted server is up again after a kill and after an end of its own", async () => {
  const server = start(LISTENS, { isRestarted: true });
  await server.up();
  const first = server.child();
  server.kill();
  await server.up();
  expect(server.child().pid).not.toBe(first.pid);
  expect(server.unexpectedEnds()).toBe(0);
  const second = server.child();
  const gone = once(second, "exit");
  second.kill("SIGTERM");
  await gone;
  await server.up();
  expect(server.unexpectedEnds()).toBe(1);
});

test("a server that ends before it listens reports how, and is not started again", async () => {
  const server = start(BREAKS, { isRestarted: true });
  await expect(server.up()).rejects.toThrow("the shop has ended: 3");
  await server.ended;
});

test("a program that does not exist is reported", async () => {
  const server = start("", { launch: () => spawn("/absent/program", { stdio: "pipe" }) });
  await expect(server.up()).rejects.toThrow("the shop has ended: spawn /absent/program ENOENT");
});

test("a stopped server stays down", async () => {
  const server = start(LISTENS, { isRestarted: true });
  await server.up();
  await server.stop();
  expect(server.port()).toBeUndefined();
  await server.ended;
});

test("a program whose port was taken gets another one", async () => {
  const ports: number[] = [];
  const server = await superviseOnFreePort((port) => {
    ports.push(port);
    const code = ports.length < 3 ? BREAKS : `console.log(${port}); setInterval(() => {}, 1e6)`;
    return supervisionOf(code);
  });
  onTestFinished(server.stop);
  expect(ports).toHaveLength(3);
  expect(server.port()).toBe(ports[2]);
});
