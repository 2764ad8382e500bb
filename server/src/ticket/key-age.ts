// A UUIDv7 begins with 48 bits of milliseconds since 1970 (RFC 9562 §5.7).
const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** Whether a key says that it is older than `maxAgeMs`. A key that carries no time never does. */
export function isTooOld(
  key: string,
  maxAgeMs: number | undefined,
  now: number = Date.now(),
): boolean {
  if (maxAgeMs === undefined) return false;
  const match = UUID_V7.exec(key);
  if (match === null) return false;
  return now - Number.parseInt(`${match[1]}${match[2]}`, 16) > maxAgeMs;
}
