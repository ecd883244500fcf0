/** The times of a run as spans on one axis. */
import type { Job, RunDetail, Step } from "@/api/types";

export type Phase = "wait" | "queue" | "setup" | "run";

export interface Span {
  phase: Phase;
  from: number;
  to: number;
  /** It is not over. */
  open: boolean;
}

export interface Lane {
  job: Job;
  spans: Span[];
  from: number;
  to: number;
}

const ms = (text: string | null): number | null => (text ? Date.parse(text) : null);

/** The runner prepares the machine in its first step, before anything of the file runs. */
export const isSetup = (step: Step, i: number): boolean => i === 0 && /^set up job$/i.test(step.name);

export function laneOf(job: Job, now: number): Lane | null {
  const queued = ms(job.queued_at);
  const started = ms(job.started_at);
  const ended = ms(job.finished_at);
  const from = queued ?? started;
  if (from === null) return null;
  const end = ended ?? now;
  const spans: Span[] = [];
  if (queued !== null && (started === null || started > queued))
    spans.push({
      phase: "queue",
      from: queued,
      to: started ?? end,
      open: started === null && ended === null,
    });
  if (started !== null) {
    const [first] = job.steps;
    const set =
      first && isSetup(first, 0) ? (ms(first.finished_at) ?? (ended === null ? now : started)) : started;
    const cut = Math.min(Math.max(set, started), end);
    if (cut > started)
      spans.push({ phase: "setup", from: started, to: cut, open: !first?.finished_at && ended === null });
    if (end > cut || spans.length === 0)
      spans.push({ phase: "run", from: cut, to: end, open: ended === null });
  }
  return { job, spans, from, to: Math.max(end, from) };
}

export interface Scale {
  from: number;
  to: number;
}

export function lanesOf(run: RunDetail, now: number): { lanes: Lane[]; scale: Scale } {
  const lanes = run.jobs.flatMap((job) => laneOf(job, now) ?? []);
  lanes.sort((a, b) => a.from - b.from);
  const from = Math.min(Date.parse(run.created_at), ...lanes.map((l) => l.from));
  const to = Math.max(from + 1000, ...lanes.map((l) => l.to));
  return { lanes, scale: { from, to } };
}

const NICE = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3,
  1800e3, 3600e3, 7200e3, 14400e3, 43200e3, 86400e3,
];

/** Round marks on the axis, at most `most` of them, in milliseconds from the zero of the axis. */
export function ticks(scale: Scale, zero: number, most: number): number[] {
  const span = scale.to - scale.from;
  const step = NICE.find((n) => span / n <= most) ?? span;
  const first = Math.ceil((scale.from - zero) / step) * step;
  const marks: number[] = [];
  for (let at = first; at <= scale.to - zero && marks.length <= most + 1; at += step) marks.push(at);
  return marks;
}

/** A part of the scale around a place in it, never outside of the whole. */
export function zoom(scale: Scale, whole: Scale, at: number, factor: number): Scale {
  const least = Math.min(50, whole.to - whole.from);
  const span = Math.min(whole.to - whole.from, Math.max(least, (scale.to - scale.from) * factor));
  const share = (at - scale.from) / (scale.to - scale.from);
  const from = Math.min(Math.max(whole.from, at - share * span), whole.to - span);
  return { from, to: from + span };
}
