/**
 * Jobs and what each waits for: stages as columns, jobs of one matrix as one node that opens, lines for what is
 * needed. Nodes are buttons in reading order, and arrow keys go from one to the next; the lines are decoration.
 */
import { IconChevronDown, IconChevronRight, IconClockHour4, IconHandStop } from "@tabler/icons-react";
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { duration, plural } from "@/ui/format";
import { lookOf, StateIcon } from "@/ui/State";
import { Elapsed } from "@/ui/TimeAgo";
import { layout, NODE_HEIGHT, NODE_WIDTH, ROW_HEIGHT, TALL } from "./layout";
import { type GraphJob, type GraphNode, nodesOf, shownState, spanOf, stateOfNode, tally } from "./model";
import "./graph.css";

/** Rows of an open group; more of them scroll. */
const ROWS = 8;
/** A matrix this small is open from the start. */
const SMALL = 3;

type Sized<J extends GraphJob> = GraphNode<J> & { height: number; open: boolean };

/** Focus goes to the nearest node in the direction of an arrow key. */
function steer(event: KeyboardEvent<HTMLElement>): void {
  const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
  const here = document.activeElement?.closest<HTMLElement>("[data-graph-stop]");
  if (!way || !here) return;
  const [dx = 0, dy = 0] = way;
  const from = here.getBoundingClientRect();
  let best: HTMLElement | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const stop of event.currentTarget.querySelectorAll<HTMLElement>("[data-graph-stop]")) {
    const at = stop.getBoundingClientRect();
    const x = at.left + at.width / 2 - (from.left + from.width / 2);
    const y = at.top + at.height / 2 - (from.top + from.height / 2);
    const along = x * dx + y * dy;
    const across = Math.abs(dx ? y : x);
    if (along < 8 || (dy && across > at.width)) continue;
    const cost = along + across * 2;
    if (cost < least) {
      least = cost;
      best = stop;
    }
  }
  if (!best) return;
  event.preventDefault();
  best.focus();
}

function Gate({ job }: { job: GraphJob }) {
  if (!job.gate || job.finished_at) return null;
  const text =
    job.gate.kind === "delay"
      ? `Starts ${duration((job.gate.seconds ?? 0) * 1000)} after it could`
      : (job.gate.message ?? "Somebody starts it by hand");
  const Glyph = job.gate.kind === "delay" ? IconClockHour4 : IconHandStop;
  return (
    <span className="dm-graph-gate" title={text} role="img" aria-label={text}>
      <Glyph size={13} aria-hidden />
    </span>
  );
}

function One<J extends GraphJob>(props: {
  job: J;
  row?: boolean;
  pressed: boolean;
  onSelect: (job: J) => void;
}) {
  const { job, row } = props;
  const state = shownState(job);
  const needs = job.needs.length > 0 ? ` needs ${job.needs.join(", ")}` : "";
  return (
    <button
      type="button"
      className={row ? "dm-graph-row" : "dm-graph-one"}
      data-graph-stop
      data-state={state}
      aria-pressed={props.pressed}
      style={{ height: row ? ROW_HEIGHT : NODE_HEIGHT }}
      title={`${job.name}${needs}`}
      onClick={() => props.onSelect(job)}
    >
      <StateIcon state={state} size={row ? 15 : 17} />
      <span className="dm-ellipsis dm-grow">{job.name}</span>
      <Gate job={job} />
      <Elapsed from={job.started_at} to={job.finished_at} />
    </button>
  );
}

function Group<J extends GraphJob>(props: {
  node: Sized<J>;
  selected: string | null;
  onSelect: (job: J) => void;
  onToggle: () => void;
}) {
  const { node } = props;
  const state = stateOfNode(node.jobs);
  const counts = tally(node.jobs);
  const span = spanOf(node.jobs);
  const said = counts.map((c) => `${c.count} ${lookOf(c.state).label.toLowerCase()}`).join(", ");
  return (
    <>
      <button
        type="button"
        className="dm-graph-one dm-graph-group"
        data-graph-stop
        aria-expanded={node.open}
        aria-label={`${node.name}, ${plural(node.jobs.length, "job")}: ${said}`}
        title={`${node.name}: ${said}`}
        style={{ height: NODE_HEIGHT }}
        onClick={props.onToggle}
      >
        <StateIcon state={state} size={17} label={false} />
        <span className="dm-grow dm-graph-words">
          <span className="dm-graph-name">
            <span className="dm-ellipsis">{node.name}</span>
            <span className="dm-graph-many">×{node.jobs.length}</span>
          </span>
          <span className="dm-graph-tally" aria-hidden>
            {counts.map((c) => (
              <i key={c.state} className={`dm-${lookOf(c.state).tone}`} style={{ flexGrow: c.count }} />
            ))}
          </span>
        </span>
        <Elapsed from={span.from} to={span.to} />
        {node.open ? <IconChevronDown size={15} aria-hidden /> : <IconChevronRight size={15} aria-hidden />}
      </button>
      {node.open ? (
        <div className="dm-graph-rows" style={{ maxHeight: ROWS * ROW_HEIGHT }}>
          {node.jobs.map((job) => (
            <One key={job.id} job={job} row pressed={props.selected === job.id} onSelect={props.onSelect} />
          ))}
        </div>
      ) : null}
    </>
  );
}

export function JobGraph<J extends GraphJob>({
  jobs,
  selected,
  onSelect,
  label = "Jobs and what they need",
}: {
  jobs: J[];
  selected: string | null;
  onSelect: (job: J) => void;
  label?: string;
}) {
  const [toggled, setToggled] = useState<Record<string, boolean>>({});
  const nodes = useMemo(() => nodesOf(jobs), [jobs]);
  const sized = nodes.map((node): Sized<J> => {
    const many = node.jobs.length;
    const open = many > 1 && (toggled[node.id] ?? many <= SMALL);
    return { ...node, open, height: NODE_HEIGHT + (open ? Math.min(many, ROWS) * ROW_HEIGHT + 2 : 0) };
  });
  // The shape changes only when jobs come or go or a group opens, not when their states do.
  const shape = sized.map((n) => `${n.id}:${n.stage}:${n.height}:${n.needs.join(",")}`).join(";");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the shape stands for the nodes
  const plan = useMemo(() => layout(sized), [shape]);
  const byId = new Map(sized.map((n) => [n.id, n]));
  const frame = useRef<HTMLElement>(null);
  // What is chosen elsewhere comes into sight, without moving the page.
  useEffect(() => {
    const box = frame.current;
    const node = selected ? box?.querySelector<HTMLElement>(".dm-graph-node[data-chosen]") : null;
    if (!box || !node) return;
    const { offsetLeft: x, offsetTop: y, offsetWidth: w, offsetHeight: h } = node;
    if (x < box.scrollLeft || x + w > box.scrollLeft + box.clientWidth)
      box.scrollLeft = x - (box.clientWidth - w) / 2;
    if (y < box.scrollTop || y + h > box.scrollTop + box.clientHeight)
      box.scrollTop = y - (box.clientHeight - h) / 2;
  }, [selected]);
  return (
    <section
      className="dm-graph"
      aria-label={label}
      ref={frame}
      style={{ maxHeight: TALL + 60 }}
      onKeyDown={steer}
    >
      <div style={{ width: plan.width, height: plan.height, position: "relative" }}>
        {plan.stages.map((stage) => (
          <h3 key={stage.stage} className="dm-graph-stage" style={{ left: stage.x, width: stage.width }}>
            {stage.stage}
          </h3>
        ))}
        <svg width={plan.width} height={plan.height} aria-hidden>
          {plan.edges.map((edge) => {
            const from = byId.get(edge.from);
            return (
              <path
                key={`${edge.from}-${edge.to}`}
                d={edge.path}
                className="dm-graph-edge"
                data-state={from ? stateOfNode(from.jobs) : "waiting"}
              />
            );
          })}
        </svg>
        {plan.nodes.map(({ node: { id }, x, y }) => {
          const node = byId.get(id);
          const [first] = node?.jobs ?? [];
          if (!node || !first) return null;
          return (
            <div
              key={id}
              className="dm-graph-node"
              data-state={stateOfNode(node.jobs)}
              data-chosen={node.jobs.some((j) => j.id === selected) || undefined}
              style={{ left: x, top: y, width: NODE_WIDTH }}
            >
              {node.jobs.length > 1 ? (
                <Group
                  node={node}
                  selected={selected}
                  onSelect={onSelect}
                  onToggle={() => setToggled({ ...toggled, [id]: !node.open })}
                />
              ) : (
                <One job={first} pressed={selected === first.id} onSelect={onSelect} />
              )}
            </div>
          );
        })}
      </div>
    </section>
  );
}
