export { operator } from "./plugin.ts";
export type { Authenticate, OperatorOptions } from "./options.ts";
