/** Checks of the timeouts that end a crashed client's session, and of the durability of commits. */
import { DEFAULT_MAX_HANDLER_MS, setLimits } from "../../store/postgres/timeouts.ts";
import { formatDuration } from "../io/print.ts";
import { fail, ok, warn } from "./finding.ts";
import type { Examine, Patient } from "./finding.ts";

// A handler may be silent for that long between two statements: a call to another service and its retry.
const MIN_IDLE_MS = 10_000;

/** As it is inside a transaction of Oncekey, which lowers what is longer. */
export const examineIdleLimit: Examine = async ({ one }) => {
  await one.query("begin");
  try {
    await one.query(setLimits(DEFAULT_MAX_HANDLER_MS));
    const limitMs = await settingMs(one, "idle_in_transaction_session_timeout");
    const found = `a transaction of Oncekey that falls silent is ended, and its key freed, after ${formatDuration(limitMs)}`;
    if (limitMs >= MIN_IDLE_MS) return ok(found);
    return warn(
      found,
      "raise idle_in_transaction_session_timeout above the longest pause of a handler between two statements",
    );
  } finally {
    await one.query("rollback");
  }
};

const MAX_KEEPALIVE_MS = 120_000;

export const examineKeepalives: Examine = async ({ one }) => {
  const [idleMs, intervalMs, probes] = [
    await settingMs(one, "tcp_keepalives_idle"),
    await settingMs(one, "tcp_keepalives_interval"),
    await setting(one, "tcp_keepalives_count"),
  ];
  // A Unix socket reports zero; its other end cannot vanish unnoticed.
  if (idleMs === 0) return ok("not needed on this connection");
  const noticedMs = idleMs + intervalMs * Number(probes);
  const found = `a machine that vanishes is noticed after ${formatDuration(noticedMs)}`;
  if (noticedMs <= MAX_KEEPALIVE_MS) return ok(found);
  return warn(
    found,
    "set tcp_keepalives_idle = 30, tcp_keepalives_interval = 10, tcp_keepalives_count = 3",
  );
};

export const examineDeadClients: Examine = async ({ one }) => {
  const intervalMs = await settingMs(one, "client_connection_check_interval");
  if (intervalMs > 0) {
    return ok(`a statement whose client died is ended within ${formatDuration(intervalMs)}`);
  }
  return warn(
    "a statement whose client died runs to its end and holds its key until then",
    "set client_connection_check_interval = '1s'",
  );
};

export const examineDurability: Examine = async ({ one }) => {
  if ((await setting(one, "fsync")) === "off") {
    return fail("fsync is off: a power failure destroys the database", "set fsync = on");
  }
  if ((await setting(one, "synchronous_commit")) === "off") {
    return warn(
      "synchronous_commit is off: a crash loses the last results, records and effects together, after they were answered",
      "set synchronous_commit = on for your application's role",
    );
  }
  const standbys = await setting(one, "synchronous_standby_names");
  return ok(
    standbys === ""
      ? "answered results survive a crash of this server; no synchronous standby, so not the loss of it"
      : `answered results survive a crash of this server, and its loss (synchronous standby: ${standbys})`,
  );
};

async function setting(client: Patient["one"], name: string): Promise<string> {
  const { rows } = await client.query<{ value: string }>(
    "select current_setting($1::text) as value",
    [name],
  );
  return rows[0]?.value ?? "";
}

async function settingMs(client: Patient["one"], name: string): Promise<number> {
  const { rows } = await client.query<{ ms: number }>(
    "select extract(epoch from current_setting($1::text)::interval)::float8 * 1000 as ms",
    [name],
  );
  return rows[0]?.ms ?? Number.NaN;
}
