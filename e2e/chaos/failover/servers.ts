/** Server processes, by the addresses under which they answer. */
import { superviseScript } from "@oncekey/test-support/processes/supervised";

export interface Servers {
  readonly origins: readonly string[];
  /**
   * Returns how many servers have ended by themselves. None should: an error of the database is no
   * reason.
   */
  readonly ended: () => number;
  stop(): Promise<void>;
}

/** @throws Error if one of them does not come up. */
export async function startServers(count: number, databaseUrl: string): Promise<Servers> {
  const servers = Array.from({ length: count }, (_, index) =>
    superviseScript({
      name: `server ${index + 1}`,
      script: new URL("server.ts", import.meta.url),
      env: { DATABASE_URL: databaseUrl },
      // The parent decides when its servers end.
      detached: true,
    }),
  );
  const ended = (): number => servers.reduce((sum, one) => sum + one.unexpectedEnds(), 0);
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const ports = await Promise.all(servers.map((server) => server.up()));
    return { origins: ports.map((port) => `http://127.0.0.1:${port}`), ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
