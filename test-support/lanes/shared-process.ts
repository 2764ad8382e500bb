/** Vitest's setup of each test file that shares its process with others. */
import { afterAll, vi } from "vitest";

// Our own modules are loaded anew, so that no state of theirs outlives a file. Packages stay loaded.
vi.resetModules();

afterAll(() => {
  vi.useRealTimers();
});
