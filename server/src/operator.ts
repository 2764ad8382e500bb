export { operator } from "./operator/plugin.ts";
export type { Authenticate, OperatorOptions } from "./operator/options.ts";
