/** Another tab or device of the shopper: a page of its own, in a frame that nobody sees. */
import type { RunResult } from "@oncekey/client";
import type { Fault } from "../../faults/fault.ts";
import type { Attempt, Answer } from "../attempts.ts";
import type { Order, Receipt } from "../wire.ts";
import { make } from "./element.ts";

export interface DeviceOptions {
  readonly record: (attempt: Attempt) => (answer: Answer) => void;
  /** What its first attempts meet. Default: nothing. */
  readonly faults?: readonly Fault[];
  /** How many attempts a payment has. Default 6. */
  readonly attempts?: number;
  /** How far its clock is from the true time. Default 0. */
  readonly clockOffMs?: number;
}

export interface Device {
  readonly pay: (order: Order) => Promise<RunResult<Receipt | undefined>>;
  readonly setOnline: (isOnline: boolean) => void;
}

/** What the page in the frame has in its global scope. */
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
