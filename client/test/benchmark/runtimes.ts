/** The runtimes of the measurement, and the heap profiler that both have. */
import { createServer } from "node:http";
import { Session } from "node:inspector/promises";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import { bundle } from "@oncekey/test-support/browser/bundle";
import { call } from "./subjects.ts";
import type { Subject } from "./subjects.ts";

export interface Runtime {
  readonly name: string;
  /** Calls a subject, one call after the other, and returns the mean of their times in µs. */
  readonly time: (subject: Subject, calls: number) => Promise<number>;
  /** Returns the mean of the bytes that a call allocates, whether they are collected or not. */
  readonly allocate: (subject: Subject, calls: number) => Promise<number>;
  readonly close: () => Promise<void>;
}

export const OPEN: readonly (() => Promise<Runtime>)[] = [openNode, openChromium];

// V8 scales the samples up to what all calls allocate.
const SAMPLING = {
  samplingInterval: 512,
  includeObjectsCollectedByMajorGC: true,
  includeObjectsCollectedByMinorGC: true,
};

interface ProfileNode {
  readonly selfSize: number;
  readonly children: readonly ProfileNode[];
}

interface Profiler {
  readonly start: () => Promise<unknown>;
  readonly stop: () => Promise<{ readonly profile: { readonly head: ProfileNode } }>;
}

async function sample(profiler: Profiler, calls: number, use: () => unknown): Promise<number> {
  await profiler.start();
  await use();
  const { profile } = await profiler.stop();
  return sizeOf(profile.head) / calls;
}

function sizeOf({ selfSize, children }: ProfileNode): number {
  return children.reduce((sum, child) => sum + sizeOf(child), selfSize);
}

async function openNode(): Promise<Runtime> {
  const session = new Session();
  session.connect();
  const profiler: Profiler = {
    start: () => session.post("HeapProfiler.startSampling", SAMPLING),
    stop: () => session.post("HeapProfiler.stopSampling"),
  };
  return {
    name: `Node ${process.versions.node}`,
    time: call,
    allocate: (subject, calls) => sample(profiler, calls, () => call(subject, calls)),
    close: async () => session.disconnect(),
  };
}

async function openChromium(): Promise<Runtime> {
  const subjects = fileURLToPath(new URL("./subjects.ts", import.meta.url));
  const { code } = await bundle(`export { call } from ${JSON.stringify(subjects)}`, "iife");
  // An origin of its own, so that the page has localStorage and Web Locks.
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "text/html").end("<!doctype html><title>Shop</title>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { browser, close } = await launchBrowser();
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.addScriptTag({ content: code });
  const session = await page.context().newCDPSession(page);
  const profiler: Profiler = {
    start: () => session.send("HeapProfiler.startSampling", SAMPLING),
    stop: () => session.send("HeapProfiler.stopSampling"),
  };
  const time = (subject: Subject, calls: number): Promise<number> =>
    page.evaluate<number>(`bundle.call(${JSON.stringify(subject)}, ${calls})`);
  return {
    name: `Chromium ${browser.version()}`,
    time,
    allocate: (subject, calls) => sample(profiler, calls, () => time(subject, calls)),
    async close() {
      await close();
      server.close();
    },
  };
}
