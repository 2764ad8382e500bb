export { createModelServer } from "./testing/model-server.ts";
export type { Fault } from "./testing/fault.ts";
export type { Effect } from "./testing/ledger.ts";
export type {
  Asked,
  ModelServer,
  ModelServerOptions,
  ReceivedRequest,
  Resolver,
  ResolverInfo,
} from "./testing/model-server.ts";
