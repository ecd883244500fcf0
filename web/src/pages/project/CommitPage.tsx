/** One commit: message, checks and diff. */
import { Button } from "@mantine/core";
import { IconAlertTriangle, IconChevronDown, IconChevronRight, IconFiles } from "@tabler/icons-react";
import { useQueries, useQuery } from "@tanstack/react-query";
import { Fragment, useMemo, useState } from "react";
import { queries } from "@/api/queries";
import type { Annotation, CommitDetail, DiffFile, Run } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { can, useProject } from "@/app/project";
import { visible } from "@/ui/bidi";
import { Avatar, Empty, Loaded, Panel, useTitle } from "@/ui/bits";
import { Copy } from "@/ui/Copy";
import { number, percent, plural, short } from "@/ui/format";
import { StateIcon } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";
import { type Covered, combine, notesOf } from "./covered";
import { Annotations } from "./RunParts";
import "./diff.css";

/** Runs of a commit whose coverage is looked at. */
const RUNS = 6;
const NONE: Annotation[] = [];

function Changes({ additions, deletions }: { additions: number; deletions: number }) {
  return (
    <span className="dm-num" style={{ fontSize: 12.5, whiteSpace: "nowrap" }}>
      <span className="dm-text-ok">+{number(additions)}</span>{" "}
      <span className="dm-text-bad">−{number(deletions)}</span>
    </span>
  );
}

/** The finished runs of a commit, the newest first. */
function useRuns(oid: string): Run[] {
  const project = useProject();
  const runs = useQuery({
    ...queries.runsOf(project.id, oid),
    enabled: oid !== "" && can(project, "pipeline:read"),
  }).data?.items;
  return useMemo(() => runs?.filter((run) => run.state === "completed").slice(0, RUNS) ?? [], [runs]);
}

/** What steps of these runs remarked, by file; each said once. */
function useNotes(runs: Run[]): Map<string, Annotation[]> {
  return useQueries({
    queries: runs.map((run) => ({ ...queries.run(run.id), staleTime: 60_000 })),
    combine: (all) => notesOf(all.flatMap(({ data }) => (data ? [data] : []))),
  });
}

/** What finished runs of a commit say of the lines that it changed. */
function useCovered(commit: CommitDetail | undefined, done: Run[]): Covered | null {
  const patches = useQueries({
    queries: done.map((run) => ({ ...queries.coverage(run.id), staleTime: Number.POSITIVE_INFINITY })),
    combine: (all) => all.flatMap(({ data }) => (data?.patch ? [data.patch] : [])),
  });
  return useMemo(() => {
    const added = new Map<string, Set<number>>();
    for (const file of commit?.files ?? []) {
      const lines = new Set<number>();
      for (const hunk of file.hunks) {
        let at = hunk.new_start;
        for (const line of hunk.lines) {
          if (line.kind === "+") lines.add(at);
          if (line.kind !== "-") at += 1;
        }
      }
      added.set(file.path, lines);
    }
    return combine(patches, added);
  }, [commit, patches]);
}

function Hunks({
  file,
  lines,
  notes,
}: {
  file: DiffFile;
  lines: Map<number, boolean> | undefined;
  notes: Annotation[];
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable with the keyboard
    <section className="dm-diff-scroll" tabIndex={0} aria-label={`Changes of ${file.path}`}>
      <table className="dm-diff">
        {file.hunks.map((hunk) => {
          let before = hunk.old_start;
          let after = hunk.new_start;
          return (
            <tbody key={`${hunk.old_start}:${hunk.new_start}`}>
              <tr className="dm-diff-hunk">
                <td colSpan={3}>
                  @@ −{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines} @@
                </td>
              </tr>
              {hunk.lines.map((line, i) => {
                const a = line.kind === "+" ? "" : before++;
                const b = line.kind === "-" ? "" : after++;
                const ran = b === "" ? undefined : lines?.get(b);
                const said = b === "" ? NONE : notes.filter((note) => note.line === b);
                return (
                  <Fragment key={i}>
                    <tr data-kind={line.kind === "+" ? "add" : line.kind === "-" ? "del" : undefined}>
                      <td className="dm-diff-number">{a}</td>
                      <td
                        className="dm-diff-number"
                        data-ran={ran}
                        title={ran === undefined ? undefined : ran ? "Ran in a test" : "No test ran it"}
                      >
                        {b}
                        {ran === undefined ? null : (
                          <span className="dm-sr">{ran ? ", covered" : ", not covered"}</span>
                        )}
                      </td>
                      <td className="dm-diff-text">
                        <span
                          className="dm-diff-sign"
                          role="img"
                          aria-label={line.kind === "+" ? "added" : line.kind === "-" ? "removed" : undefined}
                        >
                          {line.kind}
                        </span>
                        {visible(line.text)}
                      </td>
                    </tr>
                    {said.length > 0 ? (
                      <tr className="dm-diff-said">
                        <td colSpan={3}>
                          <Annotations items={said} />
                        </td>
                      </tr>
                    ) : null}
                  </Fragment>
                );
              })}
            </tbody>
          );
        })}
      </table>
    </section>
  );
}

function FileDiff({
  file,
  commit,
  big,
  lines,
  notes,
}: {
  file: DiffFile;
  commit: CommitDetail;
  big: boolean;
  lines: Map<number, boolean> | undefined;
  notes: Annotation[];
}) {
  const project = useProject();
  const [open, setOpen] = useState(!big);
  return (
    <section className="dm-panel" id={`file-${file.path}`} aria-label={file.path}>
      <header className="dm-panel-head">
        <button
          type="button"
          className="dm-fold"
          aria-expanded={open}
          aria-label={`Changes of ${file.path}`}
          onClick={() => setOpen(!open)}
        >
          {open ? <IconChevronDown size={16} /> : <IconChevronRight size={16} />}
        </button>
        <h2 className="dm-mono">
          <span className="dm-ellipsis">
            {file.old_path && file.old_path !== file.path ? (
              <span className="dm-dim">{visible(file.old_path)} → </span>
            ) : null}
            {file.status === "deleted" ? (
              visible(file.path)
            ) : (
              <Link href={paths.blob(project.path, commit.oid, file.path)} className="dm-plain">
                {visible(file.path)}
              </Link>
            )}
          </span>
        </h2>
        <span className="dm-chip">{file.status}</span>
        <span style={{ paddingRight: 8 }}>
          <Changes additions={file.additions} deletions={file.deletions} />
        </span>
      </header>
      {open ? (
        file.binary ? (
          <Empty small icon={IconFiles} title="A binary file" />
        ) : (
          <>
            <Hunks file={file} lines={lines} notes={notes} />
            {file.truncated ? (
              <div className="dm-diff-note">
                The rest of this file's changes is left out because it is long.
              </div>
            ) : null}
            {file.hunks.length === 0 && !file.truncated ? (
              <div className="dm-diff-note">No lines changed.</div>
            ) : null}
          </>
        )
      ) : null}
    </section>
  );
}

export default function CommitPage({ rest }: { rest: string }) {
  const project = useProject();
  const oid = rest.split("/", 1)[0] ?? rest;
  const query = useQuery(queries.commit(project.id, oid));
  const statuses =
    useQuery({ ...queries.commitStatuses(project.id, oid), refetchInterval: 10_000 }).data?.items ?? [];
  const runs = useRuns(query.data?.oid ?? "");
  const covered = useCovered(query.data, runs);
  const notes = useNotes(runs);
  useTitle(query.data?.title, project.path);
  return (
    <Loaded query={query} rows={8}>
      {(commit) => {
        const body = commit.message.slice(commit.title.length).trim();
        const lines = commit.stats.additions + commit.stats.deletions;
        return (
          <>
            <Panel>
              <div style={{ display: "flex", gap: 12, alignItems: "flex-start", flexWrap: "wrap" }}>
                <div className="dm-grow" style={{ minWidth: 240 }}>
                  <h1 className="dm-commit-title">{visible(commit.title)}</h1>
                  {body ? <pre className="dm-commit-body">{visible(body)}</pre> : null}
                  <div className="dm-meta" style={{ marginTop: 8 }}>
                    <span>
                      <Avatar name={commit.author.name} size={20} /> <strong>{commit.author.name}</strong>
                    </span>
                    <span>
                      authored <TimeAgo at={commit.author.time} />
                    </span>
                    {commit.committer.name !== commit.author.name ? (
                      <span>committed by {commit.committer.name}</span>
                    ) : null}
                    <span>
                      {commit.parents.length === 1
                        ? "parent"
                        : commit.parents.length === 0
                          ? "first commit"
                          : "parents"}
                      {commit.parents.map((p) => (
                        <Link key={p} href={paths.commit(project.path, p)} className="dm-mono">
                          {short(p)}
                        </Link>
                      ))}
                    </span>
                    <span className="dm-mono">
                      {short(commit.oid)} <Copy text={commit.oid} label="Copy the commit's id" size={20} />
                    </span>
                  </div>
                </div>
                <Button
                  variant="default"
                  component={Link}
                  href={paths.tree(project.path, commit.oid)}
                  leftSection={<IconFiles size={15} />}
                >
                  Files at this commit
                </Button>
              </div>
              {statuses.length > 0 ? (
                <ul className="dm-checks" aria-label="Checks">
                  {statuses.map((s) => (
                    <li key={s.context}>
                      <StateIcon state={s.state} size={16} />
                      <strong>{s.context}</strong>
                      <span className="dm-dim dm-ellipsis">{s.description}</span>
                      {s.target_url && /^(\/|https?:)/.test(s.target_url) ? (
                        <Link href={localPath(s.target_url)} aria-label={`Details of ${s.context}`}>
                          Details
                        </Link>
                      ) : null}
                    </li>
                  ))}
                </ul>
              ) : null}
            </Panel>
            <div className="dm-meta" style={{ margin: "16px 0 10px" }}>
              <span>{plural(commit.stats.files, "file")} changed</span>
              <Changes additions={commit.stats.additions} deletions={commit.stats.deletions} />
              {covered && covered.valid > 0 ? (
                <span>
                  <span className="dm-ran-key" data-ran="true" aria-hidden />
                  {percent(covered.covered / covered.valid)} of {plural(covered.valid, "added line")} covered
                  {covered.covered < covered.valid ? (
                    <>
                      <span className="dm-ran-key" data-ran="false" aria-hidden />
                      {plural(covered.valid - covered.covered, "line")} not
                    </>
                  ) : null}
                </span>
              ) : null}
            </div>
            {commit.stats.truncated ? (
              <div className="dm-banner">
                <IconAlertTriangle size={16} aria-hidden /> The change is long; only its first files are
                shown.
              </div>
            ) : null}
            <div className="dm-gap">
              {commit.files.map((f) => (
                <FileDiff
                  key={f.path}
                  file={f}
                  commit={commit}
                  lines={covered?.files.get(f.path)}
                  notes={notes.get(f.path) ?? NONE}
                  big={f.additions + f.deletions > 800 || lines > 8000}
                />
              ))}
            </div>
          </>
        );
      }}
    </Loaded>
  );
}

/** Addresses of this very site become pages of the client. */
export function localPath(url: string): string {
  try {
    const parsed = new URL(url, window.location.origin);
    return parsed.origin === window.location.origin ? parsed.pathname + parsed.search + parsed.hash : url;
  } catch {
    return "#";
  }
}
