/** Check of the partitions by the day of a key. */
import { DAY_MS, missingDays, partitionOf, readDays } from "../../store/sql/days.ts";
import { fail, ok, warn } from "./finding.ts";
import type { Examine } from "./finding.ts";

interface Kind {
  /** `r` a table, `p` one with partitions; see `relkind` of pg_class. */
  readonly kind: string;
  /** Number of the tables that `partitioned.sql` makes and that are where they belong. */
  readonly known: number;
  readonly hasDays: boolean;
  readonly role: string;
  readonly owner: string;
  readonly isOwner: boolean;
}

export const examinePartitions: Examine = async ({ one, schema }) => {
  const { rows } = await one.query<Kind>(
    `select relkind::text as kind, to_regclass($2::text) is not null as "hasDays",
       (select count(*)::int from pg_inherits join pg_class as child on child.oid = inhrelid
         where (inhparent = records.oid and child.relname in ('records_days', 'records_other'))
           or (inhparent = to_regclass($3::text) and child.relname = 'records_days_other')) as known,
       current_user::text as role, pg_get_userbyid(relowner)::text as owner,
       pg_has_role(current_user, relowner, 'usage') as "isOwner"
     from pg_class as records where oid = to_regclass($1::text)`,
    [`"${schema}".records`, `"${schema}".days`, `"${schema}".records_days`],
  );
  const [found] = rows;
  if (found?.kind === "r") return ok("the records are one table, without partitions");
  if (found === undefined || found.kind !== "p" || found.known < 3 || !found.hasDays) {
    return fail(
      "the records are neither one table nor partitioned by the day of a key: the sweep does not know what to do with them",
      "restore what is missing; only oncekey migrate --partitioned and oncekey sql --partitioned make partitions",
    );
  }
  const table = await readDays(one, schema);
  const soon = missingDays(table).filter((day) => day < table.now + DAY_MS);
  if (soon.length > 0) {
    const missing = soon.map((day) => `"${schema}".${partitionOf(day)}`).join(", ");
    return warn(
      `there is no ${missing}: its keys are in the default partition, and no DROP ends them`,
      `run as ${found.owner}: oncekey sweep --schema ${schema}; then see why no server adds partitions`,
    );
  }
  if (!found.isOwner) {
    return warn(
      `${found.role} can neither add nor drop partitions: the tables belong to ${found.owner}`,
      `set sweep: false for this role, and run oncekey sweep every minute as ${found.owner}`,
    );
  }
  return ok(`by the day of a key: ${table.days.length} days are there, tomorrow among them`);
};
