/** Why each job is in the run and how it came to its end: rules, conditions, results of the jobs before it. */
import { SegmentedControl, TextInput } from "@mantine/core";
import { IconHelpCircle, IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { queries } from "@/api/queries";
import type { Job, RunDetail, WhyJob } from "@/api/types";
import { Link, useParam } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { familyOf, shownState } from "@/graph/model";
import { Empty, Panel } from "@/ui/bits";
import { plural } from "@/ui/format";
import { lookOf, StateBadge, StateIcon } from "@/ui/State";
import { ancestorsOf, type Story, storiesOf } from "./why";

type Decision = RunDetail["decisions"][number];

/** The place in the workflow file where a rule stands. */
function Place({ decision, gitRef }: { decision: Decision; gitRef: string }) {
  const project = useProject();
  if (!decision.file) return null;
  return (
    <Link
      href={paths.blob(project.path, gitRef, decision.file, decision.line || undefined)}
      className="dm-mono"
    >
      {decision.file}
      {decision.line ? `:${decision.line}` : ""}
    </Link>
  );
}

/** How many results of other jobs are shown before the rest is folded. */
const SHOWN = 12;

function Ancestors({ job, jobs, onOpen }: { job: Job; jobs: Job[]; onOpen: (id: string) => void }) {
  const [all, setAll] = useState(false);
  const before = ancestorsOf(job, jobs);
  if (before.length === 0) return null;
  return (
    <div className="dm-why-fact">
      <dt>After</dt>
      <dd className="dm-why-chips">
        {(all ? before : before.slice(0, SHOWN)).map((a, i) => (
          <button
            type="button"
            key={`${a.id ?? a.name}${i}`}
            className="dm-why-chip"
            disabled={a.id === null}
            title={`${a.name}: ${lookOf(a.state).label}`}
            onClick={() => a.id && onOpen(a.id)}
          >
            <StateIcon state={a.state} size={13} />
            <span className="dm-ellipsis">{a.name}</span>
          </button>
        ))}
        {before.length > SHOWN && !all ? (
          <button type="button" className="dm-why-chip" onClick={() => setAll(true)}>
            {before.length - SHOWN} more
          </button>
        ) : null}
      </dd>
    </div>
  );
}

function Entry(props: {
  story: Story;
  run: RunDetail;
  decision: Decision | undefined;
  /** What the server evaluated, once it is read. */
  told: WhyJob | undefined;
  onOpen: (id: string) => void;
}) {
  const { story, run, decision } = props;
  const [job, ...others] = story.jobs;
  const [all, setAll] = useState(false);
  if (!job) return null;
  return (
    <li className="dm-why">
      <StateIcon state={shownState(job)} size={18} />
      <div className="dm-grow">
        <div className="dm-why-line">
          <button type="button" className="dm-why-name" onClick={() => props.onOpen(job.id)}>
            {job.name}
          </button>
          {others.length > 0 ? (
            <button type="button" className="dm-why-chip" aria-expanded={all} onClick={() => setAll(!all)}>
              and {others.length} more
            </button>
          ) : null}
          <span className="dm-dim">{lookOf(shownState(job)).label}</span>
        </div>
        {all ? (
          <div className="dm-why-chips dm-why-others">
            {others.map((other) => (
              <button
                type="button"
                key={other.id}
                className="dm-why-chip"
                onClick={() => props.onOpen(other.id)}
              >
                {other.name}
              </button>
            ))}
          </div>
        ) : null}
        <p className="dm-why-verdict">{story.verdict}</p>
        <dl className="dm-why-facts">
          {decision ? (
            <div className="dm-why-fact">
              <dt>Rule</dt>
              <dd>
                {decision.because} <Place decision={decision} gitRef={run.commit} />
              </dd>
            </div>
          ) : null}
          {job.condition ? (
            <div className="dm-why-fact">
              <dt>Condition</dt>
              <dd>
                <code>{job.condition}</code>
              </dd>
            </div>
          ) : null}
          {props.told?.evaluation?.error ? (
            <div className="dm-why-fact dm-text-bad">
              <dt>Error</dt>
              <dd>{props.told.evaluation.error}</dd>
            </div>
          ) : null}
          {props.told?.evaluation && props.told.evaluation.operands.length > 0 ? (
            <div className="dm-why-fact">
              <dt>Values</dt>
              <dd>
                {props.told.evaluation.operands.map((o) => (
                  <div key={o.expression}>
                    <code>{o.expression}</code> is{" "}
                    {o.hidden ? (
                      <span className="dm-dim">hidden</span>
                    ) : (
                      <code>{JSON.stringify(o.value ?? null)}</code>
                    )}
                  </div>
                ))}
              </dd>
            </div>
          ) : null}
          <Ancestors job={job} jobs={run.jobs} onOpen={props.onOpen} />
        </dl>
      </div>
    </li>
  );
}

/** Jobs whose story is worth telling before the rest: they did not simply run and pass. */
const notable = (job: Job): boolean => job.state !== "completed" || job.conclusion !== "success";

export function WhyPanel({ run, onOpen }: { run: RunDetail; onOpen: (job: string) => void }) {
  const [only, setOnly] = useParam("why", "all");
  const [text, setText] = useState("");
  const told = useQuery({
    ...queries.why(run.id),
    refetchInterval: run.state === "completed" ? false : 5_000,
  }).data?.jobs;
  const jobs = useMemo(() => run.jobs.filter((j) => !j.superseded), [run.jobs]);
  const out = run.decisions.filter((d) => !d.included);
  // GitLab decides about a job before `parallel` makes many of it.
  const decisionOf = (job: Job) => {
    const base = familyOf(job);
    return run.decisions.find((d) => d.included && (d.job === job.key || d.job === base));
  };
  const shown = jobs.filter(
    (j) => (only === "all" || notable(j)) && j.name.toLowerCase().includes(text.trim().toLowerCase()),
  );
  return (
    <div className="dm-gap">
      {out.length > 0 ? (
        <Panel title={`${plural(out.length, "job")} of the file left out`} flush>
          <ul className="dm-list">
            {out.map((d) => (
              <li key={d.job} className="dm-why">
                <StateBadge state="left-out" />
                <div className="dm-grow">
                  <strong>{d.job}</strong>
                  <p className="dm-why-verdict">
                    {d.because} <Place decision={d} gitRef={run.commit} />
                  </p>
                </div>
              </li>
            ))}
          </ul>
        </Panel>
      ) : null}
      <Panel
        title="Jobs of this run"
        flush
        actions={
          <>
            <TextInput
              size="xs"
              w={150}
              aria-label="Find a job"
              placeholder="Find a job"
              leftSection={<IconSearch size={13} aria-hidden />}
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
            />
            <SegmentedControl
              size="xs"
              aria-label="Show"
              value={only}
              onChange={setOnly}
              data={[
                { value: "all", label: "All" },
                { value: "notable", label: "Not passed" },
              ]}
            />
          </>
        }
      >
        {shown.length === 0 ? (
          <Empty small icon={IconHelpCircle} title={jobs.length === 0 ? "No jobs yet" : "None of these"} />
        ) : (
          <ul className="dm-list">
            {storiesOf(shown, run.jobs).map((story) => {
              const [job] = story.jobs;
              return job ? (
                <Entry
                  key={job.id}
                  story={story}
                  run={run}
                  decision={decisionOf(job)}
                  told={told?.find((t) => t.job === job.id)}
                  onOpen={onOpen}
                />
              ) : null;
            })}
          </ul>
        )}
      </Panel>
    </div>
  );
}
