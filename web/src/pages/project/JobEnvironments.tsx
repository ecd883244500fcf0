/** Environments as jobs of pipelines name them: what each has, where it answers, and the way to stop it. */
import { Button, Switch } from "@mantine/core";
import { IconExternalLink, IconPlayerStop, IconTrash } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { del, post } from "@/api/client";
import { flat, queries } from "@/api/queries";
import type { JobEnvironment } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { can, useProject } from "@/app/project";
import { toastError } from "@/app/toast";
import { More, Panel } from "@/ui/bits";
import { Confirm } from "@/ui/Confirm";
import { refName, short } from "@/ui/format";
import { StateBadge } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";

/** Only such addresses are followed: they are the word of a job. */
const web = (url: string | null): url is string => url !== null && /^https?:\/\//i.test(url);

function Row({ env, act }: { env: JobEnvironment; act: ((env: JobEnvironment) => void) | undefined }) {
  const project = useProject();
  const stopped = env.state === "stopped";
  return (
    <li className="dm-wrap-phone">
      <div className="dm-grow">
        <strong className="dm-break">{env.name}</strong>
        <div className="dm-meta">
          <span>{env.tier}</span>
          <Link href={paths.run(project.path, env.run, env.job)}>its deployment</Link>
          <span className="dm-break">{refName(env.ref)}</span>
          <Link href={paths.commit(project.path, env.commit)} className="dm-mono">
            {short(env.commit)}
          </Link>
          <TimeAgo at={env.updated_at} />
          {env.auto_stop_at && !stopped ? (
            <span>
              stops <TimeAgo at={env.auto_stop_at} />
            </span>
          ) : null}
        </div>
        {env.detail ? <div className="dm-meta dm-text-bad">{env.detail}</div> : null}
      </div>
      <StateBadge state={env.state} />
      {web(env.url) && !stopped ? (
        <Button
          size="xs"
          variant="default"
          component="a"
          href={env.url}
          target="_blank"
          rel="noreferrer noopener"
          aria-label={`Open ${env.name}`}
          leftSection={<IconExternalLink size={14} aria-hidden />}
        >
          Open
        </Button>
      ) : null}
      {act && env.state !== "stopping" ? (
        <Button
          size="xs"
          variant="default"
          aria-label={`${stopped ? "Forget" : "Stop"} ${env.name}`}
          leftSection={
            stopped ? <IconTrash size={14} aria-hidden /> : <IconPlayerStop size={14} aria-hidden />
          }
          onClick={() => act(env)}
        >
          {stopped ? "Forget" : "Stop"}
        </Button>
      ) : null}
    </li>
  );
}

/** Nothing where no job has deployed to any. */
export function JobEnvironments() {
  const project = useProject();
  const client = useQueryClient();
  const options = queries.jobEnvironments(project.id);
  const query = useInfiniteQuery({ ...options, refetchInterval: 10_000 });
  const [all, setAll] = useState(false);
  const [asked, setAsked] = useState<JobEnvironment | null>(null);
  const act = useMutation({
    mutationFn: async (env: JobEnvironment): Promise<void> => {
      const path = { environment: env.id };
      if (env.state === "stopped") await del("/job-environments/{environment}", { path });
      else await post("/job-environments/{environment}/stop", {}, { path });
    },
    onError: (error, env) =>
      toastError(`${env.name} was not ${env.state === "stopped" ? "forgotten" : "stopped"}`, error),
    onSettled: () => client.invalidateQueries({ queryKey: options.queryKey }),
  });
  const known = flat(query.data);
  if (known.length === 0) return null;
  const stopped = known.filter((env) => env.state === "stopped").length;
  const may = can(project, "pipeline:write") && !project.archived;
  return (
    <Panel
      title="Environments of jobs"
      flush
      actions={
        stopped > 0 ? (
          <Switch
            size="xs"
            label={`Also ${stopped} stopped`}
            checked={all}
            onChange={(event) => setAll(event.currentTarget.checked)}
          />
        ) : null
      }
    >
      <ul className="dm-list">
        {known
          .filter((env) => all || env.state !== "stopped")
          .map((env) => (
            <Row key={env.id} env={env} act={may ? setAsked : undefined} />
          ))}
      </ul>
      <More query={query} />
      <Confirm
        opened={asked !== null}
        onClose={() => setAsked(null)}
        title={asked?.state === "stopped" ? `Forget ${asked.name}?` : `Stop ${asked?.name ?? ""}?`}
        verb={asked?.state === "stopped" ? "Forget" : "Stop"}
        danger
        onConfirm={() => {
          if (asked) act.mutate(asked);
          setAsked(null);
        }}
      >
        {asked?.state === "stopped"
          ? "Its runs stay; the next job that names it makes it anew."
          : asked?.on_stop
            ? `The job ${asked.on_stop} of its run does that.`
            : "No job takes down what runs there; it only counts as stopped."}
      </Confirm>
    </Panel>
  );
}
