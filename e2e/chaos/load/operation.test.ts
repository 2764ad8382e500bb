import { expect, test } from "vitest";
import { createRandomFor } from "../protocol/random.ts";
import { drawOperation, MIX } from "./operation.ts";
import type { Operation } from "./operation.ts";

const COUNT = 200;
const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

function draw(seed: number): Operation[] {
  const random = createRandomFor(seed, "operations");
  return Array.from({ length: COUNT }, () => drawOperation(random, MIX));
}

test("one seed plans the same operations under the same keys, and another plans others", () => {
  expect(draw(1)).toEqual(draw(1));
  const [one, two] = [draw(1), draw(2)];
  expect(one.map(({ amount }) => amount)).not.toEqual(two.map(({ amount }) => amount));
  const names = [...one, ...two].flatMap(({ id, key }) => [id, key]);
  expect(new Set(names).size).toBe(4 * COUNT);
  for (const name of names) expect(name).toMatch(UUID);
});
