/** Another tab or device of the shopper: a page of its own, in a hidden frame. */
import type { RunResult } from "@oncekey/client";
import type { Fault } from "../../fault-proxy/fault.ts";
import type { Attempt, Answer } from "../attempts.ts";
import type { Order, Receipt } from "../../shop/wire.ts";
import { make } from "./element.ts";

export interface DeviceOptions {
  readonly record: (attempt: Attempt) => (answer: Answer) => void;
  /** Faults of its first attempts. Default: none. */
  readonly faults?: readonly Fault[];
  /** Attempts of a payment. Default 6. */
  readonly attempts?: number;
  /** Offset of its clock from the true time. Default 0. */
  readonly clockOffMs?: number;
}

export interface Device {
  readonly pay: (order: Order) => Promise<RunResult<Receipt | undefined>>;
  readonly setOnline: (isOnline: boolean) => void;
}

/** Global scope of the page in the frame. */
export interface DeviceScope {
  readonly startDevice: (options: DeviceOptions) => Device;
}

/** Lends the devices to `use`, one for each of the options. */
export async function withDevices<Result>(
  options: readonly DeviceOptions[],
  use: (...devices: readonly Device[]) => Promise<Result>,
): Promise<Result> {
  const frames = options.map(() => make("iframe", { src: "/device.html", hidden: true }));
  try {
    const devices = await Promise.all(
      frames.map(async (frame, index) => {
        await new Promise((resolve) => {
          frame.addEventListener("load", resolve, { once: true });
          document.body.append(frame);
        });
        const scope = frame.contentWindow as unknown as DeviceScope;
        return scope.startDevice(options[index] as DeviceOptions);
      }),
    );
    return await use(...devices);
  } finally {
    for (const frame of frames) frame.remove();
  }
}
