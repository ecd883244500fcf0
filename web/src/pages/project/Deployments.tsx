/** Where the project runs: environments, their health, deploying and going back. */
import { Button, Modal, NumberInput, SegmentedControl, Select, Stack, Tabs, TextInput } from "@mantine/core";
import { IconArrowBackUp, IconExternalLink, IconPlus, IconRocket } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { fieldErrors, post } from "@/api/client";
import { flat, queries } from "@/api/queries";
import type { Deployment, Environment, Release } from "@/api/types";
import { useActions } from "@/app/actions";
import { useParam } from "@/app/location";
import { can, useProject } from "@/app/project";
import { Empty, FormError, Loaded, PageHead, Panel, useTitle } from "@/ui/bits";
import { Confirm } from "@/ui/Confirm";
import { short } from "@/ui/format";
import { StateBadge, StateIcon } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";
import { Secrets, Variables } from "./Config";
import { DeployDialog } from "./DeployDialog";
import { AppLog, EnvConfig, History, LiveDeployment, Releases, WatchPanel } from "./DeployParts";
import { JobEnvironments } from "./JobEnvironments";
import "./deploy.css";
import { TabStrip } from "@/ui/TabStrip";

function NewEnvironment({ onClose, onMade }: { onClose: () => void; onMade: (env: Environment) => void }) {
  const project = useProject();
  const client = useQueryClient();
  const instance = useQuery(queries.instance()).data;
  const [name, setName] = useState("production");
  const [target, setTarget] = useState<Environment["target"] | null>(null);
  const [path, setPath] = useState("/");
  const [port, setPort] = useState<number | string>("");
  const chosen = target ?? (instance?.docker ? "docker" : "process");
  const create = useMutation({
    mutationFn: () =>
      post(
        "/projects/{id}/environments",
        {
          name,
          target: chosen,
          health: { path },
          container_port: port === "" ? undefined : Number(port),
        },
        { path: { id: project.id } },
      ),
    onSuccess: (env) => {
      void client.invalidateQueries({ queryKey: ["project", project.id, "environments"] });
      onMade(env);
    },
  });
  const fields = fieldErrors(create.error);
  return (
    <Modal opened onClose={onClose} title="New environment">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput
            data-autofocus
            label="Name"
            required
            value={name}
            error={fields.name}
            onChange={(e) => setName(e.currentTarget.value.toLowerCase().replace(/[^a-z0-9-]/g, "-"))}
          />
          <Select
            label="Runs as"
            allowDeselect={false}
            value={chosen}
            error={fields.target}
            onChange={setTarget}
            data={[
              {
                value: "docker",
                label:
                  instance?.docker === false ? "Container (no Docker engine here)" : "Container on Docker",
                disabled: instance?.docker === false,
              },
              { value: "process", label: "Process on this machine" },
            ]}
          />
          <TextInput
            label="Health check"
            description="A path that answers 2xx or 3xx when the application is ready"
            value={path}
            error={fields["health.path"] ?? fields.health}
            onChange={(e) => setPath(e.currentTarget.value)}
          />
          <NumberInput
            label="Port of the application"
            description="Empty: what the image exposes, else 8080"
            min={1}
            max={65535}
            allowDecimal={false}
            value={port}
            error={fields.container_port}
            onChange={setPort}
          />
          <FormError
            error={create.error}
            known={["name", "target", "health.path", "health", "container_port"]}
          />
          <Button type="submit" loading={create.isPending}>
            Create environment
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}

function useRollback(env: Environment, onStarted: (deployment: Deployment) => void) {
  const project = useProject();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (release?: Release) =>
      post("/environments/{env}/rollback", { release: release?.id }, { path: { env: env.id } }),
    onSuccess: (deployment) => {
      void client.invalidateQueries({ queryKey: ["project", project.id] });
      onStarted(deployment);
    },
  });
}

function EnvironmentView({ env }: { env: Environment }) {
  const project = useProject();
  const client = useQueryClient();
  const [deploying, setDeploying] = useState(false);
  const [back, setBack] = useState<Release | "previous" | null>(null);
  const [tab, setTab] = useParam("tab", "watch");
  const latest = useInfiniteQuery({ ...queries.deployments(project.id, env.name), refetchInterval: 8_000 });
  const releases = flat(useInfiniteQuery(queries.releases(project.id, env.name)).data);
  const newest = flat(latest.data)[0];
  const [started, setStarted] = useState<string | null>(null);
  const shown = started ?? (newest && newest.state !== "completed" ? newest.id : null);
  const may = !project.archived && can(project, "deployment:write");
  const secrets = can(project, "secret:read");
  const rollback = useRollback(env, (d) => {
    setBack(null);
    setStarted(d.id);
  });
  const previous = releases.find((r) => env.current && r.number < env.current.number);
  useActions([
    {
      id: "deploy",
      name: `Deploy to ${env.name}`,
      group: "This environment",
      icon: IconRocket,
      shortcut: "d",
      visible: () => may,
      perform: () => setDeploying(true),
    },
    {
      id: "rollback",
      name: `Roll back ${env.name}`,
      group: "This environment",
      icon: IconArrowBackUp,
      visible: () => may && !!previous,
      perform: () => setBack("previous"),
    },
  ]);
  const target = back === "previous" ? previous : (back ?? undefined);
  return (
    <div className="dm-gap">
      <section className="dm-panel dm-env" aria-label={`Environment ${env.name}`}>
        <div className="dm-env-main">
          <h2 className="dm-env-name">{env.name}</h2>
          <StateBadge state={env.state} />
          {env.url && env.state !== "empty" ? (
            <a href={env.url} target="_blank" rel="noreferrer" className="dm-env-url">
              {env.url.replace(/^https?:\/\//, "")} <IconExternalLink size={15} aria-hidden />
            </a>
          ) : (
            <span className="dm-dim">not reachable yet</span>
          )}
          <div className="dm-grow" />
          {may && previous ? (
            <Button
              variant="default"
              leftSection={<IconArrowBackUp size={16} />}
              onClick={() => setBack("previous")}
            >
              Roll back
            </Button>
          ) : null}
          {may ? (
            <Button leftSection={<IconRocket size={16} />} onClick={() => setDeploying(true)}>
              Deploy
            </Button>
          ) : null}
        </div>
        <dl className="dm-facts">
          <div>
            <dt>Release</dt>
            <dd>{env.current ? `#${env.current.number}` : "none"}</dd>
          </div>
          <div>
            <dt>Image</dt>
            <dd className="dm-mono dm-ellipsis" title={env.current?.digest ?? undefined}>
              {env.current ? env.current.image.split("/").pop() : "–"}
            </dd>
          </div>
          <div>
            <dt>Commit</dt>
            <dd className="dm-mono">{short(env.current?.commit) || "–"}</dd>
          </div>
          <div>
            <dt>Since</dt>
            <dd>
              <TimeAgo at={env.current?.created_at} />
            </dd>
          </div>
          <div>
            <dt>Runs as</dt>
            <dd>{env.target === "docker" ? "container" : "process"}</dd>
          </div>
        </dl>
      </section>
      {shown ? (
        <LiveDeployment
          key={shown}
          id={shown}
          onClose={() => {
            setStarted(null);
            void client.invalidateQueries({ queryKey: ["project", project.id] });
          }}
        />
      ) : null}
      <Tabs value={tab} onChange={(v) => setTab(v ?? "watch")}>
        <TabStrip value={tab}>
          <Tabs.Tab value="watch">Watch</Tabs.Tab>
          <Tabs.Tab value="log">Log</Tabs.Tab>
          <Tabs.Tab value="history">History</Tabs.Tab>
          <Tabs.Tab value="releases">Releases</Tabs.Tab>
          <Tabs.Tab value="config">Configuration</Tabs.Tab>
          {secrets ? <Tabs.Tab value="secrets">Secrets</Tabs.Tab> : null}
          {secrets ? <Tabs.Tab value="variables">Variables</Tabs.Tab> : null}
        </TabStrip>
        <Tabs.Panel value="watch">
          <WatchPanel env={env} />
        </Tabs.Panel>
        <Tabs.Panel value="log">
          <AppLog env={env} />
        </Tabs.Panel>
        <Tabs.Panel value="history">
          <History query={latest} />
        </Tabs.Panel>
        <Tabs.Panel value="releases">
          <Releases env={env} releases={releases} onBack={may ? setBack : undefined} />
        </Tabs.Panel>
        <Tabs.Panel value="config">
          <EnvConfig env={env} mayEdit={!project.archived && can(project, "environment:write")} />
        </Tabs.Panel>
        {secrets ? (
          <>
            <Tabs.Panel value="secrets">
              {tab === "secrets" ? <Secrets of={{ kind: "environment", id: env.id }} /> : null}
            </Tabs.Panel>
            <Tabs.Panel value="variables">
              {tab === "variables" ? <Variables of={{ kind: "environment", id: env.id }} /> : null}
            </Tabs.Panel>
          </>
        ) : null}
      </Tabs>
      {deploying ? (
        <DeployDialog
          env={env}
          releases={releases}
          onClose={() => setDeploying(false)}
          onStarted={(d) => {
            setDeploying(false);
            setStarted(d.id);
          }}
        />
      ) : null}
      <Confirm
        opened={back !== null}
        onClose={() => setBack(null)}
        title={target ? `Roll ${env.name} back to release #${target.number}?` : "Roll back?"}
        verb="Roll back"
        busy={rollback.isPending}
        error={rollback.error}
        onConfirm={() => rollback.mutate(target)}
      >
        {target ? (
          <>
            <span className="dm-mono">{target.image}</span> starts beside the present release and takes over
            once it is healthy. Requests are served all the time.
          </>
        ) : null}
      </Confirm>
    </div>
  );
}

export default function Deployments() {
  const project = useProject();
  useTitle("Deployments", project.path);
  const query = useQuery({ ...queries.environments(project.id), refetchInterval: 5_000 });
  const [name, setName] = useParam("environment");
  const [creating, setCreating] = useState(false);
  const may = !project.archived && can(project, "environment:write");
  return (
    <>
      <PageHead title="Deployments" about="What runs where, and the way back.">
        {may ? (
          <Button variant="default" leftSection={<IconPlus size={16} />} onClick={() => setCreating(true)}>
            New environment
          </Button>
        ) : null}
      </PageHead>
      <Loaded query={query}>
        {(data) => {
          const env = data.items.find((e) => e.name === name) ?? data.items[0];
          if (!env) {
            return (
              <div className="dm-gap">
                <JobEnvironments />
                <Panel>
                  <Empty
                    icon={IconRocket}
                    title="No releases here"
                    action={
                      may ? <Button onClick={() => setCreating(true)}>Create an environment</Button> : null
                    }
                  >
                    An environment is a place where releases run, with a health check, a history, and a way
                    back. A workflow can also create it when it deploys.
                  </Empty>
                </Panel>
              </div>
            );
          }
          return (
            <>
              {data.items.length > 1 ? (
                <div className="dm-env-tabs">
                  {data.items.length <= 5 ? (
                    <SegmentedControl
                      aria-label="Environment"
                      value={env.name}
                      onChange={setName}
                      data={data.items.map((e) => ({
                        value: e.name,
                        label: (
                          <span className="dm-env-tab">
                            <StateIcon state={e.state} size={15} /> {e.name}
                          </span>
                        ),
                      }))}
                    />
                  ) : (
                    <Select
                      aria-label="Environment"
                      value={env.name}
                      allowDeselect={false}
                      searchable
                      onChange={(v) => v && setName(v)}
                      data={data.items.map((e) => e.name)}
                    />
                  )}
                </div>
              ) : null}
              <EnvironmentView key={env.id} env={env} />
              <div className="dm-gap" style={{ marginTop: 16 }}>
                <JobEnvironments />
              </div>
            </>
          );
        }}
      </Loaded>
      {creating ? (
        <NewEnvironment
          onClose={() => setCreating(false)}
          onMade={(env) => {
            setCreating(false);
            setName(env.name);
          }}
        />
      ) : null}
    </>
  );
}
