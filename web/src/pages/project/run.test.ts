import { describe, expect, it } from "vitest";
import type { Job, RunDetail, Step } from "@/api/types";
import { laneOf, lanesOf, ticks, zoom } from "./timeline";
import { ancestorsOf, storiesOf, verdict } from "./why";

const at = (s: number) => new Date(s * 1000).toISOString();
const step = (name: string, from: number, to: number | null, conclusion: Step["conclusion"] = "success") =>
  ({ index: 0, name, started_at: at(from), finished_at: to && at(to), conclusion, exit_code: 0 }) as Step;
const job = (more: Partial<Job>): Job =>
  ({
    id: "job_1",
    key: "a",
    name: "a",
    needs: [],
    labels: [],
    steps: [],
    state: "completed",
    conclusion: "success",
    superseded: false,
    playable: false,
    reason: null,
    condition: null,
    infra_failure: null,
    queued_at: null,
    started_at: null,
    finished_at: null,
    ...more,
  }) as Job;

describe("timeline", () => {
  it("tells queue, set-up and run of a job apart", () => {
    const lane = laneOf(
      job({
        queued_at: at(10),
        started_at: at(14),
        finished_at: at(30),
        steps: [step("Set up job", 14, 17), step("Run tests", 17, 30)],
      }),
      99_000,
    );
    expect(lane?.spans.map((s) => [s.phase, s.from / 1000, s.to / 1000])).toEqual([
      ["queue", 10, 14],
      ["setup", 14, 17],
      ["run", 17, 30],
    ]);
  });

  it("leaves the last span of a job that goes on open until now", () => {
    expect(laneOf(job({ state: "queued", conclusion: null, queued_at: at(10) }), 25_000)?.spans).toEqual([
      { phase: "queue", from: 10_000, to: 25_000, open: true },
    ]);
    const running = laneOf(
      job({
        state: "running",
        conclusion: null,
        queued_at: at(10),
        started_at: at(10),
        steps: [step("Set up job", 10, 12)],
      }),
      25_000,
    );
    expect(running?.spans.at(-1)).toEqual({ phase: "run", from: 12_000, to: 25_000, open: true });
    expect(laneOf(job({ state: "waiting", conclusion: null }), 25_000)).toBeNull();
  });

  it("has an axis with round marks that zooms without leaving the run", () => {
    const run = {
      created_at: at(0),
      jobs: [job({ queued_at: at(1), started_at: at(2), finished_at: at(61) })],
    } as unknown as RunDetail;
    const { scale } = lanesOf(run, 0);
    expect(scale).toEqual({ from: 0, to: 61_000 });
    expect(ticks(scale, 0, 8)).toEqual([0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000]);
    expect(zoom(scale, scale, 30_500, 0.5)).toEqual({ from: 15_250, to: 45_750 });
    expect(zoom({ from: 0, to: 1000 }, scale, 0, 0.5)).toEqual({ from: 0, to: 500 });
    expect(zoom({ from: 50_000, to: 61_000 }, scale, 61_000, 100)).toEqual(scale);
  });
});

describe("why", () => {
  const failed = job({ id: "job_2", key: "test", name: "test (1)", conclusion: "failure" });
  const again = job({ id: "job_3", key: "test", name: "test (2)" });
  const jobs = [failed, again];

  it("names the results of the jobs before", () => {
    const late = job({ key: "ship", needs: ["test", "gone"], conclusion: "skipped" });
    expect(ancestorsOf(late, jobs)).toEqual([
      { name: "test (1)", id: "job_2", state: "failure" },
      { name: "test (2)", id: "job_3", state: "success" },
      { name: "gone", id: null, state: "left-out" },
    ]);
    expect(verdict(late, jobs)).toBe("test (1) did not pass");
  });

  it("prefers what the server says, and tells each end apart", () => {
    expect(verdict(job({ reason: "`if: false` is false", conclusion: "skipped" }), [])).toBe(
      "`if: false` is false",
    );
    expect(verdict(job({ state: "queued", conclusion: null, labels: ["gpu", "arm"] }), [])).toBe(
      "It waits for a runner with gpu, arm",
    );
    expect(
      verdict(
        job({ conclusion: "failure", steps: [{ ...step("Compile", 1, 2, "failure"), exit_code: 2 }] }),
        [],
      ),
    ).toBe("The step Compile ended with exit code 2");
    expect(verdict(job({ needs: ["test"], condition: "always()" }), jobs)).toBe(
      "It ran although test (1) did not pass: its condition held",
    );
    expect(verdict(job({}), [])).toBe("It needs no other job");
    expect(verdict(job({ needs: ["test"] }), [again])).toBe("It could start: test (2) passed");
  });

  it("tells the same story of a matrix once", () => {
    const more = job({ id: "job_4", key: "test", name: "test (3)" });
    const stories = storiesOf([failed, again, more, job({ key: "b" })], jobs);
    expect(stories.map((s) => s.jobs.length)).toEqual([1, 2, 1]);
  });
});
