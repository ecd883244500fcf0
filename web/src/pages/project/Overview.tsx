/** The first page of a project: what it is, what is in it, how it does, and where it runs. */
import { Button, Menu, SegmentedControl, Stack, Text } from "@mantine/core";
import {
  IconBook,
  IconChevronDown,
  IconDownload,
  IconExternalLink,
  IconFileOff,
  IconFolder,
  IconPlayerPlay,
  IconRocket,
} from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { flat, queries } from "@/api/queries";
import { Link, useGo } from "@/app/location";
import { paths } from "@/app/paths";
import { can, useHasCommits, useProject } from "@/app/project";
import { Empty, Figure, Loaded, Panel, ProjectMark, Rows, Topic, useTitle } from "@/ui/bits";
import { CommitRow, LastCommit } from "@/ui/CommitLine";
import { CopyField } from "@/ui/Copy";
import { FileTree, README } from "@/ui/FileTree";
import { languageColor, number, percent } from "@/ui/format";
import { Html } from "@/ui/Html";
import { VisibilityMark } from "@/ui/ProjectList";
import { RefSelect } from "@/ui/RefSelect";
import { RunRow } from "@/ui/RunRow";
import { ShareBar } from "@/ui/Spark";
import { StateIcon } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";
import "./files.css";

function CloneMenu() {
  const project = useProject();
  const [how, setHow] = useState("git");
  return (
    <Menu width={380} closeOnItemClick={false}>
      <Menu.Target>
        <Button leftSection={<IconDownload size={15} />} rightSection={<IconChevronDown size={14} />}>
          Clone
        </Button>
      </Menu.Target>
      <Menu.Dropdown p="sm">
        <Stack gap="xs">
          <SegmentedControl
            size="xs"
            value={how}
            onChange={setHow}
            data={[
              { value: "git", label: "git" },
              { value: "push", label: "Push existing" },
              { value: "docker", label: "Image" },
            ]}
          />
          {how === "git" ? <CopyField label="Clone command" text={`git clone ${project.clone_url}`} /> : null}
          {how === "push" ? (
            <>
              <CopyField label="Remote command" text={`git remote add origin ${project.clone_url}`} />
              <CopyField label="Push command" text={`git push -u origin ${project.default_branch}`} />
            </>
          ) : null}
          {how === "docker" ? (
            <CopyField
              label="Pull command"
              text={`docker pull ${project.registry ?? `${window.location.host}/${project.path}`}:latest`}
            />
          ) : null}
          <Text size="xs" c="dimmed">
            Your name and a <Link href={paths.account("tokens")}>token</Link> as the password.
          </Text>
        </Stack>
      </Menu.Dropdown>
    </Menu>
  );
}

function Languages() {
  const project = useProject();
  const query = useQuery(queries.languages(project.id));
  const items = query.data?.items ?? [];
  if (items.length === 0) return null;
  const total = items.reduce((n, l) => n + l.code, 0) || 1;
  const parts = items.map((l) => ({ ...l, part: l.code / total }));
  return (
    <Panel title="Languages">
      <ShareBar
        label={parts.map((l) => `${l.name} ${percent(l.part)}`).join(", ")}
        parts={parts.map((l) => ({
          name: `${l.name} ${percent(l.part)}`,
          share: l.part,
          color: languageColor(l.name),
        }))}
      />
      <ul className="dm-legend">
        {parts.slice(0, 6).map((l) => (
          <li key={l.name} title={`${number(l.code)} lines of code in ${number(l.files)} files`}>
            <i className="dm-lang-dot" style={{ background: languageColor(l.name) }} />
            {l.name} <span className="dm-dim dm-num">{percent(l.part)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function QualitySummary() {
  const project = useProject();
  const { data } = useQuery(queries.quality(project.id));
  if (!data || data.files === 0) return null;
  return (
    <Panel title="Quality" actions={<Link href={paths.section(project.path, "quality")}>Details</Link>}>
      <div className="dm-figures dm-figures-small">
        <Figure value={number(data.code)} label="lines of code" />
        <Figure value={number(data.functions)} label="functions" />
        <Figure
          value={data.cyclomatic_max}
          label="most complex"
          tone={data.cyclomatic_max > 20 ? "bad" : data.cyclomatic_max > 10 ? "wait" : "ok"}
        />
      </div>
    </Panel>
  );
}

function LastRuns() {
  const project = useProject();
  const query = useInfiniteQuery({ ...queries.runs(project.id, { limit: 5 }), refetchInterval: 5_000 });
  const runs = flat(query.data).slice(0, 5);
  return (
    <Panel title="Last runs" flush actions={<Link href={paths.section(project.path, "runs")}>All</Link>}>
      <Loaded query={query} rows={3}>
        {() =>
          runs.length === 0 ? (
            <Empty small icon={IconPlayerPlay} title="No runs yet">
              Every push starts one.
            </Empty>
          ) : (
            <ul className="dm-list dm-list-compact">
              {runs.map((run) => (
                <RunRow key={run.id} run={run} compact />
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  );
}

function Deployed() {
  const project = useProject();
  const query = useQuery({ ...queries.environments(project.id), refetchInterval: 10_000 });
  return (
    <Panel
      title="Deployed"
      flush
      actions={<Link href={paths.section(project.path, "deployments")}>All</Link>}
    >
      <Loaded query={query} rows={2}>
        {(data) =>
          data.items.length === 0 ? (
            <Empty small icon={IconRocket} title="Nowhere yet">
              An environment gets a release with each deployment.
            </Empty>
          ) : (
            <ul className="dm-list dm-list-compact">
              {data.items.map((env) => (
                <li key={env.id}>
                  <StateIcon state={env.state} size={18} />
                  <div className="dm-grow">
                    <Link
                      href={`${paths.section(project.path, "deployments")}?environment=${encodeURIComponent(env.name)}`}
                      className="dm-title-link"
                    >
                      {env.name}
                    </Link>
                    <div className="dm-meta">
                      {env.current ? (
                        <>
                          <span>release {env.current.number}</span>
                          <span>
                            <TimeAgo at={env.current.created_at} />
                          </span>
                        </>
                      ) : (
                        "nothing deployed"
                      )}
                    </div>
                  </div>
                  {env.url && env.state !== "empty" ? (
                    <a
                      href={env.url}
                      target="_blank"
                      rel="noreferrer"
                      aria-label={`Open ${env.name}`}
                      title={env.url}
                    >
                      <IconExternalLink size={16} />
                    </a>
                  ) : null}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  );
}

function EmptyRepository() {
  const project = useProject();
  return (
    <Panel title="This repository is empty">
      <Stack gap="xs" maw={640}>
        <Text size="sm">Push what you have:</Text>
        <CopyField label="Remote command" text={`git remote add origin ${project.clone_url}`} />
        <CopyField label="Push command" text={`git push -u origin HEAD:${project.default_branch}`} />
        <Text size="sm" mt="xs">
          Or begin with a clone:
        </Text>
        <CopyField label="Clone command" text={`git clone ${project.clone_url}`} />
      </Stack>
    </Panel>
  );
}

export default function Overview() {
  const project = useProject();
  const go = useGo();
  useTitle(project.path);
  const ref = project.default_branch;
  const hasCommits = useHasCommits();
  const tree = useQuery({ ...queries.tree(project.id, ref, ""), enabled: hasCommits === true });
  const hasReadme = tree.data?.entries.some((e) => e.type === "blob" && README.test(e.name));
  const readme = useQuery({ ...queries.readme(project.id, ref), enabled: hasReadme === true });
  const commits = useInfiniteQuery({ ...queries.commits(project.id, ref, "", 5), enabled: !!tree.data });
  const recent = flat(commits.data);
  const empty = hasCommits === false || tree.data?.entries.length === 0;
  return (
    <>
      <header className="dm-project-head">
        <ProjectMark name={project.name} size={48} />
        <div className="dm-grow">
          <h1>{project.name}</h1>
          {project.description ? <p>{project.description}</p> : null}
          <div className="dm-meta">
            <VisibilityMark visibility={project.visibility} />
            {project.language ? (
              <span>
                <i className="dm-lang-dot" style={{ background: languageColor(project.language) }} />
                {project.language}
              </span>
            ) : null}
            {project.topics.map((t) => (
              <Topic key={t} name={t} />
            ))}
          </div>
        </div>
        <CloneMenu />
      </header>
      <div className="dm-columns">
        <div>
          {empty ? (
            <EmptyRepository />
          ) : (
            <>
              <div className="dm-filters">
                <RefSelect value={ref} onChange={(next) => go(paths.tree(project.path, next))} />
                <Button
                  variant="default"
                  component={Link}
                  href={paths.tree(project.path, ref)}
                  leftSection={<IconFolder size={15} />}
                >
                  Browse files
                </Button>
              </div>
              <div className="dm-panel">
                {recent[0] ? <LastCommit commit={recent[0]} /> : null}
                <Loaded query={tree} rows={8}>
                  {(data) => (data ? <FileTree tree={data} gitRef={ref} /> : <Rows />)}
                </Loaded>
              </div>
              {readme.data ? (
                <Panel
                  title={
                    <>
                      <IconBook size={15} className="dm-dim" aria-hidden />
                      <Link href={paths.blob(project.path, ref, readme.data.path)} className="dm-plain">
                        {readme.data.path}
                      </Link>
                    </>
                  }
                >
                  {readme.data.html ? (
                    <Html
                      html={readme.data.html}
                      base={{
                        project: project.path,
                        ref,
                        dir: readme.data.path.includes("/") ? readme.data.path.replace(/\/[^/]*$/, "") : "",
                      }}
                    />
                  ) : (
                    <pre className="dm-plain-text">{readme.data.content}</pre>
                  )}
                </Panel>
              ) : hasReadme === false ? (
                <div className="dm-panel">
                  <Empty small icon={IconFileOff} title="No README">
                    A README.md would be shown here.
                  </Empty>
                </div>
              ) : null}
            </>
          )}
        </div>
        <aside>
          <LastRuns />
          {can(project, "deployment:read") ? <Deployed /> : null}
          <Languages />
          <QualitySummary />
          {recent.length > 1 ? (
            <Panel
              title="Recent commits"
              flush
              className="dm-only-wide"
              actions={<Link href={paths.commits(project.path)}>All</Link>}
            >
              <ul className="dm-list dm-list-compact dm-list-tight">
                {recent.slice(0, 4).map((c) => (
                  <CommitRow key={c.oid} commit={c} />
                ))}
              </ul>
            </Panel>
          ) : null}
        </aside>
      </div>
    </>
  );
}
