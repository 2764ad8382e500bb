/** The stand-in for a shop's sign-in: every browser is a shopper, and a cookie identifies it. */
const COOKIE = /(?:^|;\s*)shopper=([\w-]+)/;

/** Returns the shopper of a `Cookie` header, if it is known. */
export function shopperOf(cookie: string | undefined): string | undefined {
  return COOKIE.exec(cookie ?? "")?.[1];
}

/** The `Set-Cookie` value that makes a newcomer a shopper. */
export function signIn(): string {
  return `shopper=${crypto.randomUUID()}; Path=/; HttpOnly; SameSite=Lax`;
}
