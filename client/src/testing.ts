export { createModelServer } from "./testing/model-server.ts";
export type { Fault } from "./testing/fault.ts";
export type { Effect } from "./testing/ledger.ts";
export type {
  ModelServer,
  ModelServerOptions,
  ReceivedRequest,
  Resolver,
} from "./testing/model-server.ts";
