/** Jobs of the project that wait, in the order of their turns, and for what. */
import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { IconChecks, IconFilter, IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { memo, useDeferredValue, useMemo, useRef, useState } from "react";
import { queries } from "@/api/queries";
import type { Queue as QueueData, QueuedJob } from "@/api/types";
import { useActions } from "@/app/actions";
import { useListKeys } from "@/app/listKeys";
import { Link, useParam } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { Empty, Figure, Loaded, PageHead, Panel, ticks, useTitle } from "@/ui/bits";
import { number } from "@/ui/format";
import { StateIcon } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";
import { PipelineNav } from "./PipelineNav";

/** Rows that are drawn at first, and more of them at a time. */
const AT_ONCE = 100;
/** The server looks at so many jobs. */
const MOST = 1000;

const STATES = [
  { value: "", label: "All" },
  { value: "queued", label: "For a runner" },
  { value: "waiting", label: "For others" },
  { value: "unschedulable", label: "Can't be scheduled" },
];

/** Rows whose job is as it was are not drawn again. */
export const QueueRow = memo(function QueueRow({ job, own }: { job: QueuedJob; own: boolean }) {
  return (
    <li className="dm-queue-row">
      <StateIcon state={job.state} size={18} />
      <div className="dm-grow">
        <Link href={paths.run(job.project.path, job.run, job.job)} className="dm-title-link dm-break">
          {job.name}
        </Link>
        <div className="dm-meta">
          {own ? null : <span>{job.project.path}</span>}
          {job.labels.map((label) => (
            <span key={label} className="dm-chip">
              {label}
            </span>
          ))}
          {job.priority !== 1 ? <span>{job.priority > 1 ? "before others" : "after others"}</span> : null}
          {job.reason ? (
            <span className={job.state === "unschedulable" ? "dm-text-wait" : undefined}>
              <span>{ticks(job.reason)}</span>
            </span>
          ) : null}
        </div>
      </div>
      <div className="dm-run-times">
        {job.position !== null ? (
          <span className="dm-num" title="Place among the jobs that ask for the same labels">
            #{job.position}
          </span>
        ) : null}
        {job.queued_at ? <TimeAgo at={job.queued_at} /> : null}
      </div>
    </li>
  );
});

function List({ data, own }: { data: QueueData; own: boolean }) {
  const [state, setState] = useParam("state");
  const [text, setText] = useState("");
  const typed = useDeferredValue(text.trim().toLowerCase());
  const [most, setMost] = useState(AT_ONCE);
  const list = useListKeys();
  const search = useRef<HTMLInputElement>(null);
  useActions([
    {
      id: "filter-queue",
      name: "Find jobs in the queue",
      group: "This page",
      icon: IconFilter,
      shortcut: "f",
      perform: () => search.current?.focus(),
    },
    ...list.actions,
  ]);
  const found = useMemo(
    () =>
      data.items.filter(
        (job) =>
          (state === "" || job.state === state) &&
          (typed === "" ||
            [job.name, job.project.path, job.reason ?? "", ...job.labels].some((t) =>
              t.toLowerCase().includes(typed),
            )),
      ),
    [data, state, typed],
  );
  const stuck = data.items.filter((job) => job.state === "unschedulable").length;
  const held = data.items.length - data.total;
  const queued = data.total - stuck;
  return (
    <div className="dm-gap">
      <Panel label="Totals">
        <div className="dm-figures">
          <Figure value={number(data.running)} label="running" />
          <Figure value={number(queued)} label="wait for a runner" tone={queued > 0 ? "wait" : undefined} />
          {own ? <Figure value={number(held)} label="wait for something else" /> : null}
          <Figure value={number(stuck)} label="can't be scheduled" tone={stuck > 0 ? "bad" : undefined} />
        </div>
      </Panel>
      {data.items.length > 5 || state !== "" ? (
        <search className="dm-filters" aria-label="Filter the queue">
          {own ? (
            <div className="dm-scroll-x">
              <SegmentedControl
                aria-label="What they wait for"
                value={state}
                onChange={setState}
                data={STATES}
              />
            </div>
          ) : null}
          <TextInput
            ref={search}
            className="dm-grow"
            type="search"
            aria-label="Find jobs"
            placeholder="Name, label or reason"
            leftSection={<IconSearch size={15} aria-hidden />}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
          />
        </search>
      ) : null}
      <Panel
        title="Waiting, in the order of their turns"
        flush
        actions={
          found.length < data.items.length || data.total >= MOST ? (
            <span className="dm-dim dm-num dm-panel-note">
              {found.length < data.items.length
                ? `${number(found.length)} of ${number(data.items.length)}`
                : `the first ${number(MOST)}`}
            </span>
          ) : null
        }
      >
        {found.length === 0 ? (
          <Empty
            small
            icon={IconChecks}
            title={data.items.length === 0 ? "Nothing waits" : "No job matches"}
          />
        ) : (
          <ul className="dm-list" ref={list.ref}>
            {found.slice(0, most).map((job) => (
              <QueueRow key={job.job} job={job} own={own} />
            ))}
          </ul>
        )}
        {found.length > most ? (
          <div className="dm-more">
            <Button variant="subtle" color="gray" size="xs" onClick={() => setMost(most + AT_ONCE * 2)}>
              Show more of {number(found.length)}
            </Button>
          </div>
        ) : null}
      </Panel>
    </div>
  );
}

/** Also for administrators, without a project: all that waits. */
export function QueueView({ project }: { project?: string }) {
  const query = useQuery({
    ...queries.queue(project),
    // a long queue is long to send, and does not change in a moment
    refetchInterval: (q) => ((q.state.data?.items.length ?? 0) > 200 ? 10_000 : 3_000),
  });
  return (
    <Loaded query={query} rows={4}>
      {(data) => <List data={data} own={project !== undefined} />}
    </Loaded>
  );
}

export default function Queue() {
  const project = useProject();
  useTitle("Queue", project.path);
  return (
    <>
      <PageHead title="Queue" about="Jobs of this project that have not begun, and what they wait for." />
      <PipelineNav />
      <QueueView project={project.id} />
    </>
  );
}
