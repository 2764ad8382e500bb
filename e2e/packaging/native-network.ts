/**
 * The network layer below React Native's `fetch`: an `XMLHttpRequest` and a `FileReader`, with no
 * more than it has.
 */
import http from "node:http";

type Listener = () => void;

/** As much of XMLHttpRequest as `whatwg-fetch` uses. */
export class NativeXMLHttpRequest {
  responseType = "";
  response: unknown = "";
  responseURL = "";
  status = 0;
  statusText = "";
  readyState = 0;
  withCredentials = false;
  onload: Listener = () => undefined;
  onerror: Listener = () => undefined;
  ontimeout: Listener = () => undefined;
  onabort: Listener = () => undefined;
  onreadystatechange: Listener = () => undefined;
  #method = "GET";
  #headers: Record<string, string> = {};
  #answer: http.IncomingMessage | undefined;
  #request: http.ClientRequest | undefined;
  #isAborted = false;

  open(method: string, url: string): void {
    this.#method = method;
    this.responseURL = url;
  }

  setRequestHeader(name: string, value: string): void {
    this.#headers[name] = value;
  }

  send(body: unknown): void {
    const { responseURL } = this;
    const request = http.request(responseURL, { method: this.#method, headers: this.#headers });
    this.#request = request;
    const fail = (): void => {
      if (!this.#isAborted) this.onerror();
    };
    request.on("error", fail);
    request.on("response", (answer) => {
      const chunks: Buffer[] = [];
      answer.on("error", fail).on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("end", () => this.#settle(answer, Buffer.concat(chunks)));
    });
    void toBytes(body).then((bytes) => request.end(bytes));
  }

  abort(): void {
    this.#isAborted = true;
    this.#request?.destroy();
    this.onabort();
  }

  getAllResponseHeaders(): string {
    const { headers = {} } = this.#answer ?? {};
    return Object.entries(headers)
      .map(([name, value]) => `${name}: ${String(value)}`)
      .join("\r\n");
  }

  #settle(answer: http.IncomingMessage, bytes: Buffer): void {
    this.#answer = answer;
    this.status = answer.statusCode ?? 0;
    this.statusText = answer.statusMessage ?? "";
    this.readyState = 4;
    this.response = this.responseType === "blob" ? new Blob([bytes]) : bytes.toString();
    this.onreadystatechange();
    this.onload();
  }
}

async function toBytes(body: unknown): Promise<Buffer> {
  if (body instanceof Blob) return Buffer.from(await body.arrayBuffer());
  return Buffer.from(typeof body === "string" ? body : "");
}

/** React Native's reads text and data URLs, and no bytes. */
export class NativeFileReader {
  result: unknown = null;
  onload: Listener = () => undefined;
  onerror: Listener = () => undefined;

  async readAsText(blob: Blob): Promise<void> {
    this.result = await blob.text();
    this.onload();
  }

  readAsArrayBuffer(): void {
    throw new Error("FileReader.readAsArrayBuffer is not implemented");
  }
}
