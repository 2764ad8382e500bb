/** Events that the plugin publishes on `node:diagnostics_channel`: never a key, a scope, a body or a parameter. */
import { channel } from "node:diagnostics_channel";
import type { Channel } from "node:diagnostics_channel";

/**
 * Events by the names of their channels. Each is published in the async context of its request.
 * Events of the sweep have no context.
 *
 * @example
 * subscribe("oncekey:begin", (message) => {
 *   const { route, outcome } = message as TelemetryEvents["oncekey:begin"];
 * });
 */
export interface TelemetryEvents {
  readonly "oncekey:begin": BeginEvent;
  readonly "oncekey:complete": CompleteEvent;
  readonly "oncekey:heartbeat": HeartbeatEvent;
  readonly "oncekey:lease-lost": LeaseLostEvent;
  readonly "oncekey:sweep": SweepEvent;
  readonly "oncekey:crashed": CrashedEvent;
  readonly "oncekey:resolved": ResolvedEvent;
  readonly "oncekey:forgotten": ForgottenEvent;
}

/** Names the protected route of an event. */
export interface RouteLabels {
  readonly strategy: string;
  readonly method: string;
  /** As it was registered, with `:id` where the request has a value. */
  readonly route: string;
}

/** Correlates the events of one key. */
export interface KeyDigest {
  /**
   * 16 hexadecimal digits of an HMAC-SHA256 of the key under the option `digestSecret`. Without the option each process makes a
   * secret of its own, and digests of two processes cannot be compared. `undefined` if the request has no key.
   */
  readonly keyDigest: string | undefined;
}

/**
 * Decision for a request before its handler.
 * - `claimed`: the handler runs. `keyless`: the handler runs without a key, because none is required.
 * - `crashed`: an earlier owner did not finish, and `onCrash` decides.
 * - `replay`: the stored response. `mismatch`: the stored response of another request.
 * - `busy`: handlers of the scope hold their share of the connections (`maxInFlightPerScope`).
 * - `refused`: no usable key, or no scope. All others are refusals, named as the problem codes.
 */
export type BeginOutcomeName =
  | "claimed"
  | "keyless"
  | "crashed"
  | "replay"
  | "mismatch"
  | "in-flight"
  | "conflict"
  | "absent"
  | "unknown"
  | "expired"
  | "busy"
  | "unavailable"
  | "refused";

/** Channel `oncekey:begin`: once for each request on a protected route. */
export interface BeginEvent extends RouteLabels, KeyDigest {
  readonly outcome: BeginOutcomeName;
  /** Milliseconds that the claim or the look-up took, less `waitMs`. */
  readonly beginMs: number;
  /** Milliseconds that the request was held because another with its key was running; 0 where it was not. */
  readonly waitMs: number;
}

/** Channel `oncekey:complete`: once for each claim. */
export interface CompleteEvent extends RouteLabels, KeyDigest {
  /**
   * `stored`: with the handler's writes. `committed`: the writes of a request without a key. `superseded`: another had finished. `lost`: another runs it. `rolled-back`: nothing was
   * kept. `unknown`: the commit was not answered. `released`: the answer was none to store. `failed`: the handler threw or broke off.
   */
  readonly outcome:
    | "stored"
    | "superseded"
    | "lost"
    | "rolled-back"
    | "unknown"
    | "committed"
    | "released"
    | "failed";
  /** Milliseconds that storing and committing took, or giving the claim back. */
  readonly completeMs: number;
}

/** Channel `oncekey:heartbeat`: each time that a lease was to be renewed. */
export interface HeartbeatEvent extends KeyDigest {
  /** `unanswered`: the database did not answer. `taken-over`: another owner has the lease. */
  readonly outcome: "renewed" | "unanswered" | "taken-over";
  readonly beatMs: number;
}

/** Channel `oncekey:lease-lost`: once for each lease that another took over, or may have. */
export interface LeaseLostEvent extends KeyDigest {
  readonly reason: string;
}

/** Channel `oncekey:sweep`: for each batch, by the plugin or by `app.idempotency.sweep`. */
export interface SweepEvent {
  readonly deletedRows: number;
  /** Expired responses that became tombstones. */
  readonly buriedRows: number;
  readonly sweepMs: number;
}

/**
 * Channel `oncekey:crashed`: a lease without an answer was found, before anything is done about it. Crash recovery and the sweep
 * publish one event for a crash, however often `onCrash` is asked and however many processes run.
 */
export interface CrashedEvent extends KeyDigest {
  /** `retry`: by a request. `recover`: by crash recovery. `sweep`: past its fence, about to be deleted. */
  readonly foundBy: "retry" | "recover" | "sweep";
  /** Number of times the handler has been started. */
  readonly attempts: number;
}

/** Channel `oncekey:resolved`: an answer was stored for a record by a person or by crash recovery. */
export interface ResolvedEvent extends KeyDigest {
  readonly status: number;
  /** The state of the record before. */
  readonly state: string;
}

/** Channel `oncekey:forgotten`: once for each record that was deleted by hand, or for a whole scope. */
export interface ForgottenEvent extends KeyDigest {
  readonly records: number;
}

const CHANNELS: Readonly<Record<keyof TelemetryEvents, Channel>> = {
  "oncekey:begin": channel("oncekey:begin"),
  "oncekey:complete": channel("oncekey:complete"),
  "oncekey:heartbeat": channel("oncekey:heartbeat"),
  "oncekey:lease-lost": channel("oncekey:lease-lost"),
  "oncekey:sweep": channel("oncekey:sweep"),
  "oncekey:crashed": channel("oncekey:crashed"),
  "oncekey:resolved": channel("oncekey:resolved"),
  "oncekey:forgotten": channel("oncekey:forgotten"),
};

/** @param make called only if the channel has subscribers. */
export function publish<Name extends keyof TelemetryEvents>(
  name: Name,
  make: () => TelemetryEvents[Name],
): void {
  const to = CHANNELS[name];
  if (to.hasSubscribers) to.publish(make());
}

export function hasSubscribers(name: keyof TelemetryEvents): boolean {
  return CHANNELS[name].hasSubscribers;
}
