/**
 * Writes one pipeline file: what is wrong with it as it is typed, what it would start drawn beside it, its form in
 * another language, and a commit at the end.
 */
import { Button, Menu, Modal, Select, Stack, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconArrowsExchange, IconChevronDown, IconDeviceFloppy, IconSitemap } from "@tabler/icons-react";
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useState } from "react";
import { fieldErrors, Problem, post } from "@/api/client";
import { queries } from "@/api/queries";
import type { Diagnostic } from "@/api/types";
import { useActions } from "@/app/actions";
import { Link, useGo, useParam } from "@/app/location";
import { decode, paths } from "@/app/paths";
import { can, useHasCommits, useProject } from "@/app/project";
import { toast } from "@/app/toast";
import { JobGraph } from "@/graph/JobGraph";
import { Empty, FormError, PageHead, Panel, ProblemView, Rows, useTitle } from "@/ui/bits";
import { plural, refName } from "@/ui/format";
import { RefSelect } from "@/ui/RefSelect";
import { StateBadge } from "@/ui/State";
import { useRefPath } from "@/ui/useRefPath";
import { MessageList } from "./MessageList";
import { DIALECTS, dialectOf, EVENTS, jobsOf, type Plan } from "./plan";
import { editorAt } from "./Workflows";
import "./workflow.css";

const CodeEdit = lazy(() => import("@/code/CodeEdit"));

/** Converted files wait here for the editor that opens them. */
const drafts = new Map<string, string>();

function Commit(props: { path: string; gitRef: string; text: string; fresh: boolean; onClose: () => void }) {
  const { path, gitRef, text, fresh } = props;
  const project = useProject();
  const client = useQueryClient();
  const go = useGo();
  const [branch, setBranch] = useState(refName(gitRef));
  const [message, setMessage] = useState(`${fresh ? "Add" : "Change"} ${path.split("/").pop()}`);
  const save = useMutation({
    mutationFn: () =>
      post(
        "/projects/{id}/commits",
        { branch, message, actions: [{ action: fresh ? "create" : "update", path, content: text }] },
        { path: { id: project.id } },
      ),
    onSuccess: () => {
      drafts.delete(`${gitRef}:${path}`);
      void client.invalidateQueries({ queryKey: ["project", project.id] });
      toast("ok", `Committed to ${branch}`);
      props.onClose();
      go(editorAt(project.path, branch, path), { replace: true });
    },
  });
  const fields = fieldErrors(save.error);
  return (
    <Modal opened onClose={props.onClose} title={`Commit ${path}`}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput
            label="Message"
            data-autofocus
            required
            value={message}
            error={fields.message}
            onChange={(e) => setMessage(e.currentTarget.value)}
          />
          <TextInput
            label="Branch"
            description="A new name makes a branch from the default one"
            required
            value={branch}
            error={fields.branch}
            onChange={(e) => setBranch(e.currentTarget.value)}
          />
          <FormError error={save.error} known={["message", "branch"]} />
          <Button type="submit" loading={save.isPending}>
            Commit
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}

function Convert(props: {
  path: string;
  text: string;
  to: (typeof DIALECTS)[number];
  gitRef: string;
  onClose: () => void;
}) {
  const project = useProject();
  const go = useGo();
  const query = useQuery({
    queryKey: ["convert", props.path, props.text, props.to.id],
    queryFn: ({ signal }) =>
      post(
        "/pipeline/convert",
        { path: props.path, text: props.text, to: props.to.id, dialect: dialectOf(props.path) },
        { signal },
      ),
  });
  const made = query.data;
  const [file] = made?.files ?? [];
  return (
    <Modal opened onClose={props.onClose} title={`As ${props.to.name}`} size="xl">
      {query.error ? <ProblemView error={query.error} retry={() => void query.refetch()} /> : null}
      {!made && !query.error ? <Rows n={6} /> : null}
      {made ? (
        <Stack gap="sm">
          {made.diagnostics.length > 0 ? (
            <>
              <p className="dm-why-verdict">The file has errors, so nothing was written.</p>
              <MessageList items={made.diagnostics} />
            </>
          ) : null}
          {made.files.map((f) => (
            <div key={f.path}>
              <strong className="dm-mono">{f.path}</strong>
              <pre className="dm-converted">{f.text}</pre>
            </div>
          ))}
          {file ? (
            <>
              <h3 className="dm-small-head">
                {made.differences.length === 0
                  ? "It means the same."
                  : `${plural(made.differences.length, "difference")} in meaning`}
              </h3>
              <MessageList items={made.differences} />
              <Button
                onClick={() => {
                  drafts.set(`${props.gitRef}:${file.path}`, file.text);
                  props.onClose();
                  go(`${editorAt(project.path, props.gitRef, file.path)}?from=converted`);
                }}
              >
                Open {file.path} in the editor
              </Button>
            </>
          ) : null}
        </Stack>
      ) : null}
    </Modal>
  );
}

/** What the text would start, and why. */
function Preview(props: { path: string; text: string; gitRef: string; onJump: (line: number) => void }) {
  const project = useProject();
  const hasCommits = useHasCommits();
  const dialect = dialectOf(props.path);
  const [event, setEvent] = useParam("event", "push");
  const [at, setAt] = useState(refName(props.gitRef));
  const [chosen, setChosen] = useState<string | null>(null);
  const query = useQuery({
    queryKey: ["plan", project.id, props.path, props.text, event, at, hasCommits],
    placeholderData: keepPreviousData,
    enabled: hasCommits !== undefined,
    retry: false,
    queryFn: async ({ signal }): Promise<Plan> => {
      const body = { path: props.path, text: props.text, dialect, event, ref: at };
      return (
        hasCommits
          ? await post("/projects/{id}/pipeline/plan", body, { path: { id: project.id }, signal })
          : await post("/pipeline/plan", body, { signal })
      ) as Plan;
    },
  });
  const plan = query.data;
  const jobs = plan ? jobsOf(plan) : [];
  const decided = plan?.decisions?.find((d) => d.job === chosen);
  const out = plan?.decisions?.filter((d) => !d.included) ?? [];
  return (
    <Panel title="What it would start" flush>
      <div className="dm-plan-facts">
        <Select
          w={190}
          aria-label="Event"
          allowDeselect={false}
          value={event}
          onChange={(v) => setEvent(v ?? "push")}
          data={EVENTS[dialect]}
        />
        {hasCommits ? <RefSelect value={at} onChange={setAt} width={170} /> : null}
        {plan?.starts === false ? <StateBadge state="left-out" label="Does not start" /> : null}
        {plan?.starts ? <StateBadge state="planned" label={plural(jobs.length, "job")} /> : null}
      </div>
      {query.error && !plan ? <ProblemView error={query.error} retry={() => void query.refetch()} /> : null}
      {plan?.starts === false ? <p className="dm-plan-note">{plan.because}</p> : null}
      {jobs.length > 0 ? (
        <JobGraph
          jobs={jobs}
          selected={chosen}
          label="The plan"
          onSelect={(job) => {
            setChosen(job.id);
            const span = plan?.decisions?.find((d) => d.job === job.key)?.span;
            if (span && span.line > 0) props.onJump(span.line);
          }}
        />
      ) : plan && plan.starts !== false ? (
        <Empty small icon={IconSitemap} title="No plan">
          A file with errors has none.
        </Empty>
      ) : null}
      {decided ? (
        <p className="dm-plan-note">
          <strong>{decided.job}</strong>: {decided.because}
        </p>
      ) : null}
      {out.length > 0 ? (
        <div className="dm-plan-note">
          <h3 className="dm-small-head">Left out</h3>
          <ul>
            {out.map((d) => (
              <li key={d.job}>
                <strong>{d.job}</strong>: {d.because}
              </li>
            ))}
          </ul>
        </div>
      ) : null}
    </Panel>
  );
}

const NONE: Diagnostic[] = [];

function Editing(props: { path: string; gitRef: string; start: string; fresh: boolean }) {
  const { path, gitRef, start, fresh } = props;
  const project = useProject();
  const hasCommits = useHasCommits();
  const [text, setText] = useState(start);
  const [settledText] = useDebouncedValue(text, 350);
  const [saving, setSaving] = useState(false);
  const [target, setTarget] = useState<(typeof DIALECTS)[number] | null>(null);
  const [jump, setJump] = useState<{ line: number } | null>(null);
  const dialect = dialectOf(path);
  const branch = !/^[0-9a-f]{40,64}$/.test(gitRef) && !gitRef.startsWith("refs/tags/");
  const may = can(project, "repository:write") && !project.archived && branch;
  const dirty = fresh || text !== start;
  const lint = useQuery({
    queryKey: ["lint", project.id, path, settledText, gitRef, hasCommits],
    placeholderData: keepPreviousData,
    enabled: hasCommits !== undefined,
    retry: false,
    queryFn: ({ signal }) => {
      const body = { path, text: settledText, dialect, ref: gitRef };
      return hasCommits
        ? post("/projects/{id}/pipeline/lint", body, { path: { id: project.id }, signal })
        : post("/pipeline/lint", body, { signal });
    },
  });
  const items = lint.data?.diagnostics ?? NONE;
  const errors = items.filter((d) => d.severity === "error").length;
  // What is not committed is not lost without a question.
  useEffect(() => {
    if (!dirty || text === start) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [dirty, text, start]);
  useActions([
    {
      id: "workflow-save",
      name: `Commit ${path}`,
      group: "This page",
      icon: IconDeviceFloppy,
      shortcut: "mod+s",
      visible: () => may && dirty,
      perform: () => setSaving(true),
    },
    ...DIALECTS.filter((d) => d.id !== dialect).map((d) => ({
      id: `workflow-convert-${d.id}`,
      name: `Write it as ${d.name}`,
      group: "This page",
      icon: IconArrowsExchange,
      perform: () => setTarget(d),
    })),
  ]);
  return (
    <>
      <PageHead
        title={<span className="dm-run-title dm-mono">{path}</span>}
        about={
          <div className="dm-meta">
            <Link href={`${paths.section(project.path, "workflows")}?ref=${encodeURIComponent(gitRef)}`}>
              Workflows
            </Link>
            <span>{DIALECTS.find((d) => d.id === dialect)?.name}</span>
            <span>{refName(gitRef)}</span>
            {dirty ? <span className="dm-text-wait">not committed</span> : null}
          </div>
        }
      >
        <Menu>
          <Menu.Target>
            <Button
              variant="default"
              leftSection={<IconArrowsExchange size={15} />}
              rightSection={<IconChevronDown size={14} />}
            >
              Convert
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {DIALECTS.filter((d) => d.id !== dialect).map((d) => (
              <Menu.Item key={d.id} onClick={() => setTarget(d)}>
                To {d.name}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
        {may ? (
          <Button
            leftSection={<IconDeviceFloppy size={15} />}
            disabled={!dirty}
            onClick={() => setSaving(true)}
          >
            Commit
          </Button>
        ) : null}
      </PageHead>
      <div className="dm-workflow">
        <div className="dm-gap">
          <section className="dm-panel dm-workflow-text" aria-label="Text">
            <Suspense fallback={<Rows n={10} />}>
              <CodeEdit start={start} path={path} diagnostics={items} jump={jump} onChange={setText} />
            </Suspense>
          </section>
          <Panel
            title={
              lint.error
                ? "Messages"
                : items.length === 0
                  ? "Nothing is wrong"
                  : [
                      errors > 0 && plural(errors, "error"),
                      items.length > errors && plural(items.length - errors, "remark"),
                    ]
                      .filter(Boolean)
                      .join(", ")
            }
            label="Messages"
            flush
          >
            <div aria-live="polite">
              {lint.error ? <ProblemView error={lint.error} retry={() => void lint.refetch()} /> : null}
              {items.length > 0 ? (
                <MessageList items={items} onOpen={(d) => setJump({ line: d.line })} />
              ) : null}
            </div>
          </Panel>
        </div>
        <Preview path={path} text={settledText} gitRef={gitRef} onJump={(line) => setJump({ line })} />
      </div>
      {saving ? (
        <Commit path={path} gitRef={gitRef} text={text} fresh={fresh} onClose={() => setSaving(false)} />
      ) : null}
      {target ? (
        <Convert path={path} text={text} to={target} gitRef={gitRef} onClose={() => setTarget(null)} />
      ) : null}
    </>
  );
}

export default function WorkflowEditor({ rest }: { rest: string }) {
  const project = useProject();
  const place = useRefPath(rest);
  const [from] = useParam("from");
  const hasCommits = useHasCommits();
  const path = place?.path ?? decode(rest.slice(rest.indexOf("/") + 1));
  const gitRef = place?.ref ?? "";
  useTitle(path, project.path);
  const file = useQuery({
    ...queries.file(project.id, gitRef, path),
    enabled: hasCommits === true && gitRef !== "",
    // Typing must not be overtaken by a read in the background.
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  const detected = useQuery({
    ...queries.workflows(project.id, gitRef),
    enabled: hasCommits === true && from === "detected" && gitRef !== "",
  });
  const missing = file.error instanceof Problem && file.error.status === 404;
  const draft = drafts.get(`${gitRef}:${path}`);
  if (gitRef === "" || hasCommits === undefined) return <Rows n={8} />;
  if (file.error && !missing) return <ProblemView error={file.error} retry={() => void file.refetch()} />;
  const fresh = hasCommits === false || missing;
  if (!fresh && !file.data) return <Rows n={8} />;
  if (from === "detected" && fresh && detected.isPending) return <Rows n={8} />;
  const kept = detected.data?.items.find((w) => w.detected)?.file;
  const start =
    (from === "converted" ? draft : undefined) ??
    (fresh ? (kept ?? DIALECTS.find((d) => d.id === dialectOf(path))?.start) : file.data?.content) ??
    "";
  return (
    <Editing key={`${gitRef}:${path}:${from}`} path={path} gitRef={gitRef} start={start} fresh={fresh} />
  );
}
