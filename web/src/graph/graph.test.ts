import { describe, expect, it } from "vitest";
import { layout } from "./layout";
import { type GraphJob, nodesOf, shownState, spanOf, stateOfNode, tally } from "./model";

const job = (key: string, needs: string[] = [], more: Partial<GraphJob> = {}): GraphJob => ({
  id: `${key}-id`,
  key,
  name: key,
  needs,
  stage: null,
  state: "completed",
  conclusion: "success",
  started_at: null,
  finished_at: null,
  gate: null,
  playable: false,
  allowed_to_fail: false,
  ...more,
});

const draw = (jobs: GraphJob[]) => {
  const plan = layout(nodesOf(jobs).map((n) => ({ ...n, height: 44 })));
  return {
    plan,
    column: Object.fromEntries(plan.nodes.map((p) => [p.node.name, p.column])),
    edges: plan.edges.map((e) => `${e.from}>${e.to}`).sort(),
  };
};

describe("the drawing of jobs", () => {
  it("places jobs by what they need and drops transitive edges", () => {
    const { column, edges } = draw([
      job("lint"),
      job("test"),
      job("build", ["lint", "test"]),
      job("deploy", ["build", "lint"]),
    ]);
    expect(column).toEqual({ lint: 0, test: 0, build: 1, deploy: 2 });
    expect(edges).toEqual(["build-id>deploy-id", "lint-id>build-id", "test-id>build-id"]);
  });

  it("does not hang on a circle or an unknown need", () => {
    expect(draw([job("a", ["b"]), job("b", ["a", "zzz"])]).plan.nodes).toHaveLength(2);
  });

  it("makes one node of a matrix, whatever the dialect calls its jobs", () => {
    const cells = ["linux, 1", "linux, 2", "mac, 1"].map((cell, i) =>
      job("test", ["lint"], { id: `t${i}`, name: `test (${cell})` }),
    );
    const nodes = nodesOf([
      job("lint"),
      ...cells,
      ...[1, 2].map((n) => job(`unit ${n}/2`, ["lint"], { name: `unit ${n}/2` })),
      ...["a", "b"].map((n) => job(`web: [${n}]`, [], { name: `web: [${n}]` })),
      job("done", ["test", "unit 1/2", "unit 2/2"]),
    ]);
    expect(nodes.map((n) => [n.name, n.jobs.length])).toEqual([
      ["lint", 1],
      ["test", 3],
      ["unit", 2],
      ["web", 2],
      ["done", 1],
    ]);
    expect(nodes.at(-1)?.needs).toEqual(["group:t0", "group:unit 1/2-id"]);
  });

  it("keeps stages apart, with the order of needs inside of one", () => {
    const staged = (key: string, stage: string, needs: string[] = []) => job(key, needs, { stage });
    const { column, plan, edges } = draw([
      staged("build", "build"),
      staged("unit", "test", ["build"]),
      staged("report", "test", ["unit"]),
      staged("free", "deploy"),
      staged("ship", "deploy", ["build", "unit", "report"]),
    ]);
    expect(column).toEqual({ build: 0, unit: 1, report: 2, free: 3, ship: 3 });
    expect(plan.stages.map((s) => s.stage)).toEqual(["build", "test", "deploy"]);
    expect(edges).toEqual(["build-id>unit-id", "report-id>ship-id", "unit-id>report-id"]);
  });

  it("says of a group what a person has to know first", () => {
    const jobs = [
      job("a"),
      job("b", [], { conclusion: "failure" }),
      job("c", [], { state: "running", conclusion: null }),
    ];
    expect(stateOfNode(jobs)).toBe("failure");
    expect(tally(jobs)).toEqual([
      { state: "failure", count: 1 },
      { state: "running", count: 1 },
      { state: "success", count: 1 },
    ]);
    expect(shownState(job("hold", [], { state: "waiting", conclusion: null, playable: true }))).toBe(
      "manual",
    );
  });

  it("spans from the first start to the last end, open while one runs", () => {
    const at = (s: number) => new Date(s * 1000).toISOString();
    const first = job("a", [], { started_at: at(10), finished_at: at(20) });
    const second = job("b", [], { started_at: at(12), finished_at: at(30) });
    expect(spanOf([first, second])).toEqual({ from: at(10), to: at(30) });
    expect(spanOf([first, { ...second, finished_at: null }]).to).toBeNull();
    expect(spanOf([job("c")])).toEqual({ from: null, to: null });
  });

  it("draws a run of ten thousand jobs in a moment", () => {
    const jobs = Array.from({ length: 10_000 }, (_, i) =>
      job(i < 5000 ? "wide" : `s${i}`, i < 5000 ? [] : [i === 5000 ? "wide" : `s${i - 1}`], { id: `j${i}` }),
    );
    const began = performance.now();
    const nodes = nodesOf(jobs.slice(0, 6000));
    expect(nodes).toHaveLength(1001);
    layout(nodes.map((n) => ({ ...n, height: 44 })));
    expect(performance.now() - began).toBeLessThan(3000);
  });
});
