import { IconGitBranch, IconGitCommit, IconWand } from "@tabler/icons-react";
import type { Run } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { refName, short } from "./format";
import { StateIcon, stateOf } from "./State";
import { Elapsed, TimeAgo } from "./TimeAgo";

export function RunRow({ run, compact }: { run: Run; compact?: boolean }) {
  const state = stateOf(run);
  return (
    <li className="dm-hover">
      <StateIcon state={state} size={20} />
      <div className="dm-grow">
        <div className="dm-ellipsis">
          <Link href={paths.run(run.project_path, run.number)} className="dm-title-link">
            {run.title || run.name}
          </Link>
        </div>
        <div className="dm-meta">
          <span className="dm-num">#{run.number}</span>
          {compact ? null : <span className="dm-hide-phone">{run.name}</span>}
          {run.detected ? (
            <span title="No workflow file: the build was detected from the project's files">
              <IconWand size={13} aria-hidden /> detected
            </span>
          ) : null}
          <span className="dm-ellipsis">
            <IconGitBranch size={13} aria-hidden /> {refName(run.ref)}
          </span>
          {compact ? null : (
            <span className="dm-hide-phone">
              <IconGitCommit size={13} aria-hidden />
              <Link href={paths.commit(run.project_path, run.commit)} className="dm-mono">
                {short(run.commit)}
              </Link>
            </span>
          )}
          {!compact && run.actor ? <span className="dm-hide-phone">{run.actor.name}</span> : null}
          {!compact && run.attempt > 1 ? <span>attempt {run.attempt}</span> : null}
        </div>
      </div>
      <div className="dm-run-times">
        {run.state === "running" && run.jobs_total > 0 ? (
          <span>
            {run.jobs_done}/{run.jobs_total} jobs
          </span>
        ) : (
          <TimeAgo at={run.created_at} />
        )}
        {compact ? null : <Elapsed from={run.started_at} to={run.finished_at} />}
      </div>
    </li>
  );
}
