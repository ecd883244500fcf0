/** Runs that the clock starts: those of the workflow files, which can be paused, and those that people make. */
import {
  ActionIcon,
  Autocomplete,
  Button,
  Group,
  Modal,
  Select,
  Stack,
  Switch,
  Text,
  TextInput,
  Tooltip,
} from "@mantine/core";
import {
  IconCalendarClock,
  IconFileCode,
  IconPencil,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlayerPlayFilled,
  IconPlus,
  IconTrash,
} from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { del, fieldErrors, patch, post } from "@/api/client";
import { queries } from "@/api/queries";
import type { Page, Schedule } from "@/api/types";
import { useActions } from "@/app/actions";
import { Link, useGo } from "@/app/location";
import { useOptimistic } from "@/app/optimistic";
import { paths } from "@/app/paths";
import { can, useProject } from "@/app/project";
import { toast, toastError } from "@/app/toast";
import { Empty, FormError, Loaded, PageHead, Panel, useTitle } from "@/ui/bits";
import { Confirm } from "@/ui/Confirm";
import { refName } from "@/ui/format";
import { RefSelect } from "@/ui/RefSelect";
import { StateBadge } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";
import { isZone, nextTimes, parseCron } from "./cron";
import { PipelineNav } from "./PipelineNav";

const here = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

const ZONES: string[] = ["UTC", ...(Intl.supportedValuesOf?.("timeZone") ?? [])];

const EXAMPLES = [
  { cron: "0 3 * * *", label: "Every night" },
  { cron: "0 9 * * mon-fri", label: "Every working day" },
  { cron: "0 4 * * sun", label: "Every week" },
  { cron: "@hourly", label: "Every hour" },
];

/** What the server will do with the expression, or what is wrong with it. */
function Preview({ cron, zone }: { cron: string; zone: string }) {
  const answer = useMemo((): { times: Date[] } | { wrong: string } | null => {
    if (cron.trim() === "") return null;
    if (!isZone(zone)) return { wrong: `There is no time zone “${zone}”` };
    try {
      return { times: nextTimes(parseCron(cron), zone, 5) };
    } catch (error) {
      return { wrong: error instanceof Error ? error.message : String(error) };
    }
  }, [cron, zone]);
  if (!answer) return null;
  if ("wrong" in answer) {
    return (
      <div className="dm-form-error" role="alert">
        {answer.wrong}
      </div>
    );
  }
  const there = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "short",
  });
  return (
    <div className="dm-cron" aria-live="polite">
      <h3>{answer.times.length > 0 ? "Next five times" : "It is never due"}</h3>
      <ol>
        {answer.times.map((at) => (
          <li key={at.getTime()} className="dm-num">
            {there.format(at)}
          </li>
        ))}
      </ol>
    </div>
  );
}

function Editor({ schedule, onClose }: { schedule: Schedule | null; onClose: () => void }) {
  const project = useProject();
  const client = useQueryClient();
  const [ref, setRef] = useState(refName(schedule?.ref ?? project.default_branch));
  const [cron, setCron] = useState(schedule?.cron ?? "0 3 * * *");
  const [timezone, setTimezone] = useState(schedule?.timezone ?? here());
  const [description, setDescription] = useState(schedule?.description ?? "");
  const [workflow, setWorkflow] = useState(schedule?.workflow ?? null);
  const [missed, setMissed] = useState<Schedule["missed"]>(schedule?.missed ?? "once");
  const workflows = useQuery(queries.workflows(project.id, ref)).data;
  const save = useMutation({
    mutationFn: () => {
      const body = {
        ref: schedule && ref === refName(schedule.ref) ? schedule.ref : ref,
        cron,
        timezone,
        description,
        workflow: workflow ?? undefined,
        missed,
      };
      return schedule
        ? patch("/schedules/{schedule}", body, { path: { schedule: schedule.id }, version: schedule.version })
        : post("/projects/{id}/schedules", body, { path: { id: project.id } });
    },
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["project", project.id, "schedules"] });
      toast("ok", schedule ? "Schedule saved" : "Schedule made");
      onClose();
    },
  });
  const fields = fieldErrors(save.error);
  return (
    <Modal opened onClose={onClose} title={schedule ? "Edit the schedule" : "New schedule"} size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput
            data-autofocus
            label="Description"
            placeholder="Nightly build"
            value={description}
            error={fields.description}
            onChange={(e) => setDescription(e.currentTarget.value)}
          />
          <div className="dm-name-row">
            <TextInput
              className="dm-grow"
              label="Times"
              description="Minute, hour, day of the month, month, day of the week"
              required
              autoComplete="off"
              spellCheck={false}
              classNames={{ input: "dm-mono" }}
              value={cron}
              error={fields.cron}
              onChange={(e) => setCron(e.currentTarget.value)}
            />
            <Autocomplete
              label="Time zone"
              description="IANA name"
              required
              limit={80}
              data={ZONES}
              value={timezone}
              error={fields.timezone}
              onChange={setTimezone}
            />
          </div>
          <Group gap={6}>
            {EXAMPLES.map((e) => (
              <Button key={e.cron} size="compact-xs" variant="default" onClick={() => setCron(e.cron)}>
                {e.label}
              </Button>
            ))}
          </Group>
          <Preview cron={cron} zone={timezone} />
          <div className="dm-name-row">
            <div>
              <Text size="sm" fw={500} mb={4}>
                Branch or tag
              </Text>
              <RefSelect value={ref} onChange={setRef} />
            </div>
            <Select
              className="dm-grow"
              label="Workflow"
              placeholder="All that a manual start starts"
              clearable
              value={workflow}
              error={fields.workflow}
              onChange={setWorkflow}
              data={[
                ...new Set([...(workflows?.items.map((w) => w.path) ?? []), ...(workflow ? [workflow] : [])]),
              ]}
            />
          </div>
          <Switch
            label="When times passed while the service was down, run once afterwards"
            checked={missed === "once"}
            onChange={(e) => setMissed(e.currentTarget.checked ? "once" : "skip")}
          />
          <FormError error={save.error} known={["description", "cron", "timezone", "workflow"]} />
          <Button type="submit" loading={save.isPending}>
            {schedule ? "Save" : "Make the schedule"}
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}

function Entry(props: { schedule: Schedule; onEdit: () => void; onRemove: () => void }) {
  const { schedule } = props;
  const project = useProject();
  const go = useGo();
  const client = useQueryClient();
  const may = can(project, "pipeline:write") && !project.archived;
  const key = queries.schedules(project.id).queryKey;
  const toggle = useOptimistic<Page<Schedule>, boolean>({
    key,
    failed: "The schedule was not changed",
    run: (active) =>
      patch(
        "/schedules/{schedule}",
        { active },
        { path: { schedule: schedule.id }, version: schedule.version },
      ),
    apply: (old, active) => ({
      ...old,
      items: old.items.map((s) => (s.id === schedule.id ? { ...s, active } : s)),
    }),
  });
  const play = useMutation({
    mutationFn: () => post("/schedules/{schedule}/play", undefined, { path: { schedule: schedule.id } }),
    onError: (error) => toastError("Nothing was started", error),
    onSuccess: (made) => {
      const [run] = made.items;
      if (run) go(paths.run(project.path, run.number));
      else toast("ok", "There was nothing to start");
    },
    onSettled: () => client.invalidateQueries({ queryKey: key }),
  });
  const name = schedule.description || schedule.workflow || schedule.cron;
  return (
    <li className="dm-wrap-phone">
      {schedule.source === "file" ? (
        <IconFileCode size={20} className="dm-dim" aria-label="From a workflow file" />
      ) : (
        <IconCalendarClock size={20} className="dm-dim" aria-label="Made by a person" />
      )}
      <div className="dm-grow">
        <strong>{name}</strong>
        <div className="dm-meta">
          <code>{schedule.cron}</code>
          <span>{schedule.timezone}</span>
          <span>{refName(schedule.ref)}</span>
          {schedule.source === "file" && schedule.workflow ? (
            <Link
              href={paths.blob(project.path, project.default_branch, schedule.workflow)}
              className="dm-mono"
            >
              {schedule.workflow}
            </Link>
          ) : null}
          {schedule.owner ? <span>as {schedule.owner.name}</span> : null}
          {schedule.active && schedule.next_at ? (
            <span>
              next <TimeAgo at={schedule.next_at} />
            </span>
          ) : null}
          {schedule.last_at ? (
            <span>
              last{" "}
              {schedule.last_run ? (
                <Link href={paths.run(project.path, schedule.last_run)}>
                  <TimeAgo at={schedule.last_at} />
                </Link>
              ) : (
                <TimeAgo at={schedule.last_at} />
              )}
            </span>
          ) : null}
        </div>
        {schedule.reason ? <div className="dm-meta dm-text-bad">{schedule.reason}</div> : null}
      </div>
      <StateBadge state={schedule.active ? "active" : "stopped"} label={schedule.active ? "On" : "Paused"} />
      {may ? (
        <>
          <Tooltip label="Run now">
            <ActionIcon aria-label={`Run ${name} now`} loading={play.isPending} onClick={() => play.mutate()}>
              <IconPlayerPlayFilled size={15} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label={schedule.active ? "Pause" : "Go on"}>
            <ActionIcon
              aria-label={`${schedule.active ? "Pause" : "Go on with"} ${name}`}
              onClick={() => toggle.mutate(!schedule.active)}
            >
              {schedule.active ? <IconPlayerPause size={16} /> : <IconPlayerPlay size={16} />}
            </ActionIcon>
          </Tooltip>
          {schedule.source === "user" ? (
            <>
              <Tooltip label="Edit">
                <ActionIcon aria-label={`Edit ${name}`} onClick={props.onEdit}>
                  <IconPencil size={16} />
                </ActionIcon>
              </Tooltip>
              <Tooltip label="Remove">
                <ActionIcon aria-label={`Remove ${name}`} onClick={props.onRemove}>
                  <IconTrash size={16} />
                </ActionIcon>
              </Tooltip>
            </>
          ) : null}
        </>
      ) : null}
    </li>
  );
}

export default function Schedules() {
  const project = useProject();
  useTitle("Schedules", project.path);
  const query = useQuery({ ...queries.schedules(project.id), refetchInterval: 30_000 });
  const [edited, setEdited] = useState<Schedule | "new" | null>(null);
  const [gone, setGone] = useState<Schedule | null>(null);
  const may = can(project, "pipeline:write") && !project.archived;
  const remove = useOptimistic<Page<Schedule>, Schedule>({
    key: queries.schedules(project.id).queryKey,
    failed: "The schedule was not removed",
    run: (which) => del("/schedules/{schedule}", { path: { schedule: which.id } }),
    apply: (old, which) => ({ ...old, items: old.items.filter((s) => s.id !== which.id) }),
  });
  useActions([
    {
      id: "schedule-new",
      name: "New schedule",
      group: "This page",
      icon: IconPlus,
      shortcut: "n",
      visible: () => may,
      perform: () => setEdited("new"),
    },
  ]);
  return (
    <>
      <PageHead title="Schedules" about="Runs that the clock starts, in the time zone you choose.">
        {may ? (
          <Button leftSection={<IconPlus size={15} />} onClick={() => setEdited("new")}>
            New schedule
          </Button>
        ) : null}
      </PageHead>
      <PipelineNav />
      <Panel label="Schedules" flush>
        <Loaded query={query} rows={3}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty icon={IconCalendarClock} title="No schedules">
                Make one, or write <code>on: schedule</code> into a workflow file of the default branch.
              </Empty>
            ) : (
              <ul className="dm-list">
                {data.items.map((s) => (
                  <Entry key={s.id} schedule={s} onEdit={() => setEdited(s)} onRemove={() => setGone(s)} />
                ))}
              </ul>
            )
          }
        </Loaded>
      </Panel>
      {edited ? <Editor schedule={edited === "new" ? null : edited} onClose={() => setEdited(null)} /> : null}
      <Confirm
        opened={gone !== null}
        onClose={() => setGone(null)}
        title="Remove this schedule?"
        verb="Remove"
        danger
        onConfirm={() => {
          if (gone) remove.mutate(gone);
          setGone(null);
        }}
      >
        It starts no more runs. The runs it has started stay.
      </Confirm>
    </>
  );
}
