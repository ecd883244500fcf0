/** Finds text in the whole log, fetching what is not here yet, a chunk at a time. */
import { stripAnsi } from "./ansi";
import { CHUNK, type LogStore } from "./store";

export const MAX_HITS = 5000;
const AHEAD = 4;

export interface SearchState {
  /** Offsets of the lines that match, in order. */
  hits: number[];
  searched: number;
  done: boolean;
}

const encoder = new TextEncoder();

export async function searchLog(
  store: LogStore,
  query: string,
  from: number,
  hits: number[],
  report: (state: SearchState) => void,
  signal: AbortSignal,
): Promise<void> {
  const needle = query.toLowerCase();
  let start = from;
  let shown = performance.now();
  while (start < store.length && !signal.aborted && hits.length < MAX_HITS) {
    const index = Math.floor(start / CHUNK);
    // A few are under way while one is read.
    for (let ahead = 1; ahead <= AHEAD && (index + ahead) * CHUNK < store.length; ahead++) {
      void store.ensure(index + ahead).catch(() => undefined);
    }
    try {
      await store.ensure(index);
    } catch {
      break; // The view already shows that the log could not be read.
    }
    const bytes = store.bytesOf(index);
    const base = index * CHUNK;
    const rest = bytes.subarray(start - base);
    if (rest.length === 0) break;
    // Only whole lines; the one that crosses the border is read through the store.
    const newline = rest.lastIndexOf(10);
    const last = base + bytes.length >= store.length;
    const stop = last ? rest.length : newline + 1;
    scan(new TextDecoder().decode(rest.subarray(0, stop)), start, needle, hits);
    start += stop;
    if (!last) {
      await store.ensure(index + 1).catch(() => undefined);
      const crossing = store.line(start, store.length, CHUNK);
      if (matches(crossing.text, needle)) hits.push(start);
      start = Math.max(start + encoder.encode(crossing.text).length + 1, base + bytes.length);
    }
    if (performance.now() - shown > 100) {
      report({ hits, searched: start, done: false });
      shown = performance.now();
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
  if (!signal.aborted) report({ hits, searched: start, done: true });
}

const matches = (line: string, needle: string): boolean => stripAnsi(line).toLowerCase().includes(needle);

/** Plain ASCII: then characters and bytes are the same. */
const isAscii = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
};

/** Adds the offsets of matching lines of a text that starts at `base`. */
export function scan(text: string, base: number, needle: string, hits: number[]): void {
  // Most chunks hold no match at all: one look at the whole decides.
  if (!text.includes("\u001b") && !text.toLowerCase().includes(needle)) return;
  const ascii = isAscii(text);
  let at = base;
  for (const line of text.split("\n")) {
    if (matches(line, needle) && line !== "" && hits.length < MAX_HITS) hits.push(at);
    at += (ascii ? line.length : encoder.encode(line).length) + 1;
  }
}
