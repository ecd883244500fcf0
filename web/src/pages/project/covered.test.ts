import { expect, it } from "vitest";
import { combine } from "./covered";

const file = (ran: number[][], missed: number[][]) => ({ path: "a.ts", valid: 0, covered: 0, ran, missed });
const patch = (files: ReturnType<typeof file>[], valid = 0, covered = 0) => ({
  lines_valid: valid,
  lines_covered: covered,
  line_rate: null,
  files,
});
const added = new Map([["a.ts", new Set([2, 3, 9])]]);

it("knows nothing without a report", () => {
  expect(combine([], added)).toBeNull();
});

it("takes the numbers of one run as they are", () => {
  const one = combine([patch([file([[1, 2]], [[4, 4]])], 7, 5)], added);
  expect([one?.valid, one?.covered]).toEqual([7, 5]);
  expect([...(one?.files.get("a.ts") ?? [])]).toEqual([
    [4, false],
    [1, true],
    [2, true],
  ]);
});

it("calls covered what ran in any run, of the lines that were added", () => {
  const both = combine([patch([file([[1, 2]], [[3, 4]])]), patch([file([[3, 3]], [[1, 2]])])], added);
  expect([both?.valid, both?.covered]).toEqual([2, 2]);
  expect(both?.files.get("a.ts")?.get(2)).toBe(true);
  expect(both?.files.get("a.ts")?.get(4)).toBe(false);
});
