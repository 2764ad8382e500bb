/** The planted bugs of partitions by the day of a key. */
import type { Mutant } from "./mutant.ts";

const DAYS = "server/src/store/maintenance/days.ts";
const SQL = "server/src/store/sql/days.ts";

export const DAY_MUTANTS: readonly Mutant[] = [
  {
    name: "day-lost",
    what: "the sweep drops the partition of a day whose keys are still remembered",
    hunt: "days",
    edits: [
      {
        file: DAYS,
        find: 'const STANDS = "greatest(expires_at, fence_until) > statement_timestamp()";',
        replace: 'const STANDS = "false";',
      },
    ],
  },
  {
    name: "day-strays",
    what: "a day is dropped with other keys that sort among its own",
    hunt: "goingDays",
    edits: [
      {
        file: DAYS,
        find: "await client.query(moveStrays(days, table));",
        replace: "moveStrays(days, table);",
      },
    ],
  },
  {
    name: "day-empties",
    what: "the partition of a day to come is added without the records of its keys that came before",
    hunt: "days",
    edits: [
      {
        file: SQL,
        find: "insert into ${table} select * from moved`",
        replace: "insert into ${table} select * from moved where false`",
      },
    ],
  },
  {
    name: "day-never-added",
    what: "no server adds the partition of tomorrow",
    hunt: "days",
    edits: [
      {
        file: SQL,
        find: "(day) => day >= firstDay && day >= droppedUntil && !days.includes(day),",
        replace: "(day) => day >= firstDay && day <= now && !days.includes(day),",
      },
    ],
  },
];
