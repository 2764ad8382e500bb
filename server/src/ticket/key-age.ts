/** Age of a UUIDv7 key. */
// A UUIDv7 begins with 48 bits of milliseconds since 1970 (RFC 9562 §5.7).
const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

// Above the clock error of a phone, below any age that an operator would set.
const MAX_AHEAD_MS = 5 * 60_000;

/**
 * Whether a key's timestamp is older than `maxAgeMs`, or more than 5 minutes in the future: such a
 * key would outlive its own age limit. A key that carries no time is never out of time.
 */
export function isOutOfTime(
  key: string,
  maxAgeMs: number | undefined,
  now: number = Date.now(),
): boolean {
  if (maxAgeMs === undefined) return false;
  const match = UUID_V7.exec(key);
  if (match === null) return false;
  const ageMs = now - Number.parseInt(`${match[1]}${match[2]}`, 16);
  return ageMs > maxAgeMs || ageMs < -MAX_AHEAD_MS;
}
