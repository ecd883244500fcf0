/** The pipeline files of a commit, and the way to write one. */
import { Button, Menu } from "@mantine/core";
import { IconFileCode, IconPlus, IconWand } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { queries } from "@/api/queries";
import type { Workflow } from "@/api/types";
import { useActions } from "@/app/actions";
import { useListKeys } from "@/app/listKeys";
import { Link, useGo, useParam } from "@/app/location";
import { encodePath, paths } from "@/app/paths";
import { can, useHasCommits, useProject } from "@/app/project";
import { Empty, Loaded, PageHead, Panel, Rows, useTitle } from "@/ui/bits";
import { Diagnostics } from "@/ui/Diagnostics";
import { plural, words } from "@/ui/format";
import { RefSelect } from "@/ui/RefSelect";
import { PipelineNav } from "./PipelineNav";
import { DIALECTS } from "./plan";

const WorkflowEditor = lazy(() => import("./WorkflowEditor"));

export const editorAt = (project: string, ref: string, path: string): string =>
  paths.section(project, "workflows", `${encodeURIComponent(ref)}/${encodePath(path)}`);

const DIALECT: Record<Workflow["dialect"], string> = {
  github_actions: "GitHub Actions",
  gitlab_ci: "GitLab CI",
  jenkinsfile: "Jenkinsfile",
  detected: "Detected",
};

function Entry({ workflow, gitRef }: { workflow: Workflow; gitRef: string }) {
  const project = useProject();
  const errors = workflow.diagnostics.filter((d) => d.severity === "error").length;
  const Glyph = workflow.detected ? IconWand : IconFileCode;
  return (
    <li className="dm-wrap-phone">
      <Glyph size={20} className="dm-dim" aria-hidden />
      <div className="dm-grow">
        {workflow.detected ? (
          <strong>{workflow.name}</strong>
        ) : (
          <Link href={editorAt(project.path, gitRef, workflow.path)} className="dm-title-link">
            {workflow.name}
          </Link>
        )}
        <div className="dm-meta">
          <span className="dm-mono">{workflow.path}</span>
          <span>{DIALECT[workflow.dialect] ?? workflow.dialect}</span>
          <span>{plural(workflow.jobs.length, "job")}</span>
          {workflow.events.length > 0 ? (
            <span>on {workflow.events.map(words).join(", ").toLowerCase()}</span>
          ) : null}
          {errors > 0 ? <span className="dm-text-bad">{plural(errors, "error")}</span> : null}
        </div>
        {workflow.detected && workflow.explanation ? (
          <ul className="dm-explanation">
            {workflow.explanation.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        ) : null}
        <Diagnostics items={workflow.diagnostics} gitRef={gitRef} />
      </div>
      {workflow.detected && workflow.file && can(project, "repository:write") ? (
        <Button
          component={Link}
          size="xs"
          variant="default"
          href={`${editorAt(project.path, gitRef, ".github/workflows/ci.yml")}?from=detected`}
        >
          Keep as a file
        </Button>
      ) : null}
    </li>
  );
}

function List() {
  const project = useProject();
  const go = useGo();
  useTitle("Workflows", project.path);
  const [ref, setRef] = useParam("ref", project.default_branch);
  const hasCommits = useHasCommits();
  const query = useQuery({ ...queries.workflows(project.id, ref), enabled: hasCommits === true });
  const may = can(project, "repository:write") && !project.archived;
  const list = useListKeys();
  const create = (path: string) => go(`${editorAt(project.path, ref, path)}?from=new`);
  useActions([
    ...DIALECTS.map((d) => ({
      id: `workflow-new-${d.id}`,
      name: `New workflow: ${d.name}`,
      group: "This page",
      icon: IconPlus,
      visible: () => may,
      perform: () => create(d.path),
    })),
    ...list.actions,
  ]);
  return (
    <>
      <PageHead title="Workflows" about="The pipeline files of a branch, in any of three languages.">
        {may ? (
          <Menu>
            <Menu.Target>
              <Button leftSection={<IconPlus size={15} />}>New workflow</Button>
            </Menu.Target>
            <Menu.Dropdown>
              {DIALECTS.map((d) => (
                <Menu.Item key={d.id} onClick={() => create(d.path)}>
                  {d.name}
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
        ) : null}
      </PageHead>
      <PipelineNav />
      <div className="dm-filters">
        <RefSelect value={ref} onChange={setRef} />
      </div>
      <Panel label="Workflows" flush>
        {hasCommits === false ? (
          <Empty icon={IconFileCode} title="The repository is empty">
            A workflow made here is its first commit.
          </Empty>
        ) : (
          <Loaded query={query} rows={3}>
            {(data) =>
              data.items.length === 0 ? (
                <Empty icon={IconFileCode} title="No workflow">
                  Nothing here says how to build this project, and nothing could be detected.
                </Empty>
              ) : (
                <ul className="dm-list" ref={list.ref}>
                  {data.items.map((w) => (
                    <Entry key={w.path} workflow={w} gitRef={ref} />
                  ))}
                </ul>
              )
            }
          </Loaded>
        )}
      </Panel>
    </>
  );
}

export default function Workflows({ rest }: { rest: string }) {
  return rest ? (
    <Suspense fallback={<Rows n={8} />}>
      <WorkflowEditor rest={rest} />
    </Suspense>
  ) : (
    <List />
  );
}
