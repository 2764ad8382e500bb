/** Lets a page call the shop of a worker. */
import type { BareShop, Kept } from "../bare-shop.ts";

/** Message to a worker, which answers through the port. */
export interface Call {
  readonly kept: Kept;
  readonly method: keyof BareShop;
  readonly values: readonly unknown[];
  readonly port: MessagePort;
}

/** The worker's side. */
export async function answer(shop: BareShop, { method, values, port }: Call): Promise<void> {
  port.postMessage(await call(shop, method, values));
}

export function call(
  shop: BareShop,
  method: keyof BareShop,
  values: readonly unknown[],
): Promise<unknown> {
  return (shop[method] as (...all: readonly unknown[]) => Promise<unknown>)(...values);
}

/** The page's side. */
export function callShop(
  kept: Kept,
  post: (message: Call, transfer: Transferable[]) => void,
): BareShop {
  const send =
    <Result>(method: keyof BareShop) =>
    (...values: readonly unknown[]): Promise<Result> =>
      new Promise((resolve) => {
        const { port1, port2: port } = new MessageChannel();
        port1.addEventListener("message", ({ data }: MessageEvent<Result>) => {
          port1.close();
          resolve(data);
        });
        port1.start();
        post({ kept, method, values, port }, [port]);
      });
  return {
    run: send("run"),
    pending: send("pending"),
    resume: send("resume"),
    resumeAll: send("resumeAll"),
    warnings: send("warnings"),
  };
}
