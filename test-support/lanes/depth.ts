/** Depth of an exploration. A test file that imports this module belongs to the lane `deep`. */
import { lane } from "./lane.ts";

/** Whether explorations run at their full numbers: in the lane `deep`, which `test:deep` runs. */
export const isDeep: boolean = lane === "deep";

/** Returns `small` in a usual run and `full` in the lane `deep`. */
export function byDepth<Value>(small: Value, full: Value): Value {
  return isDeep ? full : small;
}
