/** One run: its graph, the log of the chosen job, tests, coverage, artifacts and summary. Everything is live. */
import { Button, Menu, NativeSelect, Tabs } from "@mantine/core";
import {
  IconAlertTriangle,
  IconCalendar,
  IconChevronDown,
  IconGitBranch,
  IconGitCommit,
  IconHourglass,
  IconPlayerPlay,
  IconPlayerStop,
  IconRefresh,
  IconUser,
  IconWand,
} from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useMemo } from "react";
import { address, get, Problem, post } from "@/api/client";
import { useStream } from "@/api/events";
import { queries } from "@/api/queries";
import type { Job, RunDetail } from "@/api/types";
import { type Action, useActions } from "@/app/actions";
import { Link, useGo, useParam, usePlace } from "@/app/location";
import { paths } from "@/app/paths";
import { can, useProject } from "@/app/project";
import { toastError } from "@/app/toast";
import { JobGraph } from "@/graph/JobGraph";
import { Dot, Empty, PageHead, Panel, ProblemView, Rows, ticks, useTitle } from "@/ui/bits";
import { Diagnostics } from "@/ui/Diagnostics";
import { refName, short } from "@/ui/format";
import { StateBadge, StateIcon, stateOf } from "@/ui/State";
import { Elapsed, TimeAgo } from "@/ui/TimeAgo";
import { JobList } from "./JobList";
import { Questions } from "./Questions";
import { RunLinks } from "./RunLinks";
import { Annotations, AnnotationsView, Artifacts, CoverageView, SummaryView, Tests } from "./RunParts";
import { Timeline } from "./Timeline";
import { WhyPanel } from "./Why";
import "./run.css";
import { TabStrip } from "@/ui/TabStrip";

const LogView = lazy(() => import("@/log/LogView"));

/** A run is named by its id or by its number within the project. */
function useRunId(rest: string): { id: string | null; error: unknown } {
  const project = useProject();
  const isId = rest.startsWith("run_");
  const found = useQuery({
    queryKey: ["run-number", project.id, rest],
    enabled: !isId,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: async ({ signal }) => {
      const page = await get("/projects/{id}/runs", {
        path: { id: project.id },
        query: { number: Number(rest) },
        signal,
      });
      const hit = page.items.find((r) => String(r.number) === rest);
      if (hit) return hit.id;
      throw new Problem({ title: `There is no run #${rest}`, status: 404, code: "not_found" });
    },
  });
  return { id: isId ? rest : (found.data ?? null), error: found.error };
}

/** Jobs as they count now: the last attempt of each. */
const latest = (jobs: Job[]): Job[] => jobs.filter((j) => !j.superseded);

function pick(all: Job[], wanted: string): Job | null {
  const jobs = latest(all);
  return (
    all.find((j) => j.id === wanted) ??
    jobs.find((j) => j.key === wanted) ??
    jobs.find((j) => j.conclusion === "failure") ??
    jobs.find((j) => j.state === "running") ??
    jobs[0] ??
    null
  );
}

function WaitingJob({ job, play }: { job: Job; play: Play }) {
  const { path: project } = useProject();
  if (job.playable) {
    return (
      <Empty small icon={IconHourglass} title="Waiting for somebody">
        <p>{job.reason}</p>
        {play.may ? (
          <Button
            size="xs"
            leftSection={<IconPlayerPlay size={14} aria-hidden />}
            loading={play.busy}
            onClick={() => play.start(job)}
          >
            Start {job.name}
          </Button>
        ) : null}
      </Empty>
    );
  }
  if (job.state === "unschedulable") {
    return (
      <Empty small icon={IconAlertTriangle} title="This job can't be scheduled">
        {job.reason ? ticks(job.reason) : "No runner can take it."}
        <p>
          <Link href={paths.section(project, "runners")}>Runners of this project</Link>
        </p>
      </Empty>
    );
  }
  if (job.conclusion === "skipped") {
    return (
      <Empty small icon={IconHourglass} title="Skipped">
        {job.reason ?? "Its condition was not met."}
      </Empty>
    );
  }
  if (job.conclusion === "cancelled") {
    return <Empty small icon={IconPlayerStop} title="Cancelled before it began" />;
  }
  return (
    <Empty
      small
      icon={IconHourglass}
      title={job.state === "waiting" ? "Waiting for other jobs" : "Waiting for a runner"}
    >
      {job.reason ??
        (job.state === "waiting"
          ? `Needs ${job.needs.join(", ")}`
          : job.labels.length > 0
            ? `Wants ${job.labels.join(", ")}`
            : null)}
    </Empty>
  );
}

/** Its runner keeps its files, so that it can go on from the step that failed. */
const resumable = (job: Job | null): boolean =>
  job !== null && job.retry_from !== null && job.retry_from !== undefined && !job.superseded;

/** The earlier attempts whose steps a job has taken over, each with the steps it ran. */
function TakenOver({ job }: { job: Job }) {
  const from = new Map<string, string[]>();
  for (const step of job.steps)
    if (step.taken_from) from.set(step.taken_from, [...(from.get(step.taken_from) ?? []), step.name]);
  return [...from].map(([earlier, names]) => (
    <div key={earlier} className="dm-banner" style={{ margin: 10 }}>
      <IconRefresh size={16} aria-hidden />
      <span>
        Taken over from an earlier attempt: {names.join(", ")}.{" "}
        <a href={address("/jobs/{job}/log", { job: earlier })} target="_blank" rel="noreferrer">
          Its log
        </a>
      </span>
    </div>
  ));
}

/** Starting a job that waits for a person. */
interface Play {
  may: boolean;
  busy: boolean;
  start: (job: Job) => void;
}

function Jobs({ run, play }: { run: RunDetail; play: Play }) {
  const [wanted, setWanted] = useParam("job");
  const job = pick(run.jobs, wanted);
  const select = (next: Job) => setWanted(next.id);
  const jobs = useMemo(() => latest(run.jobs), [run.jobs]);
  const attempts = run.jobs
    .filter((j) => j.key === job?.key && j.name === job.name)
    .sort((a, b) => a.attempt - b.attempt);
  if (!job) {
    return run.diagnostics.length > 0 ? (
      <Panel title="This run could not be planned">
        <Diagnostics items={run.diagnostics} gitRef={run.commit} />
      </Panel>
    ) : (
      <div className="dm-panel">
        <Empty icon={IconHourglass} title="The jobs are being planned" />
      </div>
    );
  }
  const state = stateOf(job);
  return (
    <div className="dm-gap">
      {jobs.length > 1 ? (
        <div className="dm-panel">
          <JobGraph jobs={jobs} selected={job.id} onSelect={select} />
        </div>
      ) : null}
      <div className={jobs.length > 1 ? "dm-run-columns" : undefined}>
        {jobs.length > 1 ? <JobList jobs={jobs} chosen={job} onSelect={select} /> : null}
        <section className="dm-panel" aria-label={`Job ${job.name}`}>
          <header className="dm-panel-head">
            <h2>
              <StateIcon state={state} size={18} />
              <span className="dm-ellipsis">{job.name}</span>
            </h2>
            <div className="dm-meta" style={{ paddingRight: 8 }}>
              <Elapsed from={job.started_at} to={job.finished_at} />
              {job.runner?.name ? <span>on {job.runner.name}</span> : null}
              {job.allowed_to_fail ? <span>may fail</span> : null}
              {attempts.length > 1 ? (
                <NativeSelect
                  size="xs"
                  aria-label="Attempt"
                  value={job.id}
                  onChange={(event) => setWanted(event.currentTarget.value)}
                  data={attempts.map((a) => ({ value: a.id, label: `Attempt ${a.attempt}` }))}
                />
              ) : job.attempt > 1 ? (
                <span>attempt {job.attempt}</span>
              ) : null}
            </div>
          </header>
          {job.infra_failure ? (
            <div className="dm-banner dm-banner-bad" style={{ margin: 10 }}>
              <IconAlertTriangle size={16} aria-hidden /> The runner failed, not the job: {job.infra_failure}
            </div>
          ) : null}
          {job.state === "completed" && job.reason && !job.infra_failure && state === "failure" ? (
            <div className="dm-banner dm-banner-bad" style={{ margin: 10 }}>
              <IconAlertTriangle size={16} aria-hidden /> <span>{ticks(job.reason)}</span>
            </div>
          ) : null}
          <TakenOver job={job} />
          <Questions job={job} may={play.may} />
          {job.annotations.length > 0 ? <Annotations items={job.annotations} gitRef={run.commit} /> : null}
          {job.started_at === null ? (
            <WaitingJob job={job} play={play} />
          ) : (
            <Suspense fallback={<Rows n={8} />}>
              <LogView key={job.id} job={job} />
            </Suspense>
          )}
        </section>
      </div>
    </div>
  );
}

export default function RunPage({ rest }: { rest: string }) {
  const project = useProject();
  const place = usePlace();
  const go = useGo();
  const client = useQueryClient();
  const named = useRunId(rest.split("/", 1)[0] ?? rest);
  const id = named.id;
  const query = useQuery({
    ...queries.run(id ?? ""),
    enabled: id !== null,
    refetchInterval: (q) => (q.state.data && q.state.data.state !== "completed" ? 10_000 : false),
  });
  const run = query.data;
  const over = run?.state === "completed";
  const [tab, setTab] = useParam("tab", "jobs");
  useTitle(run && `#${run.number} ${run.title || run.name}`, project.path);

  useStream(id && run && !over ? address("/runs/{run}/events", { run: id }) : null, {
    run: (data) => client.setQueryData(queries.run(id ?? "").queryKey, data as RunDetail),
    end: () => {
      void client.invalidateQueries({ queryKey: ["run", id] });
      void client.invalidateQueries({ queryKey: ["project", project.id, "runs"] });
    },
  });

  const cancel = useMutation({
    mutationFn: () => post("/runs/{run}/cancel", undefined, { path: { run: id ?? "" } }),
    onError: (error) => toastError("The run was not cancelled", error),
    onSettled: () => client.invalidateQueries({ queryKey: ["run", id] }),
  });
  const retry = useMutation({
    mutationFn: (body: { failed_only?: boolean; job?: string }) =>
      post("/runs/{run}/retry", body, { path: { run: id ?? "" } }),
    onError: (error) => toastError("The run was not started again", error),
    onSuccess: (again) => {
      if (again?.id && again.id !== id && again.number) go(paths.run(project.path, again.number));
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["run", id] }),
  });

  const [, setWanted] = useParam("job");
  const play = useMutation({
    mutationFn: (job: Job) => post("/jobs/{job}/play", {}, { path: { job: job.id } }),
    onError: (error) => toastError("The job was not started", error),
    // what counted as skipped starts as a job of its own
    onSuccess: (started) => started && setWanted(started.id),
    onSettled: () => client.invalidateQueries({ queryKey: ["run", id] }),
  });

  const resume = useMutation({
    mutationFn: (job: Job) =>
      post("/jobs/{job}/retry", { from_step: job.retry_from }, { path: { job: job.id } }),
    onError: (error) => toastError("The job does not go on from its step", error),
    onSuccess: (again) => again && setWanted(again.id),
    onSettled: () => client.invalidateQueries({ queryKey: ["run", id] }),
  });

  /** The log of a job, from any tab. */
  const openJob = (job: string) => {
    if (run) go(paths.run(project.path, run.number, job), { keepScroll: true });
  };
  const wanted = place.search.get("job") ?? "";
  const chosen = run ? pick(run.jobs, wanted) : null;
  const failed = run?.conclusion === "failure" || run?.conclusion === "cancelled";
  const may = can(project, "pipeline:write");
  const actions: Action[] = [
    {
      id: "run-cancel",
      name: "Cancel this run",
      group: "This run",
      icon: IconPlayerStop,
      shortcut: "x",
      danger: true,
      visible: () => !!run && !over && may,
      perform: () => cancel.mutate(),
    },
    {
      id: "run-retry",
      name: "Run again",
      group: "This run",
      icon: IconRefresh,
      shortcut: "r",
      visible: () => over === true && may,
      perform: () => retry.mutate({}),
    },
    {
      id: "run-retry-failed",
      name: "Run failed jobs again",
      group: "This run",
      icon: IconRefresh,
      visible: () => over === true && failed && may,
      perform: () => retry.mutate({ failed_only: true }),
    },
    {
      id: "run-play-job",
      name: chosen ? `Start ${chosen.name}` : "Start this job",
      group: "This run",
      icon: IconPlayerPlay,
      // a question has its own form, with the values it asks for
      visible: () => chosen?.playable === true && !chosen.questions?.length && may,
      perform: () => chosen && play.mutate(chosen),
    },
    {
      id: "run-retry-step",
      name: chosen
        ? `Run ${chosen.name} again from the step that failed`
        : "Run again from the step that failed",
      group: "This run",
      icon: IconRefresh,
      visible: () => over === true && may && resumable(chosen),
      perform: () => chosen && resume.mutate(chosen),
    },
    {
      id: "run-retry-job",
      name: chosen ? `Run ${chosen.name} again` : "Run this job again",
      group: "This run",
      icon: IconRefresh,
      visible: () => over === true && chosen !== null && may,
      perform: () => retry.mutate({ job: chosen?.key }),
    },
  ];
  useActions(actions);
  const tests = useQuery({
    queryKey: ["run", id, "test-totals"],
    enabled: !!id && !!run,
    refetchInterval: over ? false : 10_000,
    queryFn: async ({ signal }) => {
      try {
        return (await get("/runs/{run}/tests", { path: { run: id ?? "" }, query: { limit: 1 }, signal }))
          .totals;
      } catch {
        return null;
      }
    },
  }).data;
  const notes = useMemo(
    () => (run ? latest(run.jobs).reduce((n, j) => n + j.annotations.length, 0) : 0),
    [run],
  );

  if (named.error || (query.error && !run)) return <ProblemView error={named.error ?? query.error} />;
  if (!run) return <Rows n={8} />;
  const bad = tests ? tests.failed + tests.errors : 0;
  return (
    <>
      <PageHead
        title={
          <span className="dm-run-title">
            <span>{run.title || run.name}</span> <span className="dm-dim">#{run.number}</span>
          </span>
        }
        about={
          <div className="dm-meta" style={{ marginTop: 6 }}>
            <StateBadge state={stateOf(run)} />
            <span>
              <IconHourglass size={14} aria-hidden />
              {run.started_at ? <Elapsed from={run.started_at} to={run.finished_at} /> : "not begun"}
            </span>
            <span>{run.name}</span>
            {run.detected ? (
              <span title="No workflow file: the build was detected from the project's files">
                <IconWand size={14} aria-hidden /> detected build
              </span>
            ) : null}
            <span>
              <IconGitBranch size={14} aria-hidden />
              <Link href={paths.tree(project.path, refName(run.ref))}>{refName(run.ref)}</Link>
            </span>
            <span>
              <IconGitCommit size={14} aria-hidden />
              <Link href={paths.commit(project.path, run.commit)} className="dm-mono">
                {short(run.commit)}
              </Link>
            </span>
            {run.actor ? (
              <span>
                <IconUser size={14} aria-hidden /> {run.actor.name}
              </span>
            ) : null}
            <span>
              <IconCalendar size={14} aria-hidden /> {run.event.replace(/_/g, " ")} <Dot />{" "}
              <TimeAgo at={run.created_at} />
            </span>
            {run.attempt > 1 ? <span>attempt {run.attempt}</span> : null}
            <RunLinks run={run} />
          </div>
        }
      >
        {actions[0]?.visible?.() ? (
          <Button
            variant="default"
            leftSection={<IconPlayerStop size={15} />}
            loading={cancel.isPending}
            onClick={() => cancel.mutate()}
          >
            Cancel
          </Button>
        ) : null}
        {actions[1]?.visible?.() ? (
          <Menu>
            <Menu.Target>
              <Button
                variant="default"
                leftSection={<IconRefresh size={15} />}
                rightSection={<IconChevronDown size={14} />}
                loading={retry.isPending}
              >
                Run again
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {actions.slice(1).map((a) =>
                a.visible?.() ? (
                  <Menu.Item key={a.id} onClick={() => void a.perform()}>
                    {a.id === "run-retry"
                      ? "All jobs"
                      : a.id === "run-retry-failed"
                        ? "Failed jobs only"
                        : a.id === "run-retry-step"
                          ? `${chosen?.name} from the step that failed`
                          : `Only ${chosen?.name}`}
                  </Menu.Item>
                ) : null,
              )}
            </Menu.Dropdown>
          </Menu>
        ) : null}
      </PageHead>
      {run.reason ? (
        <div className={`dm-banner ${run.conclusion === "failure" ? "dm-banner-bad" : ""}`}>
          <IconAlertTriangle size={16} aria-hidden /> <span>{ticks(run.reason)}</span>
        </div>
      ) : null}
      {run.diagnostics.length > 0 && run.jobs.length > 0 ? (
        <Diagnostics items={run.diagnostics} gitRef={run.commit} />
      ) : null}
      <Tabs value={tab} onChange={(v) => setTab(v ?? "jobs")}>
        <TabStrip value={tab}>
          <Tabs.Tab value="jobs">Jobs</Tabs.Tab>
          <Tabs.Tab value="timeline">Timeline</Tabs.Tab>
          <Tabs.Tab value="why">Why</Tabs.Tab>
          <Tabs.Tab value="tests">
            Tests
            {tests && tests.tests > 0 ? (
              <span className={`dm-count ${bad > 0 ? "dm-count-bad" : ""}`}>
                {bad > 0 ? `${bad} failed` : tests.tests}
              </span>
            ) : null}
          </Tabs.Tab>
          <Tabs.Tab value="coverage">Coverage</Tabs.Tab>
          <Tabs.Tab value="artifacts">Artifacts</Tabs.Tab>
          <Tabs.Tab value="annotations">
            Annotations
            {notes > 0 ? <span className="dm-count">{notes}</span> : null}
          </Tabs.Tab>
          <Tabs.Tab value="summary">Summary</Tabs.Tab>
        </TabStrip>
        <Tabs.Panel value="jobs">
          <Jobs run={run} play={{ may, busy: play.isPending, start: play.mutate }} />
        </Tabs.Panel>
        <Tabs.Panel value="timeline">
          {tab === "timeline" ? <Timeline run={run} onOpen={(job) => openJob(job.id)} /> : null}
        </Tabs.Panel>
        <Tabs.Panel value="why">{tab === "why" ? <WhyPanel run={run} onOpen={openJob} /> : null}</Tabs.Panel>
        <Tabs.Panel value="tests">
          <Tests run={run} />
        </Tabs.Panel>
        <Tabs.Panel value="coverage">
          <CoverageView run={run} />
        </Tabs.Panel>
        <Tabs.Panel value="artifacts">
          <Artifacts run={run} />
        </Tabs.Panel>
        <Tabs.Panel value="annotations">
          <AnnotationsView run={run} />
        </Tabs.Panel>
        <Tabs.Panel value="summary">
          <SummaryView run={run} />
        </Tabs.Panel>
      </Tabs>
    </>
  );
}
