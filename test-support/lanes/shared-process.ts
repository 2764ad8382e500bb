/** Vitest's setup of each test file that shares its process with others. */
import { afterAll, vi } from "vitest";

// Our own modules are loaded anew, so that no state of theirs outlives a file. Packages stay loaded.
vi.resetModules();
const before = new Set(Object.getOwnPropertyNames(globalThis));

afterAll(() => {
  const left = Object.getOwnPropertyNames(globalThis).filter((name) => !before.has(name));
  if (left.length > 0) throw new Error(`globals left for the next file: ${left.join(", ")}`);
  if (vi.isFakeTimers()) throw new Error("fake timers left for the next file");
});
