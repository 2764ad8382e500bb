/** The folders that mutation testing covers, and the tests that judge each. */

export interface Area {
  /** Its files are mutated, and so are those of its subfolders. */
  readonly folder: string;
  /** Folders or files of tests. Those that cover a mutant run against it, until one of them fails. */
  readonly tests: readonly string[];
  /** Whether its tests use Postgres: one server is then started for the whole run. */
  readonly usesPostgres: boolean;
}

/** In the order in which they are run: those without a database first. */
export const AREAS: readonly Area[] = [
  ...client("retry"),
  ...client("wire", "client/test/fetch", "client/test/retry"),
  ...client("records", "client/test/storage", "client/test/operation"),
  ...client("tabs", "client/test/operation"),
  ...client("operation", "client/test/options", "client/test/records"),
  ...server("ticket", "server/test/request"),
  ...server("layers", "server/test/encryption"),
  ...server("response", "server/test/request"),
  ...server("request", "server/test/response", "server/test/context"),
  ...server("store", "server/test/admin"),
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

function client(name: string, ...also: string[]): Area[] {
  return [
    {
      folder: `client/src/${name}`,
      tests: [`client/test/${name}`, ...also],
      usesPostgres: false,
    },
  ];
}

function server(name: string, ...also: string[]): Area[] {
  return [
    {
      folder: `server/src/${name}`,
      tests: [`server/test/${name}`, ...also],
      usesPostgres: true,
    },
  ];
}
