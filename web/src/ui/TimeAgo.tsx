import { useSyncExternalStore } from "react";
import { ago, between, duration, exact } from "./format";

/** Shared clocks: one timer however many times are on the page. */
function clock(every: number) {
  const listeners = new Set<() => void>();
  let timer: ReturnType<typeof setInterval> | undefined;
  let now = Date.now();
  return {
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      if (!timer) {
        now = Date.now();
        timer = setInterval(() => {
          now = Date.now();
          for (const call of listeners) call();
        }, every);
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && timer) {
          clearInterval(timer);
          timer = undefined;
        }
      };
    },
    now: () => now,
  };
}

const slow = clock(20_000);
const fast = clock(1_000);
const never = () => () => {};

/** The present moment, by the second while something counts; else the moment of the first look. */
export function useNow(live: boolean): number {
  return useSyncExternalStore(live ? fast.subscribe : never, fast.now);
}

export function TimeAgo({ at }: { at: string | null | undefined }) {
  const now = useSyncExternalStore(slow.subscribe, slow.now);
  if (!at) return <span className="dm-dim">–</span>;
  return (
    <time dateTime={at} title={exact(at)}>
      {ago(at, Math.max(now, Date.now() - 20_000))}
    </time>
  );
}

/** A duration that counts while it is not over. */
export function Elapsed({ from, to }: { from: string | null; to: string | null }) {
  const live = from !== null && to === null;
  useSyncExternalStore(live ? fast.subscribe : never, live ? fast.now : () => 0);
  const ms = between(from, to);
  if (ms === null) return null;
  return <span className="dm-num">{live ? duration(Math.floor(ms / 1000) * 1000) : duration(ms)}</span>;
}
