/** Charts small enough to need no library. */

export interface Bar {
  value: number | null;
  bad?: boolean;
  label: string;
}

/** A row of bars, the newest at the right; a failed one has full height and the colour of failure. */
export function Bars({ bars, height = 44, label }: { bars: Bar[]; height?: number; label: string }) {
  const max = Math.max(1, ...bars.map((b) => b.value ?? 0));
  const step = 6;
  const width = Math.max(bars.length, 40) * step;
  const offset = width - bars.length * step;
  return (
    <svg
      className="dm-bars"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
      height={height}
    >
      {bars.map((bar, i) => {
        const h = bar.bad ? height : Math.max(2, ((bar.value ?? 0) / max) * (height - 4));
        return (
          <rect
            key={i}
            x={offset + i * step}
            y={height - h}
            width={step - 1.5}
            height={h}
            rx={1}
            className={bar.bad ? "dm-bar-bad" : "dm-bar"}
          >
            <title>{bar.label}</title>
          </rect>
        );
      })}
    </svg>
  );
}

/** Shares of a whole as one line of colours. */
export function ShareBar({
  parts,
  label,
}: {
  parts: { name: string; share: number; color: string }[];
  label: string;
}) {
  return (
    <div className="dm-share" role="img" aria-label={label}>
      {parts.map((part) => (
        <span
          key={part.name}
          style={{ flexGrow: Math.max(part.share, 0.004), background: part.color }}
          title={part.name}
        />
      ))}
    </div>
  );
}

/** A percentage as a bar. */
export function Meter({ share, tone }: { share: number; tone?: "ok" | "bad" | "wait" | "run" }) {
  return (
    <span className="dm-meter" aria-hidden>
      <span
        style={{
          width: `${Math.min(100, Math.max(0, share * 100))}%`,
          background: `var(--dm-${tone ?? "run"})`,
        }}
      />
    </span>
  );
}
