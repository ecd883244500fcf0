/** Pipeline runs of a project, and the way to start one. */
import { Button, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { IconPlayerPlay, IconPlayerPlayFilled } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { fieldErrors, post } from "@/api/client";
import { flat, queries } from "@/api/queries";
import type { Workflow } from "@/api/types";
import { useActions } from "@/app/actions";
import { useGo, useParam } from "@/app/location";
import { paths } from "@/app/paths";
import { can, useHasCommits, useProject } from "@/app/project";
import { Empty, FormError, Loaded, More, PageHead, useTitle } from "@/ui/bits";
import { Diagnostics } from "@/ui/Diagnostics";
import { RefSelect } from "@/ui/RefSelect";
import { RunRow } from "@/ui/RunRow";

const inputsOf = (workflow: Workflow | undefined) =>
  Object.entries(workflow?.inputs ?? {}).map(([name, input]) => ({ name, ...input }));

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
            onChange={setPath}
            error={fields.workflow}
            data={(workflows.data?.items ?? []).map((w) => ({
              value: w.path,
              label: w.detected ? `${w.name} (detected)` : `${w.name} — ${w.path}`,
            }))}
          />
          {inputsOf(workflow).map((input) => (
            <TextInput
              key={input.name}
              label={input.name}
              description={input.description ?? undefined}
              required={input.required}
              error={input.name ? fields[`inputs.${input.name}`] : undefined}
              value={inputs[input.name ?? ""] ?? String(input.default ?? "")}
              onChange={(e) => setInputs({ ...inputs, [input.name ?? ""]: e.currentTarget.value })}
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

export default function Runs() {
  const project = useProject();
  useTitle("Runs", project.path);
  const [state, setState] = useParam("state");
  const [workflow, setWorkflow] = useParam("workflow");
  const [ref, setRef] = useParam("ref");
  const [starting, setStarting] = useState(false);
  const hasCommits = useHasCommits();
  const workflows = useQuery({ ...queries.workflows(project.id), enabled: hasCommits === true }).data;
  const options = queries.runs(project.id, { state, workflow, ref });
  const query = useInfiniteQuery({ ...options, refetchInterval: 5_000 });
  const client = useQueryClient();
  // Give every page its own entry at once, so that opening a run shows it without waiting.
  useEffect(() => {
    for (const run of flat(query.data))
      client.setQueryData(["run-number", project.id, String(run.number)], run.id);
  }, [query.data, client, project.id]);
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
      <div className="dm-filters">
        <Select
          w={170}
          aria-label="State"
          placeholder="Any state"
          clearable
          value={state || null}
          onChange={(v) => setState(v ?? "")}
          data={[
            { value: "queued", label: "Queued" },
            { value: "running", label: "Running" },
            { value: "completed", label: "Completed" },
          ]}
        />
        <Select
          w={220}
          aria-label="Workflow"
          placeholder="Any workflow"
          clearable
          value={workflow || null}
          onChange={(v) => setWorkflow(v ?? "")}
          data={(workflows?.items ?? []).map((w) => ({ value: w.path, label: w.name }))}
        />
        {ref ? (
          <Button variant="light" onClick={() => setRef("")}>
            Branch: {ref} ×
          </Button>
        ) : null}
      </div>
      <div className="dm-panel">
        <Loaded query={query}>
          {(data) => {
            const runs = flat(data);
            return runs.length === 0 ? (
              <Empty
                icon={IconPlayerPlay}
                title={state || workflow || ref ? "No run matches" : "No runs yet"}
              >
                {hasCommits === false
                  ? "The repository is empty. The first push starts the first run."
                  : workflows?.items.some((w) => w.detected)
                    ? "There is no workflow file; the build is detected from the project's files. Push a commit, or run it now."
                    : "Push a commit, or run a pipeline now."}
              </Empty>
            ) : (
              <ul className="dm-list">
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
