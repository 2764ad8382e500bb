/** The error of a hook that threw, or of a signal of the instance that aborted. Sending again would not help. */
export class HookError extends Error {
  override name = "HookError";
  constructor(cause: unknown) {
    super(`ky's hooks or signal failed: ${String(cause)}`, { cause });
  }
}
