/** Pipeline runs of a project, and the way to start one. */
import { Button, Checkbox, Modal, NativeSelect, Select, Stack, Text, TextInput } from "@mantine/core";
import { IconFilter, IconFilterOff, IconPlayerPlay, IconPlayerPlayFilled } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { fieldErrors, post } from "@/api/client";
import { flat, queries } from "@/api/queries";
import type { Workflow } from "@/api/types";
import { useActions } from "@/app/actions";
import { useListKeys } from "@/app/listKeys";
import { useGo, useParam, usePlace } from "@/app/location";
import { paths } from "@/app/paths";
import { can, useHasCommits, useProject } from "@/app/project";
import { useUser } from "@/app/session";
import { Empty, FormError, Loaded, More, PageHead, useTitle } from "@/ui/bits";
import { Diagnostics } from "@/ui/Diagnostics";
import { words } from "@/ui/format";
import { RefSelect } from "@/ui/RefSelect";
import { RunRow } from "@/ui/RunRow";
import { PipelineNav } from "./PipelineNav";

const inputsOf = (workflow: Workflow | undefined) =>
  Object.entries(workflow?.inputs ?? {}).map(([name, input]) => ({ name, ...input }));

type Input = ReturnType<typeof inputsOf>[number];

/** The field that fits an input's type. Values go as text, which the server reads as their type. */
function InputField(props: {
  input: Input;
  value: string;
  error: string | undefined;
  set: (value: string) => void;
}) {
  const { input, value, set } = props;
  const shared = {
    label: input.name,
    description: input.description || undefined,
    error: props.error,
  };
  if (input.type === "boolean") {
    return (
      <Checkbox
        {...shared}
        checked={value === "true"}
        onChange={(event) => set(String(event.currentTarget.checked))}
      />
    );
  }
  if (input.type === "choice") {
    return (
      <NativeSelect
        {...shared}
        required={input.required}
        data={value === "" ? ["", ...(input.options ?? [])] : (input.options ?? [])}
        value={value}
        onChange={(event) => set(event.currentTarget.value)}
      />
    );
  }
  return (
    <TextInput
      {...shared}
      required={input.required}
      type={input.type === "number" ? "number" : "text"}
      step={input.type === "number" ? "any" : undefined}
      autoComplete="off"
      value={value}
      onChange={(event) => set(event.currentTarget.value)}
    />
  );
}

function StartRun({ onClose }: { onClose: () => void }) {
  const project = useProject();
  const go = useGo();
  const client = useQueryClient();
  const [ref, setRef] = useState(project.default_branch);
  const [path, setPath] = useState<string | null>(null);
  const [inputs, setInputs] = useState<Record<string, string>>({});
  const workflows = useQuery(queries.workflows(project.id, ref));
  const workflow = workflows.data?.items.find((w) => w.path === path);
  const start = useMutation({
    mutationFn: () =>
      post(
        "/projects/{id}/build",
        {
          ref,
          workflow: path ?? undefined,
          inputs: Object.keys(inputs).length > 0 ? inputs : undefined,
        },
        { path: { id: project.id } },
      ),
    onSuccess: (result) => {
      void client.invalidateQueries({ queryKey: ["project", project.id, "runs"] });
      const [run] = result.runs;
      if (run && result.runs.length === 1) go(paths.run(project.path, run.number));
      else if (result.runs.length > 1) onClose();
    },
  });
  const fields = fieldErrors(start.error);
  return (
    <Modal opened onClose={onClose} title="Run a pipeline">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          start.mutate();
        }}
      >
        <Stack gap="sm">
          <div>
            <Text size="sm" fw={500} mb={4}>
              Branch or tag
            </Text>
            <RefSelect value={ref} onChange={setRef} />
            {fields.ref ? (
              <Text size="xs" c="var(--dm-bad)">
                {fields.ref}
              </Text>
            ) : null}
          </div>
          <Select
            label="Workflow"
            placeholder="All workflows"
            clearable
            value={path}
            onChange={(next) => {
              setPath(next);
              setInputs({});
            }}
            error={fields.workflow}
            data={(workflows.data?.items ?? []).map((w) => ({
              value: w.path,
              label: w.detected ? `${w.name} (detected)` : `${w.name} — ${w.path}`,
            }))}
          />
          {inputsOf(workflow).map((input) => (
            <InputField
              key={`${path} ${input.name}`}
              input={input}
              error={fields[`inputs.${input.name}`]}
              value={inputs[input.name] ?? String(input.default ?? "")}
              set={(value) => setInputs({ ...inputs, [input.name]: value })}
            />
          ))}
          <Diagnostics items={workflows.data?.items.flatMap((w) => w.diagnostics) ?? []} gitRef={ref} />
          {start.data && start.data.runs.length === 0 ? (
            <>
              <div className="dm-form-error" role="alert">
                Nothing was started.
              </div>
              <Diagnostics items={start.data.diagnostics} gitRef={ref} />
            </>
          ) : null}
          <FormError error={start.error} known={["ref", "workflow"]} />
          <Button type="submit" loading={start.isPending} leftSection={<IconPlayerPlayFilled size={14} />}>
            Run
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}

/** One choice for what the API keeps apart: where a run is, and how it ended. */
const STATES = [
  { value: "queued", label: "Queued" },
  { value: "running", label: "Running" },
  { value: "success", label: "Passed" },
  { value: "failure", label: "Failed" },
  { value: "cancelled", label: "Cancelled" },
  { value: "skipped", label: "Skipped" },
];
const OPEN = ["queued", "running", "completed"];

const EVENTS = [
  "push",
  "pull_request",
  "merge_request_event",
  "workflow_dispatch",
  "schedule",
  "workflow_run",
  "repository_dispatch",
  "web",
  "api",
  "trigger",
];

/** The words of a list, with the chosen one among them however it came to be. */
const choices = (known: Iterable<string>, chosen: string): string[] => [
  ...new Set([...known, ...(chosen ? [chosen] : [])]),
];

export default function Runs() {
  const project = useProject();
  const me = useUser();
  useTitle("Runs", project.path);
  const [state, setState] = useParam("state");
  const [workflow, setWorkflow] = useParam("workflow");
  const [ref, setRef] = useParam("ref");
  const [event, setEvent] = useParam("event");
  const [actor, setActor] = useParam("actor");
  const [starting, setStarting] = useState(false);
  const place = usePlace();
  const go = useGo();
  const hasCommits = useHasCommits();
  const workflows = useQuery({ ...queries.workflows(project.id), enabled: hasCommits === true }).data;
  const options = queries.runs(project.id, {
    ...(OPEN.includes(state) ? { state } : { conclusion: state }),
    workflow,
    ref,
    event,
    actor,
  });
  const query = useInfiniteQuery({ ...options, refetchInterval: 5_000 });
  const client = useQueryClient();
  // Who and what has started runs, as far as they were seen: choices do not go away when one is made.
  const seen = useRef({ actors: new Set<string>(), events: new Set<string>() });
  for (const run of flat(query.data)) {
    if (run.actor) seen.current.actors.add(run.actor.name);
    seen.current.events.add(run.event);
  }
  // Give every page its own entry at once, so that opening a run shows it without waiting.
  useEffect(() => {
    for (const run of flat(query.data))
      client.setQueryData(["run-number", project.id, String(run.number)], run.id);
  }, [query.data, client, project.id]);
  const list = useListKeys();
  const filters = useRef<HTMLElement>(null);
  const narrowed = [state, workflow, ref, event, actor].some((text) => text !== "");
  const mayStart = can(project, "pipeline:write") && !project.archived && hasCommits !== false;
  useActions([
    {
      id: "start-run",
      name: "Run a pipeline",
      group: "This project",
      icon: IconPlayerPlay,
      shortcut: "b",
      visible: () => mayStart,
      perform: () => setStarting(true),
    },
    {
      id: "filter-runs",
      name: "Filter runs",
      group: "This page",
      icon: IconFilter,
      shortcut: "f",
      perform: () => filters.current?.querySelector("input")?.focus(),
    },
    {
      id: "filter-runs-none",
      name: "Show all runs",
      group: "This page",
      icon: IconFilterOff,
      visible: () => narrowed,
      perform: () => go(place.path, { replace: true, keepScroll: true }),
    },
    ...list.actions,
  ]);
  return (
    <>
      <PageHead title="Runs" about="Every push builds, tests and delivers what changed.">
        {mayStart ? (
          <Button leftSection={<IconPlayerPlayFilled size={14} />} onClick={() => setStarting(true)}>
            Run a pipeline
          </Button>
        ) : null}
      </PageHead>
      <PipelineNav />
      <search className="dm-filters" ref={filters} aria-label="Filter runs">
        <Select
          w={140}
          aria-label="State"
          placeholder="Any state"
          clearable
          value={state || null}
          onChange={(v) => setState(v ?? "")}
          data={STATES}
        />
        <Select
          w={190}
          aria-label="Workflow"
          placeholder="Any workflow"
          clearable
          value={workflow || null}
          onChange={(v) => setWorkflow(v ?? "")}
          data={(workflows?.items ?? []).map((w) => ({ value: w.path, label: w.name }))}
        />
        <Select
          w={160}
          aria-label="Event"
          placeholder="Any event"
          clearable
          searchable
          value={event || null}
          onChange={(v) => setEvent(v ?? "")}
          data={choices([...seen.current.events, ...EVENTS], event).map((e) => ({
            value: e,
            label: words(e),
          }))}
        />
        <RefSelect
          value={ref.replace(/^refs\/heads\//, "")}
          onChange={setRef}
          full
          width={180}
          placeholder="Any branch or tag"
        />
        <Select
          w={150}
          aria-label="Who"
          placeholder="Anybody"
          clearable
          searchable
          value={actor || null}
          onChange={(v) => setActor(v ?? "")}
          data={choices([...(me ? [me.name] : []), ...seen.current.actors], actor)}
        />
        {narrowed ? (
          <Button
            variant="subtle"
            color="gray"
            leftSection={<IconFilterOff size={14} aria-hidden />}
            onClick={() => go(place.path, { replace: true, keepScroll: true })}
          >
            Show all
          </Button>
        ) : null}
      </search>
      <div className="dm-panel">
        <Loaded query={query}>
          {(data) => {
            const runs = flat(data);
            return runs.length === 0 ? (
              <Empty icon={IconPlayerPlay} title={narrowed ? "No run matches" : "No runs yet"}>
                {narrowed
                  ? "No run of this project fits all of the choices above."
                  : hasCommits === false
                    ? "The repository is empty. The first push starts the first run."
                    : workflows?.items.some((w) => w.detected)
                      ? "There is no workflow file; the build is detected from the project's files. Push a commit, or run it now."
                      : "Push a commit, or run a pipeline now."}
              </Empty>
            ) : (
              <ul className="dm-list" ref={list.ref}>
                {runs.map((run) => (
                  <RunRow key={run.id} run={run} />
                ))}
              </ul>
            );
          }}
        </Loaded>
        <More query={query} />
      </div>
      {starting ? <StartRun onClose={() => setStarting(false)} /> : null}
    </>
  );
}
