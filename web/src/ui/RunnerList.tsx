/** Runners with what they have and do; administrators also add, drain and remove them. */
import { Button, Modal, Stack, Switch, TagsInput, Text } from "@mantine/core";
import { IconPlus, IconServer, IconTrash } from "@tabler/icons-react";
import { type InfiniteData, useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { del, patch, post } from "@/api/client";
import { flat, queries } from "@/api/queries";
import type { Page, Runner } from "@/api/types";
import { Link } from "@/app/location";
import { useOptimistic } from "@/app/optimistic";
import { paths } from "@/app/paths";
import { Empty, Loaded, More, Panel } from "./bits";
import { Confirm } from "./Confirm";
import { CopyField } from "./Copy";
import { Meter } from "./Spark";
import { StateBadge, StateIcon } from "./State";
import { Elapsed, TimeAgo } from "./TimeAgo";

/** Labels of an own choice; a runner also has those of its system. */
const quoted = (text: string): string =>
  /^[\w.:@/-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;

/** The command that makes a machine a runner, with a token that is shown here and never again. */
function Register({ token, onClose }: { token: string; onClose: () => void }) {
  const instance = useQuery(queries.instance()).data;
  const [labels, setLabels] = useState<string[]>([]);
  const [once, setOnce] = useState(false);
  const command = [
    "devmentor runner",
    `--server ${instance?.public_url ?? window.location.origin}`,
    `--token ${token}`,
    ...labels.map((label) => `--label ${quoted(label)}`),
    ...(once ? ["--ephemeral"] : []),
  ].join(" ");
  return (
    <Modal opened onClose={onClose} title="Register a runner" size="lg" closeOnClickOutside={false}>
      <Stack gap="sm">
        <Text size="sm">
          Run this on the machine that will take jobs. The token works once, within the hour, and is not shown
          again.
        </Text>
        <TagsInput
          label="Labels of its own"
          description="What jobs may ask for beside the usual labels; Enter adds one."
          value={labels}
          onChange={setLabels}
          clearable
        />
        <Switch
          label="For one job only"
          checked={once}
          onChange={(event) => setOnce(event.currentTarget.checked)}
        />
        <CopyField label="Command" text={command} />
        <Button onClick={onClose}>Done</Button>
      </Stack>
    </Modal>
  );
}

function About({ runner: r }: { runner: Runner }) {
  return (
    <div className="dm-grow">
      <strong className="dm-break">{r.name}</strong>
      <div className="dm-meta">
        {r.in_process ? <span>in this server</span> : null}
        {r.version ? <span>version {r.version}</span> : null}
        <span>
          {r.os} {r.arch}
        </span>
        {r.ephemeral ? <span>for one job</span> : null}
        {r.labels.map((label) => (
          <span key={label} className="dm-chip">
            {label}
          </span>
        ))}
        {r.state === "offline" ? (
          <span>
            last seen <TimeAgo at={r.last_seen_at} />
          </span>
        ) : null}
      </div>
      {r.jobs.map((job) => (
        <div key={job.job} className="dm-meta">
          <StateIcon state="running" size={14} />
          <Link href={paths.run(job.project, job.run, job.job)} className="dm-break">
            {job.project}: {job.name}
          </Link>
          <Elapsed from={job.started_at} to={null} />
        </div>
      ))}
      {r.busy > r.jobs.length ? (
        <div className="dm-meta">
          <StateIcon state="running" size={14} label={false} />
          {r.jobs.length > 0 ? `and ${r.busy - r.jobs.length} of other projects` : "busy for other projects"}
        </div>
      ) : null}
    </div>
  );
}

type Pages = InfiniteData<Page<Runner>>;
const each = (old: Pages, change: (items: Runner[]) => Runner[]): Pages => ({
  ...old,
  pages: old.pages.map((page) => ({ ...page, items: change(page.items) })),
});

export function RunnerList({
  of = {},
  manage,
  empty,
}: {
  of?: { project?: string; group?: string };
  /** The caller administers the instance. */
  manage: boolean;
  empty?: ReactNode;
}) {
  const options = queries.runners(of);
  const query = useInfiniteQuery({ ...options, refetchInterval: 10_000 });
  const [gone, setGone] = useState<Runner | null>(null);
  const token = useMutation({ mutationFn: () => post("/runners/tokens", undefined) });
  const drain = useOptimistic<Pages, Runner>({
    key: options.queryKey,
    failed: "The runner was not changed",
    run: (runner) =>
      patch("/runners/{id}", { draining: runner.state !== "draining" }, { path: { id: runner.id } }),
    apply: (old, runner) =>
      each(old, (items) =>
        items.map((r) =>
          r.id === runner.id ? { ...r, state: r.state === "draining" ? "online" : "draining" } : r,
        ),
      ),
  });
  const remove = useOptimistic<Pages, Runner>({
    key: options.queryKey,
    failed: "The runner was not removed",
    done: "Runner removed",
    run: (runner) => del("/runners/{id}", { path: { id: runner.id } }),
    apply: (old, runner) => each(old, (items) => items.filter((r) => r.id !== runner.id)),
  });
  return (
    <Panel
      title="Runners"
      flush
      actions={
        manage ? (
          <Button
            size="xs"
            leftSection={<IconPlus size={14} aria-hidden />}
            loading={token.isPending}
            onClick={() => token.mutate()}
          >
            Register a runner
          </Button>
        ) : null
      }
    >
      <Loaded query={query}>
        {(data) => {
          const runners = flat(data);
          return runners.length === 0 ? (
            <Empty small icon={IconServer} title="No runners">
              {empty ?? "Jobs wait until a runner takes them."}
            </Empty>
          ) : (
            <ul className="dm-list">
              {runners.map((r) => (
                <li key={r.id} className="dm-wrap-phone">
                  <IconServer size={20} className="dm-dim" aria-hidden />
                  <About runner={r} />
                  <div className="dm-runner-use">
                    <Text size="xs" c="dimmed">
                      {r.busy} of {r.capacity} busy
                    </Text>
                    <Meter share={r.capacity ? r.busy / r.capacity : 0} />
                  </div>
                  <StateBadge state={r.state} />
                  {manage && r.state !== "offline" ? (
                    <Button
                      size="xs"
                      variant="default"
                      title={
                        r.state === "draining"
                          ? "Takes jobs again"
                          : "Finishes what it has, and takes no more"
                      }
                      aria-label={`${r.state === "draining" ? "Resume" : "Drain"} ${r.name}`}
                      onClick={() => drain.mutate(r)}
                    >
                      {r.state === "draining" ? "Resume" : "Drain"}
                    </Button>
                  ) : null}
                  {manage && !r.in_process ? (
                    <Button
                      size="xs"
                      variant="default"
                      aria-label={`Remove ${r.name}`}
                      onClick={() => setGone(r)}
                    >
                      <IconTrash size={14} aria-hidden />
                    </Button>
                  ) : null}
                </li>
              ))}
            </ul>
          );
        }}
      </Loaded>
      <More query={query} />
      {token.data ? <Register token={token.data.token} onClose={() => token.reset()} /> : null}
      <Confirm
        opened={gone !== null}
        onClose={() => setGone(null)}
        title={`Remove ${gone?.name ?? ""}?`}
        verb="Remove"
        danger
        onConfirm={() => {
          if (gone) remove.mutate(gone);
          setGone(null);
        }}
      >
        {gone?.busy
          ? "What it runs now is lost, and tried again on another runner."
          : "To come back it has to be registered anew."}
      </Confirm>
    </Panel>
  );
}

/** How a runner comes to be, for those who can not make one. */
export function HowToRegister() {
  const instance = useQuery(queries.instance()).data;
  return (
    <Panel title="Adding a runner">
      <Stack gap="xs">
        <Text size="sm">
          Runners serve all projects of this instance. An administrator gives out a token that works once;
          with it, a machine becomes a runner:
        </Text>
        <CopyField
          label="Command"
          text={`devmentor runner --server ${instance?.public_url ?? window.location.origin} --token TOKEN`}
        />
      </Stack>
    </Panel>
  );
}
