/** What the runs of a commit say of its change: by file and line, did it run, and what was remarked? */
import type { Annotation, Coverage, RunDetail } from "@/api/types";

export interface Covered {
  /** By path, then by line of the new file. */
  files: Map<string, Map<number, boolean>>;
  /** Added lines that could run, and those of them that did. */
  valid: number;
  covered: number;
}

type Patch = NonNullable<Coverage["patch"]>;
type Changed = Patch["files"][number];

/** What steps of runs remarked about lines, by file; what several jobs say is said once. */
export function notesOf(runs: RunDetail[]): Map<string, Annotation[]> {
  const byFile = new Map<string, Annotation[]>();
  const seen = new Set<string>();
  for (const run of runs)
    for (const job of run.jobs) {
      if (job.superseded) continue;
      for (const note of job.annotations) {
        const key = JSON.stringify([note.file, note.line, note.severity, note.title, note.message]);
        if (!note.file || note.line === null || seen.has(key)) continue;
        seen.add(key);
        byFile.set(note.file, [...(byFile.get(note.file) ?? []), note]);
      }
    }
  return byFile;
}

/** Lines of first and last ones. */
const each = (spans: number[][], call: (line: number) => void): void => {
  for (const [first = 0, last = 0] of spans) for (let line = first; line <= last; line++) call(line);
};

/** What runs of one commit say together: a line that ran in any ran. `added` are the lines that the diff shows as added. */
export function combine(patches: Patch[], added: Map<string, Set<number>>): Covered | null {
  if (patches.length === 0) return null;
  const files: Covered["files"] = new Map();
  const note = (file: Changed) => {
    const lines = files.get(file.path) ?? new Map<number, boolean>();
    each(file.missed, (line) => lines.set(line, lines.get(line) ?? false));
    each(file.ran, (line) => lines.set(line, true));
    files.set(file.path, lines);
  };
  for (const patch of patches) for (const file of patch.files) note(file);
  const one = patches.length === 1 ? patches[0] : undefined;
  if (one) return { files, valid: one.lines_valid, covered: one.lines_covered };
  let valid = 0;
  let covered = 0;
  for (const [path, lines] of files)
    for (const [line, ran] of lines) {
      if (!added.get(path)?.has(line)) continue;
      valid += 1;
      if (ran) covered += 1;
    }
  return { files, valid, covered };
}
