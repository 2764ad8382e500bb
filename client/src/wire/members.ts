/** Members that a request may have. */
const MEMBERS = [
  "cache",
  "credentials",
  "integrity",
  "keepalive",
  "mode",
  "redirect",
  "referrer",
  "referrerPolicy",
] as const;

/** Returns the members of a request that are not the defaults of its platform. Some platforms throw for the rest. */
export function membersOf(asked: Request): RequestInit {
  const plain = new Request(asked.url);
  const own = MEMBERS.filter((name) => asked[name] !== plain[name]);
  return Object.fromEntries(own.map((name) => [name, asked[name]]));
}
