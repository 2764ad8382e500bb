/** Gives this process a wall clock that is wrong by so many milliseconds. */
export function shiftClock(byMs: number): void {
  if (byMs === 0) return;
  const RealDate = Date;
  const now = (): number => RealDate.now() + byMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, given: unknown[], self) =>
      Reflect.construct(target, given.length === 0 ? [now()] : given, self) as object,
    get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
  });
}
