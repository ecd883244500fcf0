/** The jobs of a run and what each waits for. Nodes are buttons in reading order; the lines are decoration. */
import { useMemo } from "react";
import type { Job } from "@/api/types";
import { StateIcon, stateOf } from "@/ui/State";
import { Elapsed } from "@/ui/TimeAgo";
import { layout, NODE_HEIGHT, NODE_WIDTH } from "./layout";
import "./graph.css";

export function JobGraph({
  jobs,
  selected,
  onSelect,
}: {
  jobs: Job[];
  selected: string | null;
  onSelect: (job: Job) => void;
}) {
  // The shape changes only when jobs come or go, not when their states do.
  const shape = jobs.map((j) => `${j.id}:${j.key}:${j.needs.join(",")}`).join(";");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the shape stands for the jobs
  const plan = useMemo(() => layout(jobs), [shape]);
  const byId = new Map(jobs.map((j) => [j.id, j]));
  return (
    <section className="dm-graph" aria-label="Jobs and what they need">
      <div style={{ width: plan.width, height: plan.height, position: "relative" }}>
        <svg width={plan.width} height={plan.height} aria-hidden>
          {plan.edges.map((edge) => {
            const from = byId.get(edge.from);
            const state = from ? stateOf(from) : "waiting";
            return (
              <path
                key={`${edge.from}-${edge.to}`}
                d={edge.path}
                className="dm-graph-edge"
                data-state={state}
              />
            );
          })}
        </svg>
        {plan.nodes.map(({ node, x, y }) => {
          const job = byId.get(node.id) ?? node;
          const state = stateOf(job);
          return (
            <button
              type="button"
              key={node.id}
              className="dm-graph-node"
              data-state={state}
              aria-pressed={selected === node.id}
              style={{ left: x, top: y, width: NODE_WIDTH, height: NODE_HEIGHT }}
              title={job.needs.length > 0 ? `${job.name} needs ${job.needs.join(", ")}` : job.name}
              onClick={() => onSelect(job)}
            >
              <StateIcon state={state} size={17} />
              <span className="dm-ellipsis dm-grow">{job.name}</span>
              <Elapsed from={job.started_at} to={job.finished_at} />
            </button>
          );
        })}
      </div>
    </section>
  );
}
