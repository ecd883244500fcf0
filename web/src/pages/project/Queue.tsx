/** Jobs of the project that wait, in the order of their turns, and for what. */
import { IconChecks } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { queries } from "@/api/queries";
import { useActions } from "@/app/actions";
import { useListKeys } from "@/app/listKeys";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { Empty, Figure, Loaded, PageHead, Panel, useTitle } from "@/ui/bits";
import { number } from "@/ui/format";
import { StateIcon } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";
import { PipelineNav } from "./PipelineNav";

/** Also for administrators, without a project: all that waits. */
export function QueueView({ project }: { project?: string }) {
  const query = useQuery({ ...queries.queue(project), refetchInterval: 3_000 });
  const list = useListKeys();
  useActions(list.actions);
  return (
    <Loaded query={query} rows={4}>
      {(data) => (
        <div className="dm-gap">
          <Panel label="Totals">
            <div className="dm-figures">
              <Figure value={number(data.running)} label="running" />
              <Figure
                value={number(data.total)}
                label="wait for a runner"
                tone={data.total > 0 ? "wait" : undefined}
              />
            </div>
          </Panel>
          <Panel title="Waiting, in the order of their turns" flush>
            {data.items.length === 0 ? (
              <Empty small icon={IconChecks} title="Nothing waits" />
            ) : (
              <ul className="dm-list" ref={list.ref}>
                {data.items.map((job) => (
                  <li key={job.job}>
                    <StateIcon state={job.state} size={18} />
                    <div className="dm-grow">
                      <Link href={paths.run(job.project.path, job.run, job.job)} className="dm-title-link">
                        {job.name}
                      </Link>
                      <div className="dm-meta">
                        {project ? null : <span>{job.project.path}</span>}
                        {job.labels.map((label) => (
                          <span key={label} className="dm-chip">
                            {label}
                          </span>
                        ))}
                        {job.priority !== 1 ? (
                          <span>{job.priority > 1 ? "before others" : "after others"}</span>
                        ) : null}
                        {job.reason ? <span>{job.reason}</span> : null}
                      </div>
                    </div>
                    <div className="dm-run-times">
                      {job.position !== null ? <span className="dm-num">#{job.position}</span> : null}
                      {job.queued_at ? <TimeAgo at={job.queued_at} /> : null}
                    </div>
                  </li>
                ))}
              </ul>
            )}
          </Panel>
        </div>
      )}
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
