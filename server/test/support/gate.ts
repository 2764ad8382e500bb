/** A door that a test holds shut: races are made, not hoped for. */

export interface Gate {
  /** Waits until the gate is opened, and notifies the test of the arrival. */
  pass(): Promise<void>;
  open(): void;
  /** Resolves when the first one has come to the gate. */
  readonly reached: Promise<void>;
  readonly passed: () => number;
}

export function createGate(): Gate {
  const door = Promise.withResolvers<void>();
  const arrival = Promise.withResolvers<void>();
  let passed = 0;
  return {
    async pass() {
      passed += 1;
      arrival.resolve();
      await door.promise;
    },
    open: () => door.resolve(),
    reached: arrival.promise,
    passed: () => passed,
  };
}
