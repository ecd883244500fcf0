/**
 * From bytes to rows: steps are sections that fold, `::group::` folds within them, and every row can be found
 * from its number and from its byte offset without looking at the whole log.
 */
import { CHUNK, type LogStore } from "./store";

export interface Section {
  key: string;
  title: string;
  state: string;
  from: number;
  /** End, or null while it grows. */
  to: number | null;
  started_at: string | null;
  finished_at: string | null;
  exit_code: number | null;
  /** What it used of its machine, in words. */
  used?: string;
}

/** The lines that begin within one chunk of one section. */
export interface Piece {
  section: number;
  chunk: number;
  from: number;
  to: number;
  /** Offsets of line starts; null while the chunk is not here. */
  starts: number[] | null;
  /** Lines shown after folding (indexes into `starts`); null means all. */
  shown: Int32Array | null;
  /** Group headers by line index, with their name and fold state. */
  groups: Map<number, { offset: number; name: string; folded: boolean }> | null;
  rows: number;
  /** Lines of the section before this piece; null when a chunk before it is missing. */
  before: number | null;
}

/** Heights in pixels. Fixed, so that a place is found by arithmetic. */
export const LINE = 20;
export const HEAD = 32;

export type Block =
  | { kind: "head"; section: number; row: number; top: number }
  | { kind: "piece"; piece: Piece; row: number; top: number };

export type Row =
  | { kind: "head"; section: Section; index: number; open: boolean }
  | {
      kind: "line";
      section: number;
      start: number;
      end: number;
      number: number | null;
      group: { offset: number; name: string; folded: boolean } | null;
      nested: boolean;
    }
  | { kind: "missing"; chunk: number };

const GROUP = /^(?:::group::|##\[group\])(.*)$/;
const END = /^(?:::endgroup::|##\[endgroup\])/;

interface CachedPiece {
  version: number;
  to: number;
  starts: number[];
  /** Group marks: line index and the name of the group, or null for its end. */
  marks: { line: number; name: string | null }[];
}

export class LogModel {
  sections: Section[] = [];
  blocks: Block[] = [];
  rows = 0;
  /** Height of everything. */
  height = 0;
  private open = new Map<string, boolean>();
  private toggled = new Set<number>();
  private cache = new Map<string, CachedPiece>();
  private average = 90;

  constructor(readonly store: LogStore) {}

  /** Is a section unfolded? A person's choice wins over the default. */
  isOpen(section: Section): boolean {
    const chosen = this.open.get(section.key);
    if (chosen !== undefined) return chosen;
    if (this.sections.length === 1 || this.store.length < 48 * 1024) return section.state !== "pending";
    return section.state === "failure" || section.state === "running";
  }

  toggle(section: Section): void {
    this.open.set(section.key, !this.isOpen(section));
  }

  openAll(open: boolean): void {
    for (const section of this.sections) this.open.set(section.key, open);
  }

  toggleGroup(offset: number): void {
    if (!this.toggled.delete(offset)) this.toggled.add(offset);
  }

  /** Recomputes the blocks. Cheap: only chunks that changed are looked into. */
  update(sections: Section[]): void {
    this.sections = sections;
    this.blocks = [];
    let row = 0;
    let top = 0;
    for (const [index, section] of sections.entries()) {
      this.blocks.push({ kind: "head", section: index, row, top });
      row += 1;
      top += HEAD;
      if (!this.isOpen(section)) continue;
      const end = section.to ?? this.store.length;
      let before: number | null = 0;
      let group: { offset: number; folded: boolean } | null = null;
      for (let at = section.from; at < end; ) {
        const chunk = Math.floor(at / CHUNK);
        const to = Math.min(end, (chunk + 1) * CHUNK);
        const cached = this.index(section, chunk, at, to, end);
        const piece: Piece = {
          section: index,
          chunk,
          from: at,
          to,
          starts: null,
          shown: null,
          groups: null,
          rows: 0,
          before,
        };
        if (cached) {
          piece.starts = cached.starts;
          group = this.fold(piece, cached, section, group);
          before = before === null ? null : before + cached.starts.length;
        } else {
          piece.rows = Math.max(1, Math.round((to - at) / this.average));
          before = null;
          group = null;
        }
        if (piece.rows > 0) this.blocks.push({ kind: "piece", piece, row, top });
        row += piece.rows;
        top += piece.rows * LINE;
        at = to;
      }
    }
    this.rows = row;
    this.height = top;
  }

  /** Line starts and group marks of a piece, from the bytes that are here. */
  private index(section: Section, chunk: number, from: number, to: number, end: number): CachedPiece | null {
    const bytes = this.store.bytesOf(chunk);
    const base = chunk * CHUNK;
    const have = Math.min(to, base + bytes.length);
    // The live last chunk is shown as far as it is here; any other one only as a whole.
    if (have <= from || (have < to && !(section.to === null && to === end))) return null;
    const key = `${section.from}:${chunk}`;
    const version = this.store.chunkVersion(chunk);
    const old = this.cache.get(key);
    if (old && old.version === version && old.to === to) return old;
    const starts: number[] = from === section.from ? [from] : [];
    for (
      let at = bytes.indexOf(10, from - base);
      at >= 0 && base + at < have;
      at = bytes.indexOf(10, at + 1)
    ) {
      if (base + at + 1 < end) starts.push(base + at + 1);
    }
    const marks: CachedPiece["marks"] = [];
    for (const [line, start] of starts.entries()) {
      const first = start - base;
      // ':' or '#': only then is it worth decoding.
      if (bytes[first] !== 58 && bytes[first] !== 35) continue;
      const { text } = this.store.line(start, end, 300);
      const name = GROUP.exec(text)?.[1];
      if (name !== undefined) marks.push({ line, name: name.trim() });
      else if (END.test(text)) marks.push({ line, name: null });
    }
    if (starts.length > 50)
      this.average = Math.max(20, 0.7 * this.average + 0.3 * ((have - from) / starts.length));
    const fresh = { version, to, starts, marks };
    this.cache.set(key, fresh);
    return fresh;
  }

  private fold(
    piece: Piece,
    cached: CachedPiece,
    section: Section,
    inherited: { offset: number; folded: boolean } | null,
  ): { offset: number; folded: boolean } | null {
    const { starts, marks } = cached;
    if (marks.length === 0 && !inherited?.folded) {
      piece.rows = starts.length;
      return inherited;
    }
    const byDefault = section.state !== "failure" && section.state !== "running";
    let group = inherited;
    const shown: number[] = [];
    const groups: NonNullable<Piece["groups"]> = new Map();
    let mark = 0;
    for (let line = 0; line < starts.length; line++) {
      const here = marks[mark]?.line === line ? marks[mark++] : undefined;
      if (here?.name === null) {
        group = null; // The end mark itself is never shown.
        continue;
      }
      if (here) {
        const offset = starts[line] ?? 0;
        const folded = byDefault !== this.toggled.has(offset);
        group = { offset, folded };
        groups.set(line, { offset, name: here.name ?? "", folded });
        shown.push(line);
        continue;
      }
      if (!group?.folded) shown.push(line);
    }
    piece.shown = Int32Array.from(shown);
    piece.groups = groups;
    piece.rows = shown.length;
    return group;
  }

  private blockAt(value: number, by: "row" | "top" = "row"): number {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.blocks[middle]?.[by] ?? 0) <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The row at a height. */
  rowAt(top: number): number {
    const block = this.blocks[this.blockAt(top, "top")];
    if (!block) return 0;
    return block.kind === "head" ? block.row : block.row + Math.floor((top - block.top) / LINE);
  }

  /** The height at which a row begins. */
  topOf(row: number): number {
    const block = this.blocks[this.blockAt(row)];
    return block ? block.top + (row - block.row) * (block.kind === "head" ? HEAD : LINE) : 0;
  }

  row(row: number): Row | null {
    const block = this.blocks[this.blockAt(row)];
    if (!block || row < 0 || row >= this.rows) return null;
    if (block.kind === "head") {
      const section = this.sections[block.section];
      return section ? { kind: "head", section, index: block.section, open: this.isOpen(section) } : null;
    }
    const { piece } = block;
    if (!piece.starts) return { kind: "missing", chunk: piece.chunk };
    const at = row - block.row;
    const line = piece.shown ? (piece.shown[at] ?? 0) : at;
    const section = this.sections[piece.section];
    return {
      kind: "line",
      section: piece.section,
      start: piece.starts[line] ?? piece.from,
      end: section?.to ?? this.store.length,
      number: piece.before === null ? null : piece.before + line + 1,
      group: piece.groups?.get(line) ?? null,
      nested: false,
    };
  }

  /** Chunks needed to show some rows. */
  missing(first: number, last: number): number[] {
    const out = new Set<number>();
    for (let i = this.blockAt(first); i < this.blocks.length; i++) {
      const block = this.blocks[i];
      if (!block || block.row > last) break;
      if (block.kind === "piece" && !block.piece.starts) {
        // Only the chunks that the view really touches.
        if (block.row + block.piece.rows > first) out.add(block.piece.chunk);
      }
    }
    return [...out];
  }

  sectionAt(offset: number): number {
    return this.sections.findIndex((s) => offset >= s.from && offset < (s.to ?? Number.POSITIVE_INFINITY));
  }

  /** Unfolds whatever hides an offset. Returns false when there is no such place. */
  reveal(offset: number): boolean {
    const section = this.sections[this.sectionAt(offset)];
    if (!section) return false;
    if (!this.isOpen(section)) {
      this.open.set(section.key, true);
      this.update(this.sections);
    }
    let header: { offset: number; folded: boolean } | null = null;
    for (const block of this.blocks) {
      if (
        block.kind !== "piece" ||
        this.sections[block.piece.section] !== section ||
        block.piece.from > offset
      )
        continue;
      for (const group of block.piece.groups?.values() ?? []) if (group.offset < offset) header = group;
    }
    if (header?.folded && this.rowOf(offset, true) === null) {
      this.toggleGroup(header.offset);
      this.update(this.sections);
    }
    return true;
  }

  /** The row of the line at an offset; null when it is folded away, or not known to be exact and `exact` is asked. */
  rowOf(offset: number, exact = false): number | null {
    for (const block of this.blocks) {
      if (block.kind !== "piece") continue;
      const { piece } = block;
      const section = this.sections[piece.section];
      // A line belongs to the piece that holds the newline before it.
      const owner = offset === section?.from ? offset : offset - 1;
      if (owner < piece.from || owner >= piece.to) continue;
      if (!piece.starts) {
        if (exact) return null;
        return block.row + Math.floor(((offset - piece.from) / (piece.to - piece.from)) * piece.rows);
      }
      const line = lastAtMost(piece.starts, offset);
      if (!piece.shown) return block.row + line;
      const at = piece.shown.indexOf(line);
      return at < 0 ? null : block.row + at;
    }
    return null;
  }
}

function lastAtMost(sorted: number[], value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((sorted[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}
