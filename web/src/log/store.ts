/**
 * The bytes of a job's log, held as far as somebody looked at them.
 *
 * The log is cut into chunks at fixed byte offsets, each fetched when it is needed; the live end is appended as
 * it arrives. Offsets are always bytes of the stored log, because steps and links name places by them.
 */
export const CHUNK = 256 * 1024;

export interface LogSlice {
  bytes: Uint8Array;
  next: number;
  complete: boolean;
  /** Total length, when the server tells. */
  length: number | null;
}

export type ReadLog = (offset: number, limit: number, signal?: AbortSignal) => Promise<LogSlice>;

interface Chunk {
  buffer: Uint8Array<ArrayBuffer>;
  filled: number;
  loading: Promise<void> | null;
  /** Grows with `filled`; lets line indexes know that they are old. */
  version: number;
}

const encoder = new TextEncoder();

export class LogStore {
  /** Bytes known to exist. */
  length = 0;
  complete = false;
  error: unknown = null;
  private chunks = new Map<number, Chunk>();
  private listeners = new Set<() => void>();
  private scheduled = false;
  private revision = 0;

  constructor(
    private readonly read: ReadLog,
    private readonly schedule: (run: () => void) => void = (run) => requestAnimationFrame(run),
  ) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Changes whenever anything visible changed. */
  version = (): number => this.revision;

  private changed(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.schedule(() => {
      this.scheduled = false;
      this.revision += 1;
      for (const listener of this.listeners) listener();
    });
  }

  /** Learns of more bytes, for instance from the steps' own offsets. */
  grow(length: number, complete = this.complete): void {
    if (length <= this.length && complete === this.complete) return;
    this.length = Math.max(this.length, length);
    this.complete = complete;
    this.changed();
  }

  private chunk(index: number): Chunk {
    let chunk = this.chunks.get(index);
    if (!chunk) {
      chunk = { buffer: new Uint8Array(0), filled: 0, loading: null, version: 0 };
      this.chunks.set(index, chunk);
    }
    return chunk;
  }

  private put(chunk: Chunk, bytes: Uint8Array): void {
    const need = chunk.filled + bytes.length;
    if (need > chunk.buffer.length) {
      const grown = new Uint8Array(Math.min(CHUNK, Math.max(need, chunk.buffer.length * 2, 4096)));
      grown.set(chunk.buffer.subarray(0, chunk.filled));
      chunk.buffer = grown;
    }
    chunk.buffer.set(bytes, chunk.filled);
    chunk.filled = need;
    chunk.version += 1;
  }

  /** How many bytes of a chunk should exist. */
  private want(index: number): number {
    return Math.max(0, Math.min(CHUNK, this.length - index * CHUNK));
  }

  loaded(index: number): boolean {
    const chunk = this.chunks.get(index);
    return chunk !== undefined && chunk.filled > 0 && chunk.filled >= this.want(index);
  }

  chunkVersion(index: number): number {
    return this.chunks.get(index)?.version ?? 0;
  }

  /** The bytes of a chunk that are here. */
  bytesOf(index: number): Uint8Array {
    const chunk = this.chunks.get(index);
    return chunk ? chunk.buffer.subarray(0, chunk.filled) : new Uint8Array(0);
  }

  /** Fetches what a chunk lacks. Concurrent calls share one fetch. */
  ensure(index: number): Promise<void> {
    const chunk = this.chunk(index);
    if (chunk.loading) return chunk.loading;
    if (chunk.filled > 0 && chunk.filled >= this.want(index)) return Promise.resolve();
    chunk.loading = this.fill(index, chunk).finally(() => {
      chunk.loading = null;
    });
    return chunk.loading;
  }

  private async fill(index: number, chunk: Chunk): Promise<void> {
    const start = index * CHUNK;
    try {
      for (;;) {
        const from = start + chunk.filled;
        const slice = await this.read(from, CHUNK - chunk.filled);
        // The live end may have brought the same bytes while this was under way.
        const skip = start + chunk.filled - from;
        const fresh = slice.bytes.subarray(skip, CHUNK - chunk.filled + skip);
        if (fresh.length > 0) this.put(chunk, fresh);
        this.error = null;
        this.length = Math.max(this.length, slice.length ?? 0, start + chunk.filled);
        if (slice.complete && slice.length === null && slice.next >= this.length) this.complete = true;
        if (slice.complete && slice.length !== null) this.complete = true;
        this.changed();
        if (slice.bytes.length === 0 || chunk.filled >= CHUNK || chunk.filled >= this.want(index)) return;
      }
    } catch (error) {
      this.error = error;
      this.changed();
      throw error;
    }
  }

  /** Appends a live piece. Pieces that don't fit are fetched by range instead. */
  append(offset: number, text: string, next: number): void {
    const bytes = encoder.encode(text);
    const exact = bytes.length === next - offset;
    this.length = Math.max(this.length, next);
    let at = offset;
    while (exact && at < next) {
      const index = Math.floor(at / CHUNK);
      const chunk = this.chunk(index);
      const have = index * CHUNK + chunk.filled;
      const end = Math.min(next, (index + 1) * CHUNK);
      if (have < at || chunk.loading) break; // A hole before it: `ensure` brings it when it is looked at.
      if (have < end) this.put(chunk, bytes.subarray(have - offset, end - offset));
      at = end;
    }
    this.changed();
  }

  /** Where a stream that began at `from` should go on: the end of what is here without a hole. */
  contiguous(from: number): number {
    let at = from;
    for (;;) {
      const index = Math.floor(at / CHUNK);
      const have = index * CHUNK + (this.chunks.get(index)?.filled ?? 0);
      if (have <= at) return at;
      at = have;
    }
  }

  finish(): void {
    this.complete = true;
    this.changed();
  }

  /** The text of the line starting at an offset, as far as it is here, without its end of line. */
  line(start: number, end: number, limit = 8192): { text: string; whole: boolean } {
    const parts: Uint8Array[] = [];
    let at = start;
    let size = 0;
    let whole = true;
    while (at < end && size < limit) {
      const index = Math.floor(at / CHUNK);
      const bytes = this.bytesOf(index);
      const from = at - index * CHUNK;
      if (from >= bytes.length) {
        whole = false;
        break;
      }
      const stop = Math.min(bytes.length, end - index * CHUNK);
      const newline = bytes.indexOf(10, from);
      const to = newline >= 0 && newline < stop ? newline : stop;
      parts.push(bytes.subarray(from, Math.min(to, from + limit - size)));
      size += to - from;
      at = index * CHUNK + to;
      if (newline >= 0 && newline < stop) break;
    }
    return { text: decode(parts), whole };
  }
}

const decoder = new TextDecoder();

function decode(parts: Uint8Array[]): string {
  if (parts.length === 0) return "";
  if (parts.length === 1) return decoder.decode(parts[0]);
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return decoder.decode(all);
}
