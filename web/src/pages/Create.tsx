/** Creation of a project: choose a template, fill in, and watch it being made. */
import {
  Button,
  Checkbox,
  NumberInput,
  SegmentedControl,
  Select,
  Stack,
  TagsInput,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { IconCheck, IconFile, IconGitBranch, IconToolsOff } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { address, fieldErrors, post } from "@/api/client";
import { useStream } from "@/api/events";
import { queries } from "@/api/queries";
import type { Operation, ProjectCreate, Template, TemplateParameter, Visibility } from "@/api/types";
import { Link, useGo, usePlace } from "@/app/location";
import { paths } from "@/app/paths";
import { Main, NotFound } from "@/app/Shell";
import { useUser } from "@/app/session";
import { FormError, Loaded, PageHead, Panel, useTitle } from "@/ui/bits";
import { languageColor } from "@/ui/format";
import { StateBadge } from "@/ui/State";
import { Steps } from "@/ui/Steps";

type Value = string | number | boolean;
export type Values = Record<string, Value>;

/** What the server would say about one parameter, said earlier. */
export function checkParameter(p: TemplateParameter, value: Value | undefined): string | null {
  if (value === undefined || value === "")
    return p.required && p.type !== "boolean" ? "This is needed." : null;
  if (p.type === "integer") {
    const n = Number(value);
    if (!Number.isInteger(n)) return "A whole number, please.";
    if (p.min != null && n < p.min) return `At least ${p.min}.`;
    if (p.max != null && n > p.max) return `At most ${p.max}.`;
  }
  if (p.type === "string" && typeof value === "string") {
    if (p.max_length != null && [...value].length > p.max_length)
      return `At most ${p.max_length} characters.`;
    if (p.pattern) {
      try {
        if (!new RegExp(`^(?:${p.pattern})$`, "u").test(value)) return `Must match ${p.pattern}`;
      } catch {
        // The pattern is in the server's dialect; the server checks it.
      }
    }
  }
  if (p.type === "choice" && p.choices && !p.choices.includes(String(value)))
    return `One of ${p.choices.join(", ")}.`;
  return null;
}

export function defaultsOf(template: Template | undefined): Values {
  return Object.fromEntries(
    (template?.parameters ?? []).flatMap((p) =>
      p.default === null || p.default === undefined ? [] : [[p.name, p.default as Value]],
    ),
  );
}

/** What stands for a language where there is room for two letters. */
const MONOGRAMS: Record<string, string> = { TypeScript: "TS", JavaScript: "JS", Rust: "Rs", HTML: "</>" };
const monogram = (name: string): string => MONOGRAMS[name] ?? name.slice(0, 2);

/** Readable names become valid ones while typing. */
export const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[\s_]+/g, "-")
    .replace(/[^a-z0-9.-]/g, "")
    .replace(/^[-.]+/, "")
    .slice(0, 100);

function Parameter(props: {
  p: TemplateParameter;
  value: Value | undefined;
  error?: string | null;
  onChange: (value: Value) => void;
}) {
  const { p, value, error, onChange } = props;
  const common = {
    label: p.title || p.name,
    description: p.description ?? undefined,
    error: error ?? undefined,
  };
  switch (p.type) {
    case "boolean":
      return (
        <Checkbox {...common} checked={value === true} onChange={(e) => onChange(e.currentTarget.checked)} />
      );
    case "integer":
      return (
        <NumberInput
          {...common}
          required={p.required}
          value={value as number | string | undefined}
          min={p.min ?? undefined}
          max={p.max ?? undefined}
          allowDecimal={false}
          clampBehavior="none"
          onChange={onChange}
        />
      );
    case "choice":
      return (
        <Select
          {...common}
          required={p.required}
          value={value === undefined ? null : String(value)}
          data={p.choices ?? []}
          allowDeselect={!p.required}
          onChange={(v) => onChange(v ?? "")}
        />
      );
    default:
      return (
        <TextInput
          {...common}
          required={p.required}
          value={String(value ?? "")}
          maxLength={p.max_length ?? undefined}
          onChange={(e) => onChange(e.currentTarget.value)}
        />
      );
  }
}

function Card(props: { selected: boolean; onSelect: () => void; template: Template | null }) {
  const { template: t } = props;
  const off = t ? !t.available : false;
  return (
    <label className="dm-card" data-selected={props.selected || undefined} data-off={off || undefined}>
      <input type="radio" name="template" checked={props.selected} disabled={off} onChange={props.onSelect} />
      <span
        className="dm-card-icon"
        style={
          t?.language
            ? { background: `color-mix(in srgb, ${languageColor(t.language)} 20%, transparent)` }
            : undefined
        }
      >
        {t ? <b>{monogram(t.language ?? t.title)}</b> : <IconFile size={20} />}
      </span>
      <span className="dm-grow">
        <span className="dm-card-title">{t ? t.title : "Empty project"}</span>
        <span className="dm-card-text">
          {t ? t.description : "A repository without files, for code that you already have."}
        </span>
        {t && t.tools.length > 0 ? (
          <span className="dm-card-tools">
            {t.tools.map((tool) => (
              <span
                key={tool.name}
                className="dm-chip"
                data-missing={!tool.found || undefined}
                title={tool.found ? (tool.version ?? "found") : "not found on this machine"}
              >
                {tool.found ? <IconCheck size={12} aria-hidden /> : <IconToolsOff size={12} aria-hidden />}
                {tool.name} {tool.found ? (/\d+(\.\d+)*/.exec(tool.version ?? "")?.[0] ?? "") : "missing"}
              </span>
            ))}
          </span>
        ) : null}
      </span>
    </label>
  );
}

function Progress({ id, onAgain }: { id: string; onAgain: (operation: Operation) => void }) {
  const client = useQueryClient();
  const go = useGo();
  const key = queries.operation(id).queryKey;
  const query = useQuery({
    ...queries.operation(id),
    refetchInterval: (q) => (q.state.data?.state === "running" ? 3000 : false),
  });
  const operation = query.data;
  useStream(operation && operation.state !== "running" ? null : address("/operations/{id}/events", { id }), {
    operation: (data) => client.setQueryData(key, data as Operation),
    end: () => void client.invalidateQueries({ queryKey: key }),
  });
  const done = operation?.state === "succeeded" && operation.project_path;
  const path = operation?.project_path;
  useEffect(() => {
    if (!done || !path) return;
    void client.invalidateQueries({ queryKey: ["projects"] });
    const timer = setTimeout(() => go(paths.project(path), { replace: true }), 900);
    return () => clearTimeout(timer);
  }, [done, path, client, go]);
  return (
    <Panel
      title={path ? `Creating ${path}` : "Creating the project"}
      actions={operation ? <StateBadge state={operation.state} /> : null}
    >
      <Loaded query={query}>
        {(data) => (
          <>
            <Steps steps={data.steps} label="Creation" />
            {data.error ? (
              <Stack gap="sm" mt="md">
                <div className="dm-form-error" role="alert">
                  {data.error.detail || data.error.title}
                  {data.error.errors?.map((e) => (
                    <div key={e.field}>
                      {e.field}: {e.message}
                    </div>
                  ))}
                </div>
                <div>
                  <Button variant="default" onClick={() => onAgain(data)}>
                    Change and try again
                  </Button>
                </div>
              </Stack>
            ) : null}
            {data.state === "succeeded" && data.project_path ? (
              <Button component={Link} href={paths.project(data.project_path)} mt="md">
                Open the project
              </Button>
            ) : null}
          </>
        )}
      </Loaded>
    </Panel>
  );
}

export default function Create() {
  useTitle("New project");
  const user = useUser();
  const place = usePlace();
  const go = useGo();
  const templates = useQuery(queries.templates());
  const namespaces = useQuery({ ...queries.namespaces(), enabled: !!user });
  const [chosen, setChosen] = useState<string | null>(null);
  const [repository, setRepository] = useState("");
  const [name, setName] = useState("");
  const [namespace, setNamespace] = useState<string | null>(place.search.get("namespace"));
  const [description, setDescription] = useState("");
  const [visibility, setVisibility] = useState<Visibility>("private");
  const [topics, setTopics] = useState<string[]>([]);
  const [values, setValues] = useState<Values>({});
  const [checked, setChecked] = useState(false);
  const operation = place.search.get("operation");

  const items = templates.data?.items ?? [];
  const current = chosen ?? items.find((t) => t.available)?.name ?? "";
  const template = items.find((t) => t.name === current);
  const all: Values = useMemo(() => ({ ...defaultsOf(template), ...values }), [template, values]);
  const space = namespace ?? namespaces.data?.items[0]?.path ?? user?.name ?? "";

  const create = useMutation({
    mutationFn: (body: ProjectCreate) => post("/projects/create", body, { prefer: "respond-async" }),
    onSuccess: (made) => {
      // A server that was fast enough may answer with the project itself.
      if ("path" in made) go(paths.project(made.path));
      else go(`${place.path}?operation=${encodeURIComponent(made.id)}`);
    },
  });

  // A refused field may be far up the page.
  const form = useRef<HTMLFormElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each refusal leads to its field
  useEffect(() => {
    form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [create.error]);

  if (user === null) return <NotFound />;
  if (operation) {
    return (
      <Main narrow>
        <PageHead title="New project" />
        <Progress id={operation} onAgain={() => go(paths.create())} />
      </Main>
    );
  }

  const fields = fieldErrors(create.error);
  const fieldOf = (p: TemplateParameter) =>
    fields[`parameters.${p.name}`] ?? fields[p.name] ?? (checked ? checkParameter(p, all[p.name]) : null);
  const submit = () => {
    setChecked(true);
    if (template?.parameters.some((p) => checkParameter(p, all[p.name]) !== null)) return;
    create.mutate({
      name,
      namespace: space || undefined,
      description: description || undefined,
      visibility,
      topics: topics.length > 0 ? topics : undefined,
      template:
        current === "@empty" ? undefined : current === "@repository" ? repository : current || undefined,
      parameters:
        template && template.parameters.length > 0
          ? Object.fromEntries(
              template.parameters.flatMap((p) =>
                all[p.name] === undefined || all[p.name] === "" ? [] : [[p.name, all[p.name] as Value]],
              ),
            )
          : undefined,
    });
  };

  return (
    <Main narrow>
      <PageHead
        title="New project"
        about="Code, tests, pipeline, container and deployment come with the template."
      />
      <form
        ref={form}
        className="dm-gap"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Panel title="Template">
          <Loaded query={templates}>
            {(data) => (
              <div className="dm-cards" role="radiogroup" aria-label="Template">
                {data.items.map((t) => (
                  <Card
                    key={t.name}
                    template={t}
                    selected={current === t.name}
                    onSelect={() => {
                      setChosen(t.name);
                      setValues({});
                      setChecked(false);
                    }}
                  />
                ))}
                <Card template={null} selected={current === "@empty"} onSelect={() => setChosen("@empty")} />
                <label className="dm-card" data-selected={current === "@repository" || undefined}>
                  <input
                    type="radio"
                    name="template"
                    checked={current === "@repository"}
                    onChange={() => setChosen("@repository")}
                  />
                  <span className="dm-card-icon">
                    <IconGitBranch size={20} />
                  </span>
                  <span className="dm-grow">
                    <span className="dm-card-title">From a repository</span>
                    <span className="dm-card-text">Any project of this instance can be the template.</span>
                  </span>
                </label>
              </div>
            )}
          </Loaded>
          {current === "@repository" ? (
            <TextInput
              mt="md"
              label="Path of the template's project"
              placeholder="acme/service-template"
              required
              value={repository}
              error={fields.template}
              onChange={(e) => setRepository(e.currentTarget.value)}
            />
          ) : fields.template ? (
            <Text size="sm" c="var(--dm-bad)" mt="sm">
              {fields.template}
            </Text>
          ) : null}
        </Panel>
        <Panel title="Project">
          <Stack gap="sm">
            <div className="dm-name-row">
              <Select
                label="Namespace"
                value={space}
                allowDeselect={false}
                searchable
                data={(namespaces.data?.items ?? (space ? [{ path: space }] : [])).map((n) => n.path)}
                error={fields.namespace}
                onChange={setNamespace}
              />
              <span aria-hidden className="dm-dim">
                /
              </span>
              <TextInput
                className="dm-grow"
                label="Name"
                required
                autoComplete="off"
                placeholder="my-service"
                value={name}
                error={fields.name}
                onChange={(e) => setName(slug(e.currentTarget.value))}
              />
            </div>
            <Textarea
              label="Description"
              autosize
              minRows={1}
              value={description}
              error={fields.description}
              onChange={(e) => setDescription(e.currentTarget.value)}
            />
            <div>
              <Text size="sm" fw={500} mb={4} id="visibility-label">
                Visibility
              </Text>
              <SegmentedControl
                aria-labelledby="visibility-label"
                value={visibility}
                onChange={(v) => setVisibility(v as Visibility)}
                data={[
                  { value: "private", label: "Private" },
                  { value: "internal", label: "Internal" },
                  { value: "public", label: "Public" },
                ]}
              />
              <Text size="xs" c="dimmed" mt={4}>
                {visibility === "private"
                  ? "Members only."
                  : visibility === "internal"
                    ? "Everyone who is signed in may read it."
                    : "Everyone may read it, also without an account."}
              </Text>
            </div>
            <TagsInput
              label="Topics"
              placeholder={topics.length ? "" : "api, billing…"}
              value={topics}
              error={fields.topics}
              onChange={(v) => setTopics(v.map(slug).filter(Boolean))}
            />
          </Stack>
        </Panel>
        {template && template.parameters.length > 0 ? (
          <Panel title={`Parameters of ${template.title}`}>
            <Stack gap="sm">
              {template.parameters.map((p) => (
                <Parameter
                  key={p.name}
                  p={p}
                  value={all[p.name]}
                  error={fieldOf(p)}
                  onChange={(v) => setValues((old) => ({ ...old, [p.name]: v }))}
                />
              ))}
            </Stack>
          </Panel>
        ) : null}
        <FormError
          error={create.error}
          known={[
            "name",
            "namespace",
            "description",
            "topics",
            "template",
            ...(template?.parameters.flatMap((p) => [p.name, `parameters.${p.name}`]) ?? []),
          ]}
        />
        <div>
          <Button
            type="submit"
            loading={create.isPending}
            disabled={!name || (templates.isPending && !chosen)}
          >
            Create project
          </Button>
        </div>
      </form>
    </Main>
  );
}
