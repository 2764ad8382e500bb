/** One kept-alive HTTP/1.1 connection that costs a load generator little: whole requests as bytes, and as much of a reply as is needed. */
import { once } from "node:events";
import net from "node:net";

export interface Reply {
  readonly status: number;
  readonly isReplay: boolean;
}

export interface HttpConnection {
  /** Sends one request. A second one has to wait for the reply of the first. */
  send(request: string): Promise<Reply>;
  close(): void;
}

const END_OF_HEAD = "\r\n\r\n";
const LENGTH = /\r\ncontent-length: (\d+)/i;
const REPLAY = /\r\nidempotent-replayed: true|\r\nx-replayed: 1/i;

export async function openConnection(port: number): Promise<HttpConnection> {
  const socket = net.connect(port, "127.0.0.1").setNoDelay(true);
  socket.setEncoding("latin1");
  let resolve: ((reply: Reply) => void) | undefined;
  let reject: ((error: Error) => void) | undefined;
  let received = "";
  socket.on("data", (chunk: string) => {
    received = received === "" ? chunk : received + chunk;
    const reply = readReply(received);
    if (reply === undefined) return;
    received = "";
    resolve?.(reply);
  });
  socket.on("error", (error) => reject?.(error));
  socket.on("close", () => reject?.(new Error("the server closed the connection")));
  await once(socket, "connect");
  return {
    send: (request) =>
      new Promise<Reply>((onReply, onError) => {
        resolve = onReply;
        reject = onError;
        socket.write(request, "latin1");
      }),
    close() {
      reject = undefined;
      socket.destroy();
    },
  };
}

/** @param tenant the scope of the caller, for a route whose option `scope` reads it. */
export function postRequest(path: string, key: string, body: string, tenant?: string): string {
  const scope = tenant === undefined ? "" : `x-tenant: ${tenant}\r\n`;
  return `POST ${path} HTTP/1.1\r\nhost: shop\r\n${scope}content-type: application/json\r\nidempotency-key: ${key}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Returns the reply, or `undefined` if it is not whole yet. */
function readReply(received: string): Reply | undefined {
  const end = received.indexOf(END_OF_HEAD);
  if (end === -1) return undefined;
  const head = received.slice(0, end);
  const length = Number(LENGTH.exec(head)?.[1] ?? 0);
  if (received.length < end + END_OF_HEAD.length + length) return undefined;
  return { status: Number(head.slice(9, 12)), isReplay: REPLAY.test(head) };
}
