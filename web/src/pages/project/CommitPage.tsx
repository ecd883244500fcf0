/** One commit: message, checks and diff. */
import { Button } from "@mantine/core";
import { IconAlertTriangle, IconChevronDown, IconChevronRight, IconFiles } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { queries } from "@/api/queries";
import type { CommitDetail, DiffFile } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { visible } from "@/ui/bidi";
import { Avatar, Empty, Loaded, Panel, useTitle } from "@/ui/bits";
import { Copy } from "@/ui/Copy";
import { number, plural, short } from "@/ui/format";
import { StateIcon } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";
import "./diff.css";

function Changes({ additions, deletions }: { additions: number; deletions: number }) {
  return (
    <span className="dm-num" style={{ fontSize: 12.5, whiteSpace: "nowrap" }}>
      <span className="dm-text-ok">+{number(additions)}</span>{" "}
      <span className="dm-text-bad">−{number(deletions)}</span>
    </span>
  );
}

function Hunks({ file }: { file: DiffFile }) {
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
                return (
                  <tr key={i} data-kind={line.kind === "+" ? "add" : line.kind === "-" ? "del" : undefined}>
                    <td className="dm-diff-number">{a}</td>
                    <td className="dm-diff-number">{b}</td>
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
                );
              })}
            </tbody>
          );
        })}
      </table>
    </section>
  );
}

function FileDiff({ file, commit, big }: { file: DiffFile; commit: CommitDetail; big: boolean }) {
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
            <Hunks file={file} />
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
