/** Requests as bytes on a socket: what `fetch` would refuse to send. */
import net from "node:net";

export interface RawRequest {
  readonly path: string;
  /** In this order, repeats and all. Written as Latin-1: one character, one byte. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case, each with its last value. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

const ANSWER_MS = 60_000;

/**
 * Sends one POST on a connection of its own and reads until the server closes it. `undefined`: closed without an answer.
 *
 * @throws Error if the server neither answers nor closes.
 */
export async function sendRaw(port: number, request: RawRequest): Promise<RawAnswer | undefined> {
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(toBytes(request)));
    socket.setTimeout(ANSWER_MS, () => {
      reject(new Error(`no answer within ${ANSWER_MS} ms`));
      socket.destroy();
    });
    socket.on("data", (chunk) => chunks.push(chunk));
    // A server that refuses a head does not read the rest, and that resets the connection.
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
  });
  return parse(Buffer.concat(chunks).toString());
}

// Framing headers come first: whatever a value below breaks, the server never waits for more bytes
// than there are.
function toBytes({ path, headers, body }: RawRequest): Buffer {
  const lines = [
    `POST ${path} HTTP/1.1`,
    "Host: shop",
    "Connection: close",
    `Content-Length: ${body.length}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ];
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body]);
}

function parse(text: string): RawAnswer | undefined {
  const [head = "", ...rest] = text.split("\r\n\r\n");
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1];
  if (status === undefined) return undefined;
  const headers = new Map<string, string>();
  for (const line of head.split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status: Number(status), headers, body: rest.join("\r\n\r\n") };
}
