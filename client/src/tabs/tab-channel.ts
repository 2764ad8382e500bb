/** Messages between the tabs and workers that share a storage. */

export interface TabChannel {
  /** Listens until the returned function is called. */
  readonly listen: (listener: (message: unknown) => void) => () => void;
  readonly isOpen: () => boolean;
  /** Sends to all other contexts that listen. */
  readonly post: (message: unknown) => void;
}

/** @param nameOf names the channel; `undefined` if no other context sees the storage. */
export function createTabChannel(nameOf: () => string | undefined): TabChannel {
  const listeners = new Set<(message: unknown) => void>();
  let channel: BroadcastChannel | undefined;

  // Without it (old browsers, a context without an origin) waiting tabs ask the server with the same key.
  function open(): BroadcastChannel | undefined {
    const name = nameOf();
    const Broadcast = globalThis.BroadcastChannel as typeof BroadcastChannel | undefined;
    if (name === undefined || Broadcast === undefined) return undefined;
    try {
      const opened = new Broadcast(name);
      opened.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
        for (const listener of listeners) listener(data);
      });
      // In Node an open channel keeps the process alive.
      (opened as { readonly unref?: () => void }).unref?.();
      return opened;
    } catch {
      return undefined;
    }
  }

  return {
    isOpen: () => channel !== undefined,
    listen(listener) {
      if (listeners.size === 0) channel = open();
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        channel?.close();
        channel = undefined;
      };
    },
    post(message) {
      try {
        channel?.postMessage(message);
      } catch {
        // The result holds what cannot be cloned.
      }
    },
  };
}
