/** The parts of an environment: live deployment, watch, log, history, releases, configuration. */
import { ActionIcon, Button, NumberInput, Select, Stack, Textarea, TextInput } from "@mantine/core";
import { IconArrowBackUp, IconFileText, IconHeartbeat, IconHistory, IconX } from "@tabler/icons-react";
import { type UseInfiniteQueryResult, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { address, fetchRaw, fieldErrors, Problem, patch } from "@/api/client";
import { useStream } from "@/api/events";
import { flat, queries } from "@/api/queries";
import type { Deployment, Environment, Page, Release } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { toast } from "@/app/toast";
import { parseAnsi } from "@/log/ansi";
import { Empty, Figure, FormError, Loaded, More, Panel } from "@/ui/bits";
import { Copy } from "@/ui/Copy";
import { bytes, duration, exact, number, short } from "@/ui/format";
import { Bars } from "@/ui/Spark";
import { StateBadge, StateIcon, stateOf } from "@/ui/State";
import { Steps } from "@/ui/Steps";
import { Elapsed, TimeAgo } from "@/ui/TimeAgo";
import { formatConfig, parseConfig } from "./DeployDialog";
import "@/log/log.css";

const KIND: Record<Deployment["kind"], string> = {
  deploy: "Deployment",
  rollback: "Rollback",
  automatic_rollback: "Automatic rollback",
};

/** A deployment that is under way, or has just ended. */
export function LiveDeployment({ id, onClose }: { id: string; onClose: () => void }) {
  const project = useProject();
  const client = useQueryClient();
  const options = queries.deployment(id);
  const query = useQuery({
    ...options,
    refetchInterval: (q) => (q.state.data?.state === "completed" ? false : 3_000),
  });
  const deployment = query.data;
  const over = deployment?.state === "completed";
  useStream(over ? null : address("/deployments/{dpl}/events", { dpl: id }), {
    deployment: (data) => client.setQueryData(options.queryKey, data as Deployment),
    end: () => void client.invalidateQueries({ queryKey: options.queryKey }),
  });
  useEffect(() => {
    if (over) void client.invalidateQueries({ queryKey: ["project", project.id] });
  }, [over, client, project.id]);
  return (
    <Panel
      title={
        deployment
          ? `${KIND[deployment.kind]}${deployment.release ? ` of release #${deployment.release.number}` : ""}`
          : "Deployment"
      }
      actions={
        <>
          {deployment ? (
            <StateBadge state={deployment.conclusion === "success" ? "succeeded" : stateOf(deployment)} />
          ) : null}
          {over ? (
            <ActionIcon aria-label="Close" onClick={onClose}>
              <IconX size={16} />
            </ActionIcon>
          ) : null}
        </>
      }
    >
      <Loaded query={query} rows={4}>
        {(data) => (
          <>
            <Steps steps={data.steps} label="Deployment" />
            {data.reason ? (
              <div
                className={data.conclusion === "success" ? "dm-dim" : "dm-form-error"}
                role={data.conclusion === "success" ? undefined : "alert"}
                style={{ marginTop: 10 }}
              >
                {data.reason}
              </div>
            ) : null}
          </>
        )}
      </Loaded>
    </Panel>
  );
}

export function WatchPanel({ env }: { env: Environment }) {
  const query = useQuery({ ...queries.watch(env.id), enabled: env.state !== "empty", retry: false });
  if (env.state === "empty") {
    return (
      <Panel>
        <Empty small icon={IconHeartbeat} title="Nothing to watch yet" />
      </Panel>
    );
  }
  return (
    <Loaded query={query} rows={3}>
      {(w) => {
        const ok = w.probes.filter((p) => p.ok).length;
        return (
          <div className="dm-watch">
            <Panel title="Health checks">
              {w.probes.length === 0 ? (
                <div className="dm-dim">The first check is to come.</div>
              ) : (
                <>
                  <Bars
                    label={`${ok} of the last ${w.probes.length} checks passed`}
                    bars={w.probes.slice(-60).map((p) => ({
                      value: p.latency_ms,
                      bad: !p.ok,
                      label: `${exact(p.at)}: ${p.ok ? `${p.latency_ms ?? "?"} ms` : `failed${p.status ? ` with ${p.status}` : ""}`}`,
                    }))}
                  />
                  <div className="dm-meta" style={{ marginTop: 6 }}>
                    <span>
                      {ok} of {w.probes.length} passed
                    </span>
                    <span>
                      last <TimeAgo at={w.probes.at(-1)?.at} />
                    </span>
                    <span>took {duration(w.probes.at(-1)?.latency_ms)}</span>
                  </div>
                </>
              )}
            </Panel>
            <Panel title="Now">
              <div className="dm-figures">
                <Figure
                  value={w.uptime_seconds === null ? "–" : duration(w.uptime_seconds * 1000)}
                  label="up"
                />
                <Figure
                  value={number(w.restarts)}
                  label="restarts"
                  tone={w.restarts > 0 ? "wait" : undefined}
                />
                <Figure value={w.cpu_percent === null ? "–" : `${w.cpu_percent.toFixed(1)} %`} label="CPU" />
                <Figure value={bytes(w.memory_bytes)} label="memory" />
                {w.requests ? (
                  <>
                    <Figure value={number(w.requests.total)} label="requests" />
                    <Figure
                      value={number(w.requests.errors)}
                      label="errors"
                      tone={w.requests.errors > 0 ? "bad" : undefined}
                    />
                    <Figure value={w.requests.total ? duration(w.requests.p50_ms) : "–"} label="median" />
                    <Figure
                      value={w.requests.total ? duration(w.requests.p95_ms) : "–"}
                      label="95th percentile"
                    />
                  </>
                ) : null}
              </div>
            </Panel>
          </div>
        );
      }}
    </Loaded>
  );
}

export function AppLog({ env }: { env: Environment }) {
  const [tail, setTail] = useState("500");
  const box = useRef<HTMLPreElement>(null);
  const query = useQuery({
    queryKey: ["environment", env.id, "log", tail],
    queryFn: async ({ signal }) => {
      try {
        return await (
          await fetchRaw("/environments/{env}/log", {
            path: { env: env.id },
            query: { tail: Number(tail) },
            signal,
          })
        ).text();
      } catch (error) {
        if (error instanceof Problem && error.status === 404) return "";
        throw error;
      }
    },
    refetchInterval: 3_000,
  });
  const text = query.data;
  // biome-ignore lint/correctness/useExhaustiveDependencies: new text moves the view to its end
  useEffect(() => {
    const node = box.current;
    if (node && node.scrollHeight - node.scrollTop - node.clientHeight < 200)
      node.scrollTop = node.scrollHeight;
  }, [text]);
  return (
    <Panel
      title="Output of the application"
      flush
      actions={
        <>
          <Select
            size="xs"
            w={120}
            aria-label="Lines"
            allowDeselect={false}
            value={tail}
            onChange={(v) => setTail(v ?? "500")}
            data={["100", "500", "2000"].map((v) => ({ value: v, label: `${v} lines` }))}
          />
          <Copy text={text ?? ""} label="Copy" />
        </>
      }
    >
      <Loaded query={query}>
        {(data) =>
          data === "" ? (
            <Empty small icon={IconFileText} title="Nothing written yet" />
          ) : (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable with the keyboard
            <pre className="dm-app-log" ref={box} tabIndex={0}>
              {data.split("\n").map((line, i) => (
                <div key={i}>
                  {parseAnsi(line).map((s, k) => (
                    <span
                      key={k}
                      className={s.className}
                      style={
                        s.color || s.background ? { color: s.color, background: s.background } : undefined
                      }
                    >
                      {s.text}
                    </span>
                  ))}
                </div>
              ))}
            </pre>
          )
        }
      </Loaded>
    </Panel>
  );
}

export function History({ query }: { query: UseInfiniteQueryResult<{ pages: Page<Deployment>[] }> }) {
  const project = useProject();
  const [open, setOpen] = useState<string | null>(null);
  return (
    <div className="dm-panel">
      <Loaded query={query}>
        {(data) => {
          const items = flat(data);
          return items.length === 0 ? (
            <Empty small icon={IconHistory} title="No deployments yet" />
          ) : (
            <ul className="dm-list">
              {items.map((d) => (
                <li key={d.id} style={{ flexWrap: "wrap" }}>
                  <StateIcon
                    state={stateOf(d)}
                    size={20}
                    label={d.conclusion === "success" ? "Succeeded" : undefined}
                  />
                  <div className="dm-grow">
                    <button
                      type="button"
                      className="dm-link"
                      aria-expanded={open === d.id}
                      onClick={() => setOpen(open === d.id ? null : d.id)}
                    >
                      {KIND[d.kind]}
                      {d.release ? ` of release #${d.release.number}` : ""}
                    </button>
                    <div className="dm-meta">
                      {d.release ? <span className="dm-mono dm-ellipsis">{d.release.image}</span> : null}
                      {d.release?.commit ? (
                        <Link href={paths.commit(project.path, d.release.commit)} className="dm-mono">
                          {short(d.release.commit)}
                        </Link>
                      ) : null}
                      <span>{d.actor?.name ?? "the service"}</span>
                      {d.run_id ? <Link href={paths.run(project.path, d.run_id)}>run</Link> : null}
                      {d.reason && d.conclusion !== "success" ? (
                        <span className="dm-text-bad">{d.reason}</span>
                      ) : null}
                    </div>
                  </div>
                  <div className="dm-run-times">
                    <TimeAgo at={d.created_at} />
                    <Elapsed from={d.started_at} to={d.finished_at} />
                  </div>
                  {open === d.id ? (
                    <div style={{ flexBasis: "100%", paddingLeft: 32 }}>
                      <Steps steps={d.steps} label="Steps of the deployment" />
                    </div>
                  ) : null}
                </li>
              ))}
            </ul>
          );
        }}
      </Loaded>
      <More query={query} />
    </div>
  );
}

export function Releases({
  env,
  releases,
  onBack,
}: {
  env: Environment;
  releases: Release[];
  onBack?: (release: Release) => void;
}) {
  const project = useProject();
  if (releases.length === 0) {
    return (
      <Panel>
        <Empty small icon={IconHistory} title="No releases yet" />
      </Panel>
    );
  }
  return (
    <div className="dm-panel">
      <ul className="dm-list">
        {releases.map((r) => (
          <li key={r.id}>
            <strong className="dm-num" style={{ width: 44 }}>
              #{r.number}
            </strong>
            <div className="dm-grow">
              <div className="dm-mono dm-ellipsis">{r.image}</div>
              <div className="dm-meta">
                <span className="dm-mono" title={r.digest ?? undefined}>
                  {short(r.digest)}
                </span>
                {r.commit ? (
                  <Link href={paths.commit(project.path, r.commit)} className="dm-mono">
                    {short(r.commit)}
                  </Link>
                ) : null}
                <span>
                  <TimeAgo at={r.created_at} />
                </span>
                {r.actor ? <span>{r.actor.name}</span> : null}
              </div>
            </div>
            {env.current?.id === r.id ? (
              <StateBadge state="done" label="Running" />
            ) : onBack ? (
              <Button
                size="xs"
                variant="default"
                leftSection={<IconArrowBackUp size={14} />}
                onClick={() => onBack(r)}
                aria-label={`Roll back to release ${r.number}`}
              >
                Roll back
              </Button>
            ) : null}
          </li>
        ))}
      </ul>
    </div>
  );
}

export function EnvConfig({ env, mayEdit }: { env: Environment; mayEdit: boolean }) {
  const project = useProject();
  const client = useQueryClient();
  const [config, setConfig] = useState(formatConfig(env.config));
  const [path, setPath] = useState(env.health?.path ?? "/");
  const [deadline, setDeadline] = useState<number | string>(env.health?.deadline_seconds ?? 60);
  const parsed = parseConfig(config);
  const save = useMutation({
    mutationFn: () =>
      patch(
        "/environments/{env}",
        { config: parsed.config, health: { ...env.health, path, deadline_seconds: Number(deadline) } },
        { path: { env: env.id }, version: env.version },
      ),
    onSuccess: () => {
      toast("ok", "Environment saved", "The next deployment uses it.");
      void client.invalidateQueries({ queryKey: ["project", project.id, "environments"] });
    },
  });
  const fields = fieldErrors(save.error);
  return (
    <Panel title="Configuration">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!parsed.error) save.mutate();
        }}
      >
        <Stack gap="sm" maw={600}>
          <Textarea
            label="Environment variables"
            description="One NAME=value per line; used by the next deployment"
            autosize
            minRows={4}
            maxRows={20}
            readOnly={!mayEdit}
            value={config}
            error={parsed.error ?? fields.config}
            classNames={{ input: "dm-mono" }}
            onChange={(e) => setConfig(e.currentTarget.value)}
          />
          {env.secrets.length > 0 ? (
            <div className="dm-meta">
              Secrets:
              {env.secrets.map((s) => (
                <span key={s} className="dm-chip dm-mono">
                  {s}
                </span>
              ))}
            </div>
          ) : null}
          <TextInput
            label="Health check path"
            readOnly={!mayEdit}
            value={path}
            error={fields["health.path"]}
            onChange={(e) => setPath(e.currentTarget.value)}
          />
          <NumberInput
            label="Must be healthy within"
            suffix=" seconds"
            min={1}
            max={3600}
            readOnly={!mayEdit}
            value={deadline}
            error={fields["health.deadline_seconds"]}
            onChange={setDeadline}
          />
          <FormError error={save.error} known={["config", "health.path", "health.deadline_seconds"]} />
          {mayEdit ? (
            <div>
              <Button type="submit" loading={save.isPending} disabled={parsed.error !== null}>
                Save
              </Button>
            </div>
          ) : null}
        </Stack>
      </form>
    </Panel>
  );
}
