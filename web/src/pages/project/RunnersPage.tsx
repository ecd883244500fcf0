/** The machines that take this project's jobs, and those of its jobs that none of them can take. */

import { IconLock } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { queries } from "@/api/queries";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { can, useProject } from "@/app/project";
import { useUser } from "@/app/session";
import { Empty, PageHead, Panel, useTitle } from "@/ui/bits";
import { HowToRegister, RunnerList } from "@/ui/RunnerList";
import { PipelineNav } from "./PipelineNav";
import { QueueRow } from "./Queue";

/** More of them are on the page of the queue. */
const SHOWN = 5;

function Stuck() {
  const project = useProject();
  const queue = useQuery({ ...queries.queue(project.id), refetchInterval: 10_000 }).data;
  const stuck = queue?.items.filter((job) => job.state === "unschedulable") ?? [];
  if (stuck.length === 0) return null;
  const all = paths.section(project.path, "queue");
  return (
    <Panel
      title="Jobs that no runner can take"
      flush
      actions={
        <Link href={`${all}?state=unschedulable`} className="dm-panel-note">
          Queue
        </Link>
      }
    >
      <ul className="dm-list">
        {stuck.slice(0, SHOWN).map((job) => (
          <QueueRow key={job.job} job={job} own />
        ))}
      </ul>
      {stuck.length > SHOWN ? (
        <div className="dm-more">
          <Link href={`${all}?state=unschedulable`}>and {stuck.length - SHOWN} more</Link>
        </div>
      ) : null}
    </Panel>
  );
}

export default function RunnersPage() {
  const project = useProject();
  const user = useUser();
  useTitle("Runners", project.path);
  const may = can(project, "pipeline:write");
  return (
    <>
      <PageHead title="Runners" about="The machines that this project's jobs run on." />
      <PipelineNav />
      {may ? (
        <div className="dm-gap">
          <Stuck />
          <RunnerList of={{ project: project.id }} manage={user?.admin === true} />
          {user?.admin ? null : <HowToRegister />}
        </div>
      ) : (
        <div className="dm-panel">
          <Empty icon={IconLock} title="Not for you to see">
            Who may start runs of this project sees the machines that they run on.
          </Empty>
        </div>
      )}
    </>
  );
}
