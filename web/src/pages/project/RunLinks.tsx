/** The run that started this one, and those that its jobs started. */
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import type { Linked, RunDetail } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { StateIcon, stateOf } from "@/ui/State";

function To({ run, own }: { run: Linked; own: string }) {
  return (
    <Link href={paths.run(run.project_path, run.number)} title={run.name}>
      {run.project_path === own ? "" : run.project_path}#{run.number}
    </Link>
  );
}

export function RunLinks({ run }: { run: RunDetail }) {
  if (!run.parent && run.children.length === 0) return null;
  const name = (job: string) => run.jobs.find((j) => j.id === job)?.name;
  return (
    <>
      {run.parent ? (
        <span>
          <IconArrowUp size={14} aria-hidden /> started by <To run={run.parent} own={run.project_path} />
        </span>
      ) : null}
      {run.children.map((child) => (
        <span key={child.id}>
          <IconArrowDown size={14} aria-hidden /> {name(child.job) ?? "earlier"}{" "}
          <StateIcon state={stateOf(child)} size={14} /> <To run={child} own={run.project_path} />
        </span>
      ))}
    </>
  );
}
