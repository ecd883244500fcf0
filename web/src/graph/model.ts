/** What the drawing of jobs shows: one node per job, and one per group of jobs that differ only in their matrix. */
import { stateOf } from "@/ui/State";

/** A job as the drawing needs it: one of a run, or one of a plan that nothing has run yet. */
export interface GraphJob {
  id: string;
  key: string;
  name: string;
  needs: string[];
  stage: string | null;
  state: string;
  conclusion: string | null;
  started_at: string | null;
  finished_at: string | null;
  gate: { kind: string; message: string | null; seconds: number | null } | null;
  playable: boolean;
  allowed_to_fail: boolean;
}

export interface GraphNode<J extends GraphJob = GraphJob> {
  id: string;
  name: string;
  jobs: J[];
  /** Ids of the nodes it waits for, without those that another one already waits for. */
  needs: string[];
  stage: string | null;
}

/** `unit 2/4` and `unit: [a, b]` of GitLab belong to `unit`; jobs of a matrix elsewhere share their key. */
export const familyOf = (job: { key: string }): string => job.key.replace(/(?: \d+\/\d+|: \[[^\]]*\])$/, "");

/** A group is named as its members begin. */
const shared = (jobs: GraphJob[]): string => {
  const [first] = jobs;
  if (!first) return "";
  const base = familyOf(first);
  const plain = first.name.replace(/(?: \([^()]*\)| \d+\/\d+|: \[[^\]]*\])$/, "");
  return jobs.every((j) => j.name.startsWith(plain)) ? plain : base;
};

export function nodesOf<J extends GraphJob>(jobs: J[]): GraphNode<J>[] {
  const groups = new Map<string, J[]>();
  for (const job of jobs) {
    const name = `${job.stage ?? ""}\n${familyOf(job)}`;
    const list = groups.get(name);
    if (list) list.push(job);
    else groups.set(name, [job]);
  }
  const nodes: GraphNode<J>[] = [];
  const byKey = new Map<string, string[]>();
  for (const list of groups.values()) {
    const [first] = list;
    if (!first) continue;
    const id = list.length > 1 ? `group:${first.id}` : first.id;
    for (const job of list) {
      const ids = byKey.get(job.key) ?? [];
      if (!ids.includes(id)) ids.push(id);
      byKey.set(job.key, ids);
    }
    nodes.push({
      id,
      name: list.length > 1 ? shared(list) : first.name,
      jobs: list,
      needs: [],
      stage: first.stage,
    });
  }
  for (const node of nodes) {
    const keys = new Set(node.jobs.flatMap((j) => j.needs));
    node.needs = [...new Set([...keys].flatMap((key) => byKey.get(key) ?? []))].filter(
      (id) => id !== node.id,
    );
  }
  return reduce(nodes);
}

/** Leaves out needs that are reached through another need. */
function reduce<J extends GraphJob>(nodes: GraphNode<J>[]): GraphNode<J>[] {
  const byId = new Map(nodes.map((n) => [n.id, n]));
  const reached = new Map<string, Set<string>>();
  const reach = (id: string): Set<string> => {
    const known = reached.get(id);
    if (known) return known;
    const all = new Set<string>();
    // Noted before it is full: a circle in a broken answer ends here.
    reached.set(id, all);
    for (const next of byId.get(id)?.needs ?? []) {
      all.add(next);
      for (const far of reach(next)) all.add(far);
    }
    return all;
  };
  return nodes.map((node) => ({
    ...node,
    needs: node.needs.filter((id) => !node.needs.some((other) => other !== id && reach(other).has(id))),
  }));
}

/** What a group as a whole shows: the state that a person has to know of first. */
const ORDER = [
  "failure",
  "running",
  "unschedulable",
  "queued",
  "waiting",
  "cancelled",
  "success",
  "skipped",
  "planned",
];

export function stateOfNode(jobs: GraphJob[]): string {
  const states = new Set(jobs.map((j) => shownState(j)));
  for (const state of ["manual", ...ORDER]) if (states.has(state)) return state;
  return [...states][0] ?? "waiting";
}

/** A job that waits for a person says so. */
export const shownState = (job: GraphJob): string =>
  job.playable || (job.state === "waiting" && job.gate && job.gate.kind !== "delay" && !job.needs.length)
    ? "manual"
    : stateOf(job);

/** How many of each state, in the order in which they matter. */
export function tally(jobs: GraphJob[]): { state: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const job of jobs) {
    const state = shownState(job);
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  return ["manual", ...ORDER].flatMap((state) => {
    const count = counts.get(state);
    return count ? [{ state, count }] : [];
  });
}

/** The first start and the last end of a group; open while one of its jobs is. */
export function spanOf(jobs: GraphJob[]): { from: string | null; to: string | null } {
  const starts = jobs.flatMap((j) => (j.started_at ? [j.started_at] : [])).sort();
  const open = jobs.some((j) => j.started_at && !j.finished_at);
  const ends = jobs.flatMap((j) => (j.started_at && j.finished_at ? [j.finished_at] : [])).sort();
  return { from: starts[0] ?? null, to: open ? null : (ends.at(-1) ?? null) };
}
