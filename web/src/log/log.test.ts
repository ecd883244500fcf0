import { describe, expect, it } from "vitest";
import type { Job } from "@/api/types";
import { afterReturns, command, parseAnsi, stripAnsi } from "./ansi";
import { sectionsOf } from "./LogView";
import { LogModel, type Section } from "./model";
import { scan, searchLog } from "./search";
import { CHUNK, LogStore } from "./store";

const encoder = new TextEncoder();

function storeOf(text: string, limit = CHUNK): { store: LogStore; reads: number[] } {
  const all = encoder.encode(text);
  const reads: number[] = [];
  const store = new LogStore(
    async (offset, want) => {
      reads.push(offset);
      const bytes = all.slice(offset, offset + Math.min(want, limit));
      return { bytes, next: offset + bytes.length, complete: true, length: all.length };
    },
    (run) => run(),
  );
  return { store, reads };
}

const section = (from: number, to: number | null, rest: Partial<Section> = {}): Section => ({
  key: `s${from}`,
  title: "step",
  state: "failure",
  from,
  to,
  started_at: null,
  finished_at: null,
  exit_code: null,
  ...rest,
});

function lines(model: LogModel): string[] {
  const out: string[] = [];
  for (let i = 0; i < model.rows; i++) {
    const row = model.row(i);
    if (row?.kind === "line") out.push(model.store.line(row.start, row.end).text);
  }
  return out;
}

describe("LogStore", () => {
  it("fetches a chunk once, in as many pieces as the server likes", async () => {
    const { store, reads } = storeOf("a\n".repeat(5000), 1000);
    await Promise.all([store.ensure(0), store.ensure(0)]);
    expect(store.length).toBe(10_000);
    expect(store.loaded(0)).toBe(true);
    expect(reads).toHaveLength(10);
    await store.ensure(0);
    expect(reads).toHaveLength(10);
  });

  it("appends live pieces, drops overlaps, and leaves holes to be fetched", async () => {
    const text = "one\ntwö\nthree\n";
    const { store } = storeOf(text);
    store.append(0, "one\n", 4);
    store.append(2, "e\ntwö\n", 9);
    expect(store.length).toBe(9);
    expect(store.line(4, 9).text).toBe("twö");
    store.append(12, "ee\n", 15);
    expect(store.loaded(0)).toBe(false);
    await store.ensure(0);
    expect(store.line(9, 15).text).toBe("three");
  });

  it("never trusts a live piece whose length does not match its offsets", () => {
    const { store } = storeOf("");
    store.append(0, "\ufffd", 1);
    expect(store.length).toBe(1);
    expect(store.bytesOf(0)).toHaveLength(0);
  });
});

describe("LogModel", () => {
  it("finds lines across the border of chunks", async () => {
    const text = Array.from({ length: 9000 }, (_, i) => `line ${i} ${"x".repeat(50)}`).join("\n");
    const { store } = storeOf(text);
    const model = new LogModel(store);
    for (let i = 0; i * CHUNK < text.length; i++) await store.ensure(i);
    model.update([section(0, text.length)]);
    expect(model.rows).toBe(9001);
    expect(lines(model)).toEqual(text.split("\n"));
    const row = model.row(8001);
    expect(row).toMatchObject({ kind: "line", number: 8001 });
    expect(model.rowOf(row?.kind === "line" ? row.start : -1)).toBe(8001);
    expect(model.rowAt(model.topOf(8001))).toBe(8001);
  });

  it("estimates what is not here and says which chunks a view needs", async () => {
    const text = "0123456789\n".repeat(100_000);
    const { store } = storeOf(text);
    const model = new LogModel(store);
    store.grow(text.length, true);
    model.update([section(0, text.length)]);
    expect(model.rows).toBeGreaterThan(1000);
    expect(model.missing(1, 20)).toEqual([0]);
    await store.ensure(0);
    model.update([section(0, text.length)]);
    expect(model.row(1)).toMatchObject({ kind: "line", number: 1 });
    const far = model.row(model.rows - 1);
    expect(far?.kind).toBe("missing");
  });

  it("folds groups and hides their end marks", async () => {
    const text = "before\n::group::Fetch\nin 1\nin 2\n::endgroup::\nafter\n";
    const { store } = storeOf(text);
    await store.ensure(0);
    const model = new LogModel(store);
    const one = [section(0, text.length, { state: "success" })];
    model.update(one);
    expect(lines(model)).toEqual(["before", "::group::Fetch", "after"]);
    model.toggleGroup(7);
    model.update(one);
    expect(lines(model)).toEqual(["before", "::group::Fetch", "in 1", "in 2", "after"]);
  });

  it("reveals a line in a folded step and a folded group", async () => {
    const text = "::group::G\nhidden\n::endgroup::\n";
    const { store } = storeOf(text);
    await store.ensure(0);
    const model = new LogModel(store);
    const many = [
      section(0, text.length, { state: "success" }),
      section(text.length, text.length, { key: "x" }),
    ];
    model.update(many);
    model.openAll(false);
    model.update(many);
    expect(model.rows).toBe(2);
    expect(model.reveal(11)).toBe(true);
    expect(model.rowOf(11, true)).toBe(2);
  });

  it("grows with a live section", () => {
    const { store } = storeOf("");
    const model = new LogModel(store);
    store.append(0, "a\nb\n", 4);
    model.update([section(0, null, { state: "running" })]);
    expect(lines(model)).toEqual(["a", "b"]);
    store.append(4, "c", 5);
    model.update([section(0, null, { state: "running" })]);
    expect(lines(model)).toEqual(["a", "b", "c"]);
  });
});

describe("sections", () => {
  const job = (steps: Partial<Job["steps"][number]>[], state: Job["state"]): Job =>
    ({
      state,
      conclusion: null,
      steps: steps.map((s, index) => ({
        index,
        name: `step ${index}`,
        state: "completed",
        conclusion: "success",
        started_at: null,
        finished_at: null,
        log_from: null,
        log_to: null,
        exit_code: null,
        ...s,
      })),
    }) as Job;

  it("covers every byte once", () => {
    const out = sectionsOf(
      job(
        [
          { log_from: 10, log_to: 20 },
          { log_from: 25, log_to: 40 },
        ],
        "completed",
      ),
      50,
    );
    expect(out.map((s) => [s.from, s.to])).toEqual([
      [0, 10],
      [10, 20],
      [20, 25],
      [25, 40],
      [40, 50],
    ]);
  });

  it("leaves the running step open and lists what is to come", () => {
    const out = sectionsOf(
      job(
        [
          { log_from: 0, log_to: 20 },
          { state: "running", conclusion: null, log_from: 20 },
          { state: "pending", conclusion: null },
        ],
        "running",
      ),
      30,
    );
    expect(out.map((s) => [s.from, s.to, s.state])).toEqual([
      [0, 20, "success"],
      [20, null, "running"],
      [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, "pending"],
    ]);
  });
});

describe("search", () => {
  it("finds lines in every chunk, also across a border", async () => {
    const filler = "x".repeat(99);
    const text = Array.from({ length: 6000 }, (_, i) =>
      i % 1000 === 0 ? `needle ${i} ${filler}` : filler,
    ).join("\n");
    const { store } = storeOf(text);
    store.grow(text.length, true);
    const hits: number[] = [];
    await searchLog(store, "NEEDLE", 0, hits, () => {}, new AbortController().signal);
    expect(hits).toHaveLength(6);
    expect(hits.map((o) => store.line(o, text.length, 8).text)).toEqual(
      Array(6)
        .fill("needle 0")
        .map((_, i) => `needle ${i}`.slice(0, 8)),
    );
  });

  it("counts bytes, not characters, and looks under colours", () => {
    const hits: number[] = [];
    scan("ünï\n\u001b[31mred\u001b[0m one\nred\n", 100, "red one", hits);
    expect(hits).toEqual([106]);
  });
});

describe("ansi", () => {
  it("turns colours into classes and keeps text as text", () => {
    expect(parseAnsi("\u001b[1;32mok\u001b[0m <b>")).toEqual([
      { text: "ok", className: "a-fg2 a-bold" },
      { text: " <b>", className: "" },
    ]);
    expect(parseAnsi("\u001b[38;5;196mx\u001b[48;2;1;2;3my")[0]?.color).toBe("rgb(255 0 0)");
    expect(parseAnsi("\u001b[38;5;196mx\u001b[48;2;1;2;3my")[1]?.background).toBe("rgb(1 2 3)");
  });

  it("drops what is not colour", () => {
    expect(parseAnsi("\u001b[2K\u001b]0;title\u0007a\u001b[1Ab\u0000")).toEqual([
      { text: "a", className: "" },
      { text: "b", className: "" },
    ]);
    expect(stripAnsi("\u001b[31mred\u001b[0m")).toBe("red");
  });

  it("shows the last state of a progress line", () => {
    expect(afterReturns("10%\r50%\r100%\r")).toBe("100%");
    expect(afterReturns("plain\r")).toBe("plain");
  });

  it("reads workflow commands", () => {
    expect(command("::error file=a.rs,line=3::broken")).toEqual({ kind: "error", text: "broken" });
    expect(command("##[command]make")).toEqual({ kind: "command", text: "make" });
    expect(command("plain")).toBeNull();
  });
});
