/** The folders that mutation testing covers, and the tests that judge each. */

export interface Area {
  /** Its files are mutated, and so are those of its subfolders. */
  readonly folder: string;
  /** Folders or files of tests. The tests that cover a mutant run against it, until one of them fails. */
  readonly tests: readonly string[];
  /** Tests that only the survivors of the others meet: they take longer. */
  readonly further: readonly string[];
  /** Whether its tests use Postgres: one server is then started for the whole run. */
  readonly usesPostgres: boolean;
}

/** Tests of the client that start neither a browser nor a component. */
const CLIENT_TESTS = [
  "retry",
  "wire",
  "fetch",
  "records",
  "storage",
  "tabs",
  "operation",
  "options",
];

/** In the order in which they are run: those without a database first. */
export const AREAS: readonly Area[] = [
  client("retry", "options"),
  client("wire", "fetch", "retry"),
  client("records", "storage"),
  client("tabs"),
  client("operation", "options", "records"),
  server("ticket", "request", "layers"),
  server("layers", "encryption"),
  server("response", "request"),
  server("request", "response", "context"),
  server("store", "admin"),
];

/**
 * Selects the areas of some paths: whole areas, folders within them, or single files.
 *
 * @throws RangeError if a path is in no area.
 */
export function findAreas(paths: readonly string[]): Area[] {
  if (paths.length === 0) return [...AREAS];
  return paths.map((given) => {
    const path = given.replace(/\/$/, "");
    const area = areaOf(path);
    if (area !== undefined) return { ...area, folder: path };
    const names = AREAS.map(({ folder }) => folder);
    throw new RangeError(`a path must be one of ${names.join(", ")} or below, got ${given}`);
  });
}

/** Returns the area of a path, or `undefined` if nothing mutates it. */
export function areaOf(path: string): Area | undefined {
  return AREAS.find(({ folder }) => path === folder || path.startsWith(`${folder}/`));
}

function client(...names: readonly [string, ...string[]]): Area {
  const rest = CLIENT_TESTS.filter((name) => !names.includes(name));
  return {
    folder: `client/src/${names[0]}`,
    tests: names.map(toClientTests),
    further: rest.map(toClientTests),
    usesPostgres: false,
  };
}

function toClientTests(name: string): string {
  return `client/test/${name}`;
}

// The other folders of the server's tests take an hour for a handful of survivors.
function server(name: string, ...further: readonly string[]): Area {
  return {
    folder: `server/src/${name}`,
    tests: [toServerTests(name)],
    further: further.map(toServerTests),
    usesPostgres: true,
  };
}

function toServerTests(name: string): string {
  return `server/test/${name}`;
}
