import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createTabChannel } from "../../src/tabs/tab-channel.ts";

let open: string[] = [];
let channels: FakeChannel[] = [];

/** A BroadcastChannel of a browser: without `unref`. */
class FakeChannel extends EventTarget {
  readonly name: string;
  readonly posted: unknown[] = [];
  constructor(name: string) {
    super();
    this.name = name;
    open.push(name);
    channels.push(this);
  }
  postMessage(message: unknown): void {
    this.posted.push(message);
  }
  close(): void {
    open = open.filter((name) => name !== this.name);
  }
}

beforeEach(() => {
  open = [];
  channels = [];
  vi.stubGlobal("BroadcastChannel", FakeChannel);
});
afterEach(() => vi.unstubAllGlobals());

const ignore = (): void => undefined;
function refuse(): never {
  throw new DOMException("opaque origin", "SecurityError");
}

describe("the channel between tabs", () => {
  it("opens with the first listener, closes with the last, and opens again", () => {
    const channel = createTabChannel(() => "shop");
    expect([channel.isOpen(), open]).toEqual([false, []]);
    const stops = [channel.listen(ignore), channel.listen(() => undefined)];
    expect([channel.isOpen(), open]).toEqual([true, ["shop"]]);
    stops[0]?.();
    expect([channel.isOpen(), open]).toEqual([true, ["shop"]]);
    stops[1]?.();
    expect([channel.isOpen(), open]).toEqual([false, []]);
    channel.listen(ignore);
    expect([channel.isOpen(), open, channels.length]).toEqual([true, ["shop"], 2]);
  });

  it("hands a message to all that listen, and to none that stopped", () => {
    const channel = createTabChannel(() => "shop");
    const heard: unknown[] = [];
    const stop = channel.listen((message) => heard.push(["one", message]));
    channel.listen((message) => heard.push(["two", message]));
    channels[0]?.dispatchEvent(new MessageEvent("message", { data: 1 }));
    stop();
    channels[0]?.dispatchEvent(new MessageEvent("message", { data: 2 }));
    expect(heard).toEqual([
      ["one", 1],
      ["two", 1],
      ["two", 2],
    ]);
  });

  it("sends while it is open, and drops messages before and after", () => {
    const channel = createTabChannel(() => "shop");
    channel.post("early");
    const stop = channel.listen(ignore);
    channel.post("now");
    stop();
    channel.post("late");
    expect(channels.map(({ posted }) => posted)).toEqual([["now"]]);
  });

  it("drops a message that cannot be cloned", () => {
    vi.unstubAllGlobals();
    const channel = createTabChannel(() => crypto.randomUUID());
    const stop = channel.listen(ignore);
    expect(() => channel.post(ignore)).not.toThrow();
    stop();
  });

  it("keeps no process alive", () => {
    const unref = vi.fn<() => void>();
    vi.stubGlobal(
      "BroadcastChannel",
      class extends FakeChannel {
        readonly unref = unref;
      },
    );
    createTabChannel(() => "shop").listen(ignore);
    expect(unref).toHaveBeenCalledOnce();
  });

  it.each<[string, string | undefined, unknown]>([
    ["no other context sees the storage", undefined, FakeChannel],
    ["the runtime has no BroadcastChannel", "shop", undefined],
    ["its context has no origin", "shop", refuse],
  ])("stays closed if %s", (_name, name, implementation) => {
    vi.stubGlobal("BroadcastChannel", implementation);
    const channel = createTabChannel(() => name);
    const stop = channel.listen(ignore);
    channel.post("now");
    expect([channel.isOpen(), open]).toEqual([false, []]);
    stop();
  });
});
