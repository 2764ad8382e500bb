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

  function open(): void {
    const name = nameOf();
    if (name === undefined) return;
    try {
      const opened = new BroadcastChannel(name);
      opened.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
        for (const listener of listeners) listener(data);
      });
      // In Node an open channel keeps the process alive.
      (opened as { readonly unref?: () => void }).unref?.();
      channel = opened;
    } catch {
      // Old browsers have none, a context without an origin may not open one: waiting tabs ask the server with the same key.
    }
  }

  return {
    isOpen: () => channel !== undefined,
    listen(listener) {
      if (listeners.size === 0) open();
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
