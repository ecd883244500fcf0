/** Why a job ran, waits, was skipped or failed, as sentences made from what the server keeps of it. */
import type { Job } from "@/api/types";
import { familyOf } from "@/graph/model";
import { stateOf } from "@/ui/State";

export interface Ancestor {
  name: string;
  /** The job to look at; none for one that is not in this run. */
  id: string | null;
  state: string;
}

/** Results of the jobs that it needs, in the order in which it names them. */
export function ancestorsOf(job: Job, jobs: Job[]): Ancestor[] {
  return job.needs.flatMap((key): Ancestor[] => {
    const found = jobs.filter((j) => j.key === key && !j.superseded);
    if (found.length === 0) return [{ name: key, id: null, state: "left-out" }];
    return found.map((j) => ({ name: j.name, id: j.id, state: stateOf(j) }));
  });
}

const WORDS: Record<string, string> = {
  success: "passed",
  failure: "failed",
  cancelled: "was cancelled",
  skipped: "was skipped",
  "left-out": "is not in this run",
};

const list = (names: string[]): string =>
  names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");

export function verdict(job: Job, jobs: Job[]): string {
  const before = ancestorsOf(job, jobs);
  const open = before.filter(
    (a) => !["success", "failure", "cancelled", "skipped", "left-out"].includes(a.state),
  );
  const bad = before.filter((a) => a.state === "failure" || a.state === "cancelled");
  const skipped = before.filter((a) => a.state === "skipped");
  if (job.infra_failure) return `The runner failed, not the job: ${job.infra_failure}`;
  if (job.playable) return job.reason ?? "It waits for somebody to start it";
  if (job.reason) return job.reason;
  switch (stateOf(job)) {
    case "waiting":
      return open.length > 0 ? `It waits for ${list(open.map((a) => a.name))}` : "It waits for its turn";
    case "queued":
      return job.labels.length > 0
        ? `It waits for a runner with ${job.labels.join(", ")}`
        : "It waits for a free runner";
    case "skipped":
      if (bad.length > 0) return `${list(bad.map((a) => a.name))} did not pass`;
      if (skipped.length > 0) return `${list(skipped.map((a) => a.name))} was skipped`;
      return "Its condition did not hold";
    case "cancelled":
      return "Somebody, or a newer run, stopped it";
    case "failure": {
      const step = job.steps.find((s) => s.conclusion === "failure");
      if (!step) return "It failed";
      return step.exit_code === null
        ? `The step ${step.name} failed`
        : `The step ${step.name} ended with exit code ${step.exit_code}`;
    }
    default:
      if (bad.length > 0 && job.condition)
        return `It ran although ${list(bad.map((a) => a.name))} did not pass: its condition held`;
      if (before.length > 0)
        return `It could start: ${list(before.map((a) => `${a.name} ${WORDS[a.state] ?? "was done"}`))}`;
      return "It needs no other job";
  }
}

export interface Story {
  verdict: string;
  /** Jobs of one matrix that have it in common. */
  jobs: Job[];
}

/** Jobs of one key that came to the same end for the same reason are one entry. */
export function storiesOf(jobs: Job[], all: Job[]): Story[] {
  const stories = new Map<string, Story>();
  for (const job of jobs) {
    const said = verdict(job, all);
    const name = [familyOf(job), job.state, job.conclusion, job.playable, said].join("\n");
    const story = stories.get(name);
    if (story) story.jobs.push(job);
    else stories.set(name, { verdict: said, jobs: [job] });
  }
  return [...stories.values()];
}
