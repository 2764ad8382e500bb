/** The protected routes of a registration, found by the target of a record. */
import type { RouteOptions as FastifyRoute } from "fastify";
import { resolveRouteOptions } from "../options/options.ts";
import type { IdempotencyOptions, RouteOptions } from "../options/options.ts";
import { targetPattern } from "../ticket/target.ts";

export interface RouteTable {
  add(route: FastifyRoute, options: RouteOptions): void;
  /** Returns the options of the route of a target, or those of the registration if no route has it. */
  readonly optionsOf: (target: string) => RouteOptions;
  /** Returns the patterns of the targets of all routes with strategy `lease`. */
  readonly leasePatterns: () => readonly string[];
}

export function createRouteTable(registered: IdempotencyOptions): RouteTable {
  const routes: { readonly pattern: RegExp; readonly options: RouteOptions }[] = [];
  const others = resolveRouteOptions(
    { ...registered, strategy: "advisory" },
    {},
    "the registration",
  );
  return {
    add({ url, method, constraints }, options) {
      const methods = [method].flat();
      const pattern = new RegExp(targetPattern({ methods, url, constraints: constraints ?? {} }));
      routes.push({ pattern, options });
    },
    optionsOf: (target) => routes.find(({ pattern }) => pattern.test(target))?.options ?? others,
    leasePatterns: () =>
      routes
        .filter(({ options }) => options.strategy === "lease")
        .map(({ pattern }) => pattern.source),
  };
}
