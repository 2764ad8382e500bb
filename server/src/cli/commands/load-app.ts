/** Loads an application for a command: its routes know what the table does not, such as `onCrash`. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { RecordPage } from "../../store/maintenance/list.ts";
import type { ListQuery } from "../../store/maintenance/list.ts";
import { UsageError } from "../io/exit-code.ts";

/** The members of a Fastify instance with the plugin that a command uses. */
export interface LoadedApp {
  readonly ready: () => PromiseLike<unknown>;
  readonly close: () => PromiseLike<unknown>;
  readonly hasDecorator: (name: string) => boolean;
  readonly idempotency: {
    readonly recover: () => Promise<{ readonly resolved: number; readonly left: number }>;
    readonly list: (query: ListQuery) => Promise<RecordPage>;
  };
}

/**
 * Imports a module and makes its application ready, without a listening socket. The module exports a Fastify instance, or a
 * function that returns one, as `default` or `app`.
 *
 * @throws UsageError if there is none, it does not start, or it has no plugin.
 */
export async function loadApp(file: string): Promise<LoadedApp> {
  const exported = await importModule(file);
  const made = exported["default"] ?? exported["app"];
  const app: unknown = await starting(file, async () =>
    typeof made === "function" ? (made as () => unknown)() : made,
  );
  if (!isApp(app))
    throw new UsageError(
      `${file} must export a Fastify instance, or a function that returns one, as default or app`,
    );
  await starting(file, async () => app.ready());
  if (app.hasDecorator("idempotency")) return app;
  await app.close();
  throw new UsageError(`the application of ${file} has not registered the plugin at its root`);
}

function importModule(file: string): Promise<Record<string, unknown>> {
  const { href } = pathToFileURL(resolve(file));
  return starting(file, async () => (await import(href)) as Record<string, unknown>);
}

async function starting<Result>(file: string, start: () => Promise<Result>): Promise<Result> {
  try {
    return await start();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`the application of ${file} did not start: ${why}`);
  }
}

function isApp(value: unknown): value is LoadedApp {
  return typeof value === "object" && value !== null && "ready" in value && "hasDecorator" in value;
}
