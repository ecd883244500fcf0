/** The one way a state is shown: icon, colour and word, never colour alone. */
import {
  type Icon,
  IconAlertTriangle,
  IconArrowBackUp,
  IconBan,
  IconCircleCheck,
  IconCircleDashed,
  IconCircleMinus,
  IconCircleX,
  IconClock,
  IconClockPause,
  IconHandStop,
  IconLoader2,
  IconPlayerStop,
  IconProgressX,
} from "@tabler/icons-react";

export type Tone = "ok" | "bad" | "run" | "wait" | "idle";

interface Look {
  tone: Tone;
  icon: Icon;
  label: string;
  spin?: boolean;
}

const LOOKS: Record<string, Look> = {
  success: { tone: "ok", icon: IconCircleCheck, label: "Passed" },
  succeeded: { tone: "ok", icon: IconCircleCheck, label: "Done" },
  done: { tone: "ok", icon: IconCircleCheck, label: "Done" },
  passed: { tone: "ok", icon: IconCircleCheck, label: "Passed" },
  healthy: { tone: "ok", icon: IconCircleCheck, label: "Healthy" },
  available: { tone: "ok", icon: IconCircleCheck, label: "Available" },
  stopping: { tone: "run", icon: IconLoader2, label: "Stopping", spin: true },
  online: { tone: "ok", icon: IconCircleCheck, label: "Online" },
  active: { tone: "ok", icon: IconCircleCheck, label: "Active" },
  ok: { tone: "ok", icon: IconCircleCheck, label: "OK" },
  failure: { tone: "bad", icon: IconCircleX, label: "Failed" },
  failed: { tone: "bad", icon: IconCircleX, label: "Failed" },
  error: { tone: "bad", icon: IconAlertTriangle, label: "Error" },
  dead: { tone: "bad", icon: IconProgressX, label: "Given up" },
  unhealthy: { tone: "bad", icon: IconCircleX, label: "Unhealthy" },
  unschedulable: { tone: "wait", icon: IconAlertTriangle, label: "Can't be scheduled" },
  running: { tone: "run", icon: IconLoader2, label: "Running", spin: true },
  deploying: { tone: "run", icon: IconLoader2, label: "Deploying", spin: true },
  queued: { tone: "wait", icon: IconClock, label: "Queued" },
  pending: { tone: "wait", icon: IconCircleDashed, label: "Pending" },
  manual: { tone: "wait", icon: IconHandStop, label: "Waits for a person" },
  planned: { tone: "idle", icon: IconCircleDashed, label: "Planned" },
  "left-out": { tone: "idle", icon: IconCircleMinus, label: "Left out" },
  draining: { tone: "wait", icon: IconClockPause, label: "Draining" },
  waiting: { tone: "idle", icon: IconClockPause, label: "Waiting" },
  cancelled: { tone: "idle", icon: IconBan, label: "Cancelled" },
  skipped: { tone: "idle", icon: IconCircleMinus, label: "Skipped" },
  undone: { tone: "idle", icon: IconArrowBackUp, label: "Undone" },
  rolled_back: { tone: "bad", icon: IconArrowBackUp, label: "Rolled back" },
  superseded: { tone: "idle", icon: IconCircleMinus, label: "Superseded" },
  stopped: { tone: "idle", icon: IconPlayerStop, label: "Stopped" },
  empty: { tone: "idle", icon: IconCircleDashed, label: "Nothing deployed" },
  offline: { tone: "idle", icon: IconPlayerStop, label: "Offline" },
  blocked: { tone: "bad", icon: IconBan, label: "Blocked" },
};

/** What a run, job, step or deployment shows: its conclusion when it has one, else its state. */
export const stateOf = (it: { state: string; conclusion?: string | null }): string =>
  it.state === "completed" ? (it.conclusion ?? "skipped") : it.state;

const fallback = (name: string): Look => ({ tone: "idle", icon: IconCircleDashed, label: name });
export const lookOf = (name: string): Look => LOOKS[name] ?? fallback(name);

export function StateIcon({
  state,
  size = 16,
  label,
}: {
  state: string;
  size?: number;
  label?: string | false;
}) {
  const look = lookOf(state);
  const Glyph = look.icon;
  const text = label === false ? undefined : (label ?? look.label);
  const glyph = <Glyph size={size} stroke={2} className={look.spin ? "dm-spin" : undefined} aria-hidden />;
  const name = `dm-state-icon dm-${look.tone}`;
  if (!text) {
    return (
      <span className={name} aria-hidden>
        {glyph}
      </span>
    );
  }
  return (
    <span className={name} role="img" aria-label={text} title={text}>
      {glyph}
    </span>
  );
}

export function StateBadge({ state, label }: { state: string; label?: string }) {
  const look = lookOf(state);
  return (
    <span className={`dm-badge dm-${look.tone}`}>
      <StateIcon state={state} size={14} label={false} />
      {label ?? look.label}
    </span>
  );
}
