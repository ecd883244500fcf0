/** Numbers, sizes, times and names as people read them. */

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? size : size < 10 ? size.toFixed(1) : Math.round(size)} ${UNITS[unit]}`;
}

export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms > 0 && ms < 0.5) return "< 1 ms";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const s = Math.round(seconds);
  if (s < 3600) return `${Math.floor(s / 60)}m ${String(s % 60).padStart(2, "0")}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}m`;
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`;
}

interface Used {
  cpu_user_ms: number | null;
  cpu_system_ms: number | null;
  memory_peak_bytes: number | null;
  read_bytes: number | null;
  written_bytes: number | null;
}

/** What a step used of its machine; what is not known is not said. */
export function usage(used: Used | null | undefined): string {
  if (!used) return "";
  const known = (value: number | null | undefined): value is number => value !== null && value !== undefined;
  const out: string[] = [];
  if (known(used.cpu_user_ms) || known(used.cpu_system_ms))
    out.push(`CPU ${duration((used.cpu_user_ms ?? 0) + (used.cpu_system_ms ?? 0))}`);
  if (known(used.memory_peak_bytes)) out.push(`memory ${bytes(used.memory_peak_bytes)}`);
  if (used.read_bytes) out.push(`read ${bytes(used.read_bytes)}`);
  if (used.written_bytes) out.push(`wrote ${bytes(used.written_bytes)}`);
  return out.join(" · ");
}

/** Time between two moments; up to now while the second is missing. */
export function between(from: string | null, to: string | null, now = Date.now()): number | null {
  if (!from) return null;
  return Math.max(0, (to ? Date.parse(to) : now) - Date.parse(from));
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "long" });
const STEPS: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, "second"],
  [3600, "minute"],
  [86_400, "hour"],
  [7 * 86_400, "day"],
  [30 * 86_400, "week"],
  [365 * 86_400, "month"],
  [Number.POSITIVE_INFINITY, "year"],
];
const SECONDS: Record<string, number> = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 604_800,
  month: 2_592_000,
  year: 31_536_000,
};

export function ago(iso: string, now = Date.now()): string {
  const diff = (Date.parse(iso) - now) / 1000;
  const size = Math.abs(diff);
  if (size < 5) return "just now";
  const unit = STEPS.find(([limit]) => size < limit)?.[1] ?? "year";
  return relative.format(Math.trunc(diff / (SECONDS[unit] ?? 1)), unit);
}

const full = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });
export const exact = (iso: string): string => full.format(new Date(iso));

export const short = (oid: string | null | undefined): string =>
  (oid ?? "").replace(/^sha256:/, "").slice(0, 8);

const compact = new Intl.NumberFormat("en");
export const number = (value: number): string => compact.format(value);

export const percent = (share: number): string => {
  const value = share * 100;
  return `${value < 10 && value > 0 ? value.toFixed(1) : Math.round(value)} %`;
};

export const plural = (n: number, one: string, many = `${one}s`): string =>
  `${number(n)} ${n === 1 ? one : many}`;

/** `refs/heads/main` -> `main`. */
export const refName = (ref: string): string => ref.replace(/^refs\/(heads|tags)\//, "");

/** `create_repository` -> `Create repository`. */
export const words = (name: string): string => {
  const text = name.replace(/[_-]+/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
};

/** Colours of languages as people know them; the rest get a stable hue. */
const LANGUAGE: Record<string, string> = {
  rust: "#c8794a",
  typescript: "#3178c6",
  tsx: "#3178c6",
  javascript: "#d6b41f",
  jsx: "#d6b41f",
  python: "#3f77b0",
  go: "#11a5c9",
  html: "#dd5a33",
  css: "#7a4bb0",
  scss: "#c6538c",
  shell: "#6fae36",
  bash: "#6fae36",
  java: "#b07219",
  kotlin: "#9b62f5",
  ruby: "#a3272a",
  c: "#6d7480",
  "c++": "#e0557f",
  "c#": "#2b8a3e",
  php: "#5b6aa5",
  dockerfile: "#3f6d8f",
  makefile: "#4f8f1f",
  markdown: "#5577a0",
  yaml: "#b5484d",
  json: "#8a8f98",
  toml: "#9c5a3c",
  sql: "#d38b1e",
  swift: "#e8603c",
};

export function languageColor(name: string): string {
  const known = LANGUAGE[name.toLowerCase()];
  if (known) return known;
  let hash = 0;
  for (const ch of name) hash = (hash * 31 + ch.charCodeAt(0)) % 360;
  return `hsl(${hash} 45% 52%)`;
}
