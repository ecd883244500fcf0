/** The tabs of a run beside its jobs. */
import { Button, SegmentedControl } from "@mantine/core";
import {
  IconAlertTriangle,
  IconCircleX,
  IconDownload,
  IconHistory,
  IconInfoCircle,
  IconListTree,
  IconMessageReport,
  IconPackage,
  IconReport,
  IconShieldCheck,
  IconTestPipe,
} from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { address } from "@/api/client";
import { queries } from "@/api/queries";
import type { Annotation, Coverage, RunDetail, TestCase } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { Empty, Figure, Loaded, More, Panel } from "@/ui/bits";
import { Copy } from "@/ui/Copy";
import { bytes, duration, number, percent, plural, short } from "@/ui/format";
import { Html } from "@/ui/Html";
import { Meter } from "@/ui/Spark";
import { StateIcon } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";
import { ArtifactFiles } from "./ArtifactFiles";

/** What steps remarked, by the file that it is about. */
export function AnnotationsView({ run }: { run: RunDetail }) {
  const byFile = new Map<string, Annotation[]>();
  const jobs = run.jobs.filter((j) => !j.superseded);
  for (const job of jobs)
    for (const note of job.annotations) {
      const title = [note.title, jobs.length > 1 ? job.name : null].filter(Boolean).join(" · ");
      const file = note.file ?? "";
      byFile.set(file, [...(byFile.get(file) ?? []), { ...note, title: title || null }]);
    }
  if (byFile.size === 0) {
    return (
      <div className="dm-panel">
        <Empty icon={IconMessageReport} title="No annotations">
          Errors and warnings that a step or a problem matcher finds are listed here with their line.
        </Empty>
      </div>
    );
  }
  const grave = (a: Annotation) => ["error", "warning"].indexOf(a.severity) >>> 0;
  return (
    <div className="dm-gap">
      {[...byFile]
        .sort(([a], [b]) => (a === "" ? 1 : b === "" ? -1 : a < b ? -1 : 1))
        .map(([file, notes]) => (
          <Panel key={file} title={file || "Without a file"} flush>
            <Annotations
              items={[...notes].sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || grave(a) - grave(b))}
              gitRef={run.commit}
            />
          </Panel>
        ))}
    </div>
  );
}

/** Without a ref beside the lines that they are about. */
export function Annotations({ items, gitRef }: { items: Annotation[]; gitRef?: string }) {
  const project = useProject();
  return (
    <ul className="dm-annotations" aria-label="Annotations">
      {items.map((a, i) => (
        <li
          key={i}
          className={a.severity === "error" ? "dm-bad" : a.severity === "warning" ? "dm-wait" : "dm-run"}
        >
          {a.severity === "error" ? (
            <IconCircleX size={15} aria-label="Error" />
          ) : a.severity === "warning" ? (
            <IconAlertTriangle size={15} aria-label="Warning" />
          ) : (
            <IconInfoCircle size={15} aria-label="Notice" />
          )}
          <span>
            {a.title ? <strong className="dm-annotation-title">{a.title}</strong> : null}
            {a.message}{" "}
            {a.file && gitRef ? (
              <Link href={paths.blob(project.path, gitRef, a.file, a.line ?? undefined)} className="dm-mono">
                {a.file}
                {a.line ? `:${a.line}` : ""}
              </Link>
            ) : null}
          </span>
        </li>
      ))}
    </ul>
  );
}

const STATE: Record<TestCase["status"], string> = {
  passed: "passed",
  failed: "failed",
  error: "error",
  skipped: "skipped",
};

function Case({ test, gitRef, open }: { test: TestCase; gitRef: string; open: boolean }) {
  const project = useProject();
  const more = !!(test.message || test.details);
  return (
    <div className="dm-test">
      <details open={open && more}>
        <summary>
          <StateIcon state={STATE[test.status]} size={16} />
          <span className="dm-grow dm-break">
            {test.name}{" "}
            <span className="dm-dim">
              {test.class && test.class !== test.suite ? test.class : test.suite}
            </span>
          </span>
          {test.quarantined ? <span className="dm-badge dm-run">in quarantine</span> : null}
          <span className="dm-dim dm-num">{duration(test.duration_ms)}</span>
        </summary>
        <div className="dm-test-detail">
          <div className="dm-meta">
            <span>{test.suite}</span>
            {test.job ? <span>job {test.job}</span> : null}
            {test.file ? (
              <Link href={paths.blob(project.path, gitRef, test.file)} className="dm-mono">
                {test.file}
              </Link>
            ) : null}
          </div>
          {test.message && !test.details?.includes(test.message) ? <pre>{test.message}</pre> : null}
          {test.details ? <pre>{test.details}</pre> : null}
        </div>
      </details>
      {test.test ? (
        <Link
          href={paths.test(project.path, test.test)}
          className="dm-test-more"
          aria-label={`History of ${test.name}`}
          title="How it did in other runs"
        >
          <IconHistory size={16} aria-hidden />
        </Link>
      ) : null}
    </div>
  );
}

export function Tests({ run }: { run: RunDetail }) {
  const [status, setStatus] = useState("");
  const live = { refetchInterval: run.state === "completed" ? (false as const) : 5_000 };
  const all = useInfiniteQuery({ ...queries.tests(run.id, status === "failed" ? "" : status), ...live });
  // Failures come first however late the report lists them, so they are asked for by themselves.
  const failed = useInfiniteQuery({ ...queries.tests(run.id, "failed"), ...live });
  const errors = useInfiniteQuery({ ...queries.tests(run.id, "error"), ...live });
  const items = (query: typeof all) => query.data?.pages.flatMap((p) => p?.items ?? []) ?? [];
  const bad = [...items(failed), ...items(errors)];
  const rest = items(all).filter((t) => t.status !== "failed" && t.status !== "error");
  const shown = status === "failed" ? bad : status === "" ? [...bad, ...rest] : rest;
  return (
    <Loaded query={all}>
      {(data) => {
        const first = data.pages[0];
        if (!first || first.totals.tests === 0) {
          return (
            <div className="dm-panel">
              <Empty icon={IconTestPipe} title="No test report">
                Upload JUnit XML from a job, and every case shows here with its time and its failure.
              </Empty>
            </div>
          );
        }
        const t = first.totals;
        return (
          <div className="dm-gap">
            <Panel label="Totals">
              <div className="dm-figures">
                <Figure value={number(t.passed)} label="passed" tone="ok" />
                <Figure
                  value={number(t.failed + t.errors)}
                  label="failed"
                  tone={t.failed + t.errors > 0 ? "bad" : undefined}
                />
                <Figure value={number(t.skipped)} label="skipped" />
                {t.quarantined > 0 ? (
                  <Figure value={number(t.quarantined)} label="failed in quarantine" tone="wait" />
                ) : null}
                <Figure value={duration(t.duration_ms)} label="in total" />
              </div>
            </Panel>
            <Panel
              title="Cases"
              flush
              actions={
                <SegmentedControl
                  size="xs"
                  aria-label="Show"
                  value={status}
                  onChange={setStatus}
                  data={[
                    { value: "", label: "All" },
                    { value: "failed", label: "Failed" },
                    { value: "skipped", label: "Skipped" },
                    { value: "passed", label: "Passed" },
                  ]}
                />
              }
            >
              {shown.length === 0 ? <Empty small icon={IconShieldCheck} title="None of these" /> : null}
              {shown.map((test, i) => (
                <Case
                  key={`${test.job}${test.suite}${test.class}${test.name}${i}`}
                  test={test}
                  gitRef={run.commit}
                  open={i === 0 && test === bad[0]}
                />
              ))}
              <More query={status === "failed" ? failed : all} />
            </Panel>
          </div>
        );
      }}
    </Loaded>
  );
}

const toneOf = (rate: number) => (rate >= 0.8 ? "ok" : rate >= 0.5 ? "wait" : "bad");

function CoveredFile({ file: f, gitRef }: { file: Coverage["files"][number]; gitRef: string }) {
  const project = useProject();
  const share = f.valid === 0 ? 1 : f.covered / f.valid;
  return (
    <li>
      <Link href={paths.blob(project.path, gitRef, f.path)} className="dm-mono dm-grow dm-break">
        {f.path}
      </Link>
      <span className="dm-dim dm-num dm-hide-phone">
        {f.covered}/{f.valid}
      </span>
      <span className="dm-covered-share">
        <Meter share={share} tone={toneOf(share)} />
      </span>
      <span className="dm-num" style={{ width: 48, textAlign: "right" }}>
        {percent(share)}
      </span>
    </li>
  );
}

export function CoverageView({ run }: { run: RunDetail }) {
  const project = useProject();
  const query = useQuery(queries.coverage(run.id));
  return (
    <Loaded query={query}>
      {(data) =>
        !data || data.lines_valid === 0 ? (
          <div className="dm-panel">
            <Empty icon={IconReport} title="No coverage report">
              Upload a report from a job (lcov, Cobertura, JaCoCo, Clover, Go, coverage.py, llvm-cov) to see
              which lines the tests reach, in all files and of what the commit added.
            </Empty>
          </div>
        ) : (
          <div className="dm-gap">
            <Panel label="Totals">
              <div className="dm-figures">
                <Figure value={percent(data.line_rate)} label="of lines" tone={toneOf(data.line_rate)} />
                {data.patch && data.patch.line_rate !== null ? (
                  <Figure
                    value={percent(data.patch.line_rate)}
                    label={`of ${plural(data.patch.lines_valid, "added line")}`}
                    tone={toneOf(data.patch.line_rate)}
                  />
                ) : null}
                <Figure value={`${number(data.lines_covered)} / ${number(data.lines_valid)}`} label="lines" />
                {data.branches_valid > 0 ? (
                  <Figure value={percent(data.branches_covered / data.branches_valid)} label="of branches" />
                ) : null}
              </div>
            </Panel>
            {data.patch?.files.some((f) => f.valid > 0) ? (
              <Panel
                title="What this commit added"
                flush
                actions={
                  <Link href={paths.commit(project.path, run.commit)} className="dm-panel-note">
                    On the diff
                  </Link>
                }
              >
                <ul className="dm-list">
                  {data.patch.files
                    .filter((f) => f.valid > 0)
                    .map((f) => (
                      <CoveredFile key={f.path} file={f} gitRef={run.commit} />
                    ))}
                </ul>
              </Panel>
            ) : null}
            <Panel title="Files, least covered first" flush>
              <ul className="dm-list">
                {[...data.files]
                  .sort((a, b) => a.covered / Math.max(1, a.valid) - b.covered / Math.max(1, b.valid))
                  .map((f) => (
                    <CoveredFile key={f.path} file={f} gitRef={run.commit} />
                  ))}
              </ul>
            </Panel>
          </div>
        )
      }
    </Loaded>
  );
}

export function Artifacts({ run }: { run: RunDetail }) {
  const [opened, setOpened] = useState<string | null>(null);
  const query = useQuery({
    ...queries.artifacts(run.id),
    refetchInterval: run.state === "completed" ? false : 5_000,
  });
  return (
    <div className="dm-panel">
      <Loaded query={query} rows={2}>
        {(data) =>
          data.items.length === 0 ? (
            <Empty icon={IconPackage} title="No artifacts">
              Files that a job uploads are kept here with their digest.
            </Empty>
          ) : (
            <ul className="dm-list">
              {data.items.map((a) => (
                <li key={a.id} className="dm-artifact">
                  <IconPackage size={20} className="dm-dim" aria-hidden />
                  <div className="dm-grow">
                    <strong>{a.name}</strong>
                    <div className="dm-meta">
                      <span>{bytes(a.size)}</span>
                      {a.files !== null ? <span>{plural(a.files, "file")}</span> : null}
                      <span className="dm-mono" title={a.digest}>
                        sha256:{short(a.digest)} <Copy text={a.digest} label="Copy digest" size={20} />
                      </span>
                      {a.expires_at ? (
                        <span className="dm-hide-phone">
                          expires <TimeAgo at={a.expires_at} />
                        </span>
                      ) : null}
                    </div>
                  </div>
                  {a.content_type ? null : (
                    <Button
                      variant="subtle"
                      size="xs"
                      aria-expanded={opened === a.id}
                      leftSection={<IconListTree size={14} />}
                      onClick={() => setOpened(opened === a.id ? null : a.id)}
                    >
                      Files
                    </Button>
                  )}
                  <Button
                    component="a"
                    href={address("/artifacts/{artifact}/download", { artifact: a.id })}
                    download
                    variant="default"
                    size="xs"
                    leftSection={<IconDownload size={14} />}
                  >
                    Download
                  </Button>
                  {opened === a.id ? <ArtifactFiles artifact={a.id} name={a.name} /> : null}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </div>
  );
}

export function SummaryView({ run }: { run: RunDetail }) {
  const query = useQuery(queries.summary(run.id));
  return (
    <div className="dm-gap">
      <Loaded query={query}>
        {(data) =>
          !data || data.items.length === 0 ? (
            <div className="dm-panel">
              <Empty icon={IconReport} title="No summary">
                What a step appends to <code>$GITHUB_STEP_SUMMARY</code> as Markdown is shown here.
              </Empty>
            </div>
          ) : (
            data.items.map((item, i) => (
              <Panel key={i} title={[item.job, item.step].filter(Boolean).join(" · ")}>
                <Html html={item.html} base={{ project: run.project_path, ref: run.commit, dir: "" }} />
              </Panel>
            ))
          )
        }
      </Loaded>
    </div>
  );
}
