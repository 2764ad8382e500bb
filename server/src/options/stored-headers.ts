/** Response headers that a record may keep. */

/**
 * The default of `storeHeaders`: headers that describe the stored body or locate its resource, and
 * none about one reader.
 */
export const STORED_HEADERS: readonly string[] = Object.freeze([
  "content-type",
  "content-language",
  "content-disposition",
  "content-location",
  "etag",
  "last-modified",
  "link",
  "location",
]);

// Headers that are never stored: credentials and cookies, hop-by-hop fields (RFC 9110 §7.6.1), and
// what Node or a proxy computes for each reply. Headers that must be live at a replay are not
// stored either: security, CORS, caching, limits, and our own.
const NEVER: readonly RegExp[] = [
  /^(set-cookie2?|authorization|www-authenticate|authentication-info|clear-site-data)$/,
  /^(connection|keep-alive|te|trailer|transfer-encoding|upgrade|date|server|content-length|content-encoding|age|vary)$/,
  /^(cache-control|expires|pragma|retry-after|strict-transport-security|content-security-policy.*)$/,
  /^(proxy-|access-control-|x-ratelimit-|ratelimit|cross-origin-|idempot)/,
];
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Checks a list of header names. Returns it in lower case with `content-type`, without which a body
 * means nothing.
 *
 * @throws TypeError if it is no list of header names, or names a header that is never kept.
 */
export function storableHeaders(option: string, names: unknown): ReadonlySet<string> {
  if (!Array.isArray(names)) throw new TypeError(`${option} must be a list of header names`);
  const kept = new Set(["content-type"]);
  for (const name of names) {
    if (typeof name !== "string" || !TOKEN.test(name)) {
      throw new TypeError(`${option} must be a list of header names, got ${JSON.stringify(name)}`);
    }
    const lower = name.toLowerCase();
    if (NEVER.some((pattern) => pattern.test(lower))) {
      throw new TypeError(
        `${option} must not name ${lower}: cookies, credentials, hop-by-hop, caching, CORS and rate-limit headers are never kept`,
      );
    }
    kept.add(lower);
  }
  return kept;
}
