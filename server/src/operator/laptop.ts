/** The operator's page on a person's own machine, for `oncekey ui`: on 127.0.0.1 alone, behind a token that is made for this run. */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { userInfo } from "node:os";
import Fastify from "fastify";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Pool } from "pg";
import { idempotency } from "../plugin.ts";
import { operator } from "./plugin.ts";

export interface Laptop {
  /** Address with the token, which is all that a caller needs to decide. */
  readonly url: string;
  close(): Promise<void>;
}

const HOST = "127.0.0.1";

/** @param port 0: any that is free. */
export async function serveLaptop(pool: Pool, schema: string, port: number): Promise<Laptop> {
  const app = Fastify({ forceCloseConnections: true });
  await app.register(idempotency, { pool, schema, scope: "single-tenant", sweep: false });
  const token = randomBytes(24).toString("base64url");
  const authenticate = createDoor(token);
  await app.register(operator, { authenticate, by: () => userInfo().username });
  const origin = await app.listen({ host: HOST, port });
  return { url: `${origin}/?token=${token}`, close: () => app.close() };
}

/** Other users and pages of this machine can reach the port: the token of the address becomes a cookie, and other names of the host are refused. */
function createDoor(token: string) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    // A page of another site may have given its own name this address.
    if (request.hostname !== HOST && request.hostname !== "localhost") return refuse(reply);
    const name = `oncekey-ui-${request.socket.localPort}`;
    const { token: given } = request.query as Readonly<Record<string, unknown>>;
    if (isToken(given, token)) {
      const cookie = `${name}=${token}; HttpOnly; SameSite=Strict; Path=/`;
      return reply.header("set-cookie", cookie).redirect("/", 303);
    }
    const cookies = (request.headers.cookie ?? "").split(/;\s*/);
    const [, kept] = cookies.find((cookie) => cookie.startsWith(`${name}=`))?.split("=") ?? [];
    return isToken(kept, token) ? undefined : refuse(reply);
  };
}

function refuse(reply: FastifyReply): FastifyReply {
  return reply.code(401).type("text/plain").send("Open the address that oncekey ui has printed.\n");
}

function isToken(given: unknown, token: string): boolean {
  if (typeof given !== "string") return false;
  const [one, other] = [Buffer.from(given), Buffer.from(token)];
  return one.length === other.length && timingSafeEqual(one, other);
}
