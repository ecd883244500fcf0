/**
 * The run as a waterfall: one lane per job with the time it queued, was set up and ran. The lane under the pointer
 * (or the focus) is shown enlarged below, step by step; the axis itself zooms with the buttons, the keys + - 0, and
 * the wheel while Ctrl is held.
 */
import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { IconTimeline, IconZoomIn, IconZoomOut, IconZoomReset } from "@tabler/icons-react";
import { type KeyboardEvent, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { Job, RunDetail } from "@/api/types";
import { Empty, Panel } from "@/ui/bits";
import { duration, exact, usage } from "@/ui/format";
import { lookOf, StateIcon, stateOf } from "@/ui/State";
import { useNow } from "@/ui/TimeAgo";
import { isSetup, type Lane, laneOf, lanesOf, type Phase, type Scale, ticks, zoom } from "./timeline";
import "./timeline.css";

const PHASES: Record<Phase, string> = { wait: "Waiting", queue: "Queued", setup: "Set-up", run: "Run" };
/** Lanes that are shown before somebody asks for all of them. */
const FIRST = 150;

const left = (at: number, scale: Scale) => ((at - scale.from) / (scale.to - scale.from)) * 100;

/** The part of a span that the scale shows, as a place on the axis. */
function place(from: number, to: number, scale: Scale): { left: string; width: string } | null {
  const a = Math.max(0, left(from, scale));
  const b = Math.min(100, left(to, scale));
  return b < 0 || a > 100 || b < a ? null : { left: `${a}%`, width: `${b - a}%` };
}

const narrow = "(max-width: 780px)";
const watchWidth = (listener: () => void) => {
  const query = window.matchMedia?.(narrow);
  query?.addEventListener("change", listener);
  return () => query?.removeEventListener("change", listener);
};

function Axis({ scale, zero }: { scale: Scale; zero: number }) {
  const phone = useSyncExternalStore(watchWidth, () => window.matchMedia?.(narrow).matches ?? false);
  return (
    <div className="dm-tl-axis" aria-hidden>
      {ticks(scale, zero, phone ? 3 : 8).map((at) => {
        const x = left(zero + at, scale);
        return (
          <span key={at} style={{ left: `${x}%` }} data-end={x > 94 || undefined}>
            {at === 0 ? "0" : duration(at)}
          </span>
        );
      })}
    </div>
  );
}

const said = (lane: Lane): string =>
  [
    `${lane.job.name}: ${lookOf(stateOf(lane.job)).label}`,
    ...lane.spans.map(
      (s) => `${PHASES[s.phase].toLowerCase()} ${duration(s.to - s.from)}${s.open ? " so far" : ""}`,
    ),
  ].join(", ");

function Bars({ lane, scale }: { lane: Lane; scale: Scale }) {
  const tone = lookOf(stateOf(lane.job)).tone;
  return (
    <>
      {lane.spans.map((span) => {
        const at = place(span.from, span.to, scale);
        return at ? (
          <i
            key={span.phase}
            className={`dm-tl-bar dm-${tone}`}
            data-phase={span.phase}
            data-open={span.open || undefined}
            style={at}
          />
        ) : null;
      })}
    </>
  );
}

/** One job enlarged: its steps on an axis of its own. */
function Lens({ lane, now, onOpen }: { lane: Lane; now: number; onOpen: (job: Job) => void }) {
  const { job } = lane;
  const scale = { from: lane.from, to: Math.max(lane.to, lane.from + 1) };
  return (
    <section className="dm-tl-lens" aria-label={`Steps of ${job.name}`}>
      <header>
        <StateIcon state={stateOf(job)} size={16} />
        <strong className="dm-ellipsis">{job.name}</strong>
        <span className="dm-tl-phases">
          {lane.spans.map((s) => (
            <span key={s.phase}>
              <i className={`dm-tl-key dm-${lookOf(stateOf(job)).tone}`} data-phase={s.phase} aria-hidden />
              {PHASES[s.phase]} {duration(s.to - s.from)}
            </span>
          ))}
        </span>
        <Button size="compact-xs" variant="default" onClick={() => onOpen(job)}>
          Log
        </Button>
      </header>
      <ol>
        {job.steps.map((step, i) => {
          const from = step.started_at ? Date.parse(step.started_at) : null;
          const to = step.finished_at ? Date.parse(step.finished_at) : now;
          const at = from === null ? null : place(from, to, scale);
          return (
            <li
              key={step.index}
              title={
                step.started_at
                  ? [exact(step.started_at), usage(step.usage)].filter(Boolean).join("\n")
                  : "Not begun"
              }
            >
              <StateIcon state={stateOf(step)} size={13} />
              <span className="dm-ellipsis">{step.name}</span>
              <span className="dm-tl-track">
                {at ? (
                  <i
                    className={`dm-tl-bar dm-${lookOf(stateOf(step)).tone}`}
                    data-phase={isSetup(step, i) ? "setup" : "run"}
                    data-open={!step.finished_at || undefined}
                    style={at}
                  />
                ) : null}
              </span>
              <span className="dm-num dm-dim">{from === null ? "–" : duration(to - from)}</span>
            </li>
          );
        })}
        {job.steps.length === 0 ? <li className="dm-dim">No step has begun.</li> : null}
      </ol>
    </section>
  );
}

export function Timeline({ run, onOpen }: { run: RunDetail; onOpen: (job: Job) => void }) {
  const live = run.state !== "completed";
  const now = useNow(live);
  const { lanes, scale: whole } = useMemo(() => lanesOf(run, now), [run, now]);
  const [part, setPart] = useState<Scale | null>(null);
  const [chosen, setChosen] = useState<string | null>(null);
  const [all, setAll] = useState(false);
  const [cursor, setCursor] = useState<number | null>(null);
  const plot = useRef<HTMLDivElement>(null);
  const scale = part ?? whole;
  const lens = lanes.find((l) => l.job.id === chosen) ?? lanes[0];
  const by = (factor: number, at = (scale.from + scale.to) / 2) => {
    const next = zoom(scale, whole, at, factor);
    setPart(next.to - next.from >= whole.to - whole.from ? null : next);
  };
  const zoomBy = useRef(by);
  zoomBy.current = by;
  const scaleNow = useRef(scale);
  scaleNow.current = scale;

  /** Where in time the pointer is. */
  const timeAt = (x: number): number | null => {
    const track = plot.current?.querySelector(".dm-tl-axis")?.getBoundingClientRect();
    if (!track || x < track.left || x > track.right || track.width === 0) return null;
    const { from, to } = scaleNow.current;
    return from + ((x - track.left) / track.width) * (to - from);
  };
  const find = useRef(timeAt);
  find.current = timeAt;
  // React's own wheel listener can't keep the page from zooming.
  useEffect(() => {
    const node = plot.current;
    if (!node) return;
    const onWheel = (event: WheelEvent) => {
      const at = event.ctrlKey ? find.current(event.clientX) : null;
      if (at === null) return;
      event.preventDefault();
      zoomBy.current(event.deltaY > 0 ? 1.25 : 0.8, at);
    };
    node.addEventListener("wheel", onWheel, { passive: false });
    return () => node.removeEventListener("wheel", onWheel);
  }, []);

  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") by(0.5);
    else if (event.key === "-") by(2);
    else if (event.key === "0") setPart(null);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const rows = [...(plot.current?.querySelectorAll<HTMLElement>(".dm-tl-lane") ?? [])];
      const at = rows.indexOf(document.activeElement as HTMLElement);
      if (at < 0) return;
      rows[at + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
    } else return;
    event.preventDefault();
  };

  if (lanes.length === 0 || !lens) {
    return (
      <div className="dm-panel">
        <Empty icon={IconTimeline} title="Nothing has begun">
          Jobs show here from the moment they wait for a runner.
        </Empty>
      </div>
    );
  }
  const shown = all ? lanes : lanes.slice(0, FIRST);
  const zero = Date.parse(run.created_at);
  const at = cursor !== null && cursor >= scale.from && cursor <= scale.to ? cursor : null;
  return (
    <Panel
      title="Timeline"
      flush
      actions={
        <>
          <span className="dm-tl-legend dm-hide-phone" aria-hidden>
            {(["queue", "setup", "run"] as const).map((p) => (
              <span key={p}>
                <i className="dm-tl-key dm-ok" data-phase={p} /> {PHASES[p]}
              </span>
            ))}
          </span>
          <Tooltip label="Nearer (+)">
            <ActionIcon aria-label="Zoom in" onClick={() => by(0.5)}>
              <IconZoomIn size={16} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label="Farther (-)">
            <ActionIcon aria-label="Zoom out" disabled={!part} onClick={() => by(2)}>
              <IconZoomOut size={16} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label="All of it (0)">
            <ActionIcon aria-label="Show the whole run" disabled={!part} onClick={() => setPart(null)}>
              <IconZoomReset size={16} />
            </ActionIcon>
          </Tooltip>
        </>
      }
    >
      {/* biome-ignore lint/a11y/noStaticElementInteractions: keys of the lanes inside, which are buttons */}
      <div
        className="dm-tl"
        ref={plot}
        onKeyDown={onKey}
        onPointerMove={(event) => setCursor(timeAt(event.clientX))}
        onPointerLeave={() => setCursor(null)}
      >
        <div className="dm-tl-top">
          <span className="dm-tl-clock dm-num" aria-hidden>
            {at === null ? "" : `+${duration(Math.max(0, at - zero))}`}
          </span>
          <Axis scale={scale} zero={zero} />
        </div>
        <div className="dm-tl-lanes">
          {shown.map((lane) => (
            <button
              type="button"
              key={lane.job.id}
              className="dm-tl-lane"
              aria-label={said(lane)}
              aria-pressed={lane.job.id === lens.job.id}
              onPointerEnter={() => setChosen(lane.job.id)}
              onFocus={() => setChosen(lane.job.id)}
              onClick={() => setChosen(lane.job.id)}
            >
              <StateIcon state={stateOf(lane.job)} size={14} label={false} />
              <span className="dm-ellipsis">
                {lane.job.name}
                {lane.job.superseded ? <span className="dm-dim"> attempt {lane.job.attempt}</span> : null}
              </span>
              <span className="dm-tl-track">
                <Bars lane={lane} scale={scale} />
                {at === null ? null : <b style={{ left: `${left(at, scale)}%` }} />}
              </span>
            </button>
          ))}
        </div>
        {lanes.length > shown.length ? (
          <div className="dm-more">
            <Button variant="subtle" color="gray" size="xs" onClick={() => setAll(true)}>
              Show {lanes.length - shown.length} more
            </Button>
          </div>
        ) : null}
      </div>
      <Lens lane={laneOf(lens.job, now) ?? lens} now={now} onOpen={onOpen} />
    </Panel>
  );
}
