/** The pages of one project: finds the project by its path, shows its navigation, loads the page's code. */
import { Badge } from "@mantine/core";
import {
  type Icon,
  IconActivity,
  IconArchive,
  IconChartDots3,
  IconFolder,
  IconGitCommit,
  IconHome,
  IconPackage,
  IconPlayerPlay,
  IconRocket,
  IconSearch,
  IconSettings,
  IconStack2,
  IconUsers,
} from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ComponentType, lazy, Suspense, useEffect, useRef } from "react";
import { queries } from "@/api/queries";
import type { Project } from "@/api/types";
import { ProblemView, Rows } from "@/ui/bits";
import { type Action, shortcutLabel, useActions } from "./actions";
import { Link, useGo, usePlace } from "./location";
import { pages } from "./pages";
import { parseProjectPath, paths, type Section } from "./paths";
import { can, ProjectContext } from "./project";
import { Main, NotFound } from "./Shell";

const parts = {
  home: lazy(pages.overview),
  tree: lazy(pages.tree),
  blob: lazy(pages.blob),
  commits: lazy(pages.commits),
  commit: lazy(pages.commit),
  search: lazy(pages.search),
  runs: lazy(pages.runs),
  run: lazy(pages.run),
  workflows: lazy(pages.workflows),
  schedules: lazy(pages.schedules),
  tests: lazy(pages.tests),
  test: lazy(pages.test),
  runners: lazy(pages.runners),
  queue: lazy(pages.queue),
  deployments: lazy(pages.deployments),
  images: lazy(pages.images),
  activity: lazy(pages.activity),
  dependencies: lazy(pages.dependencies),
  quality: lazy(pages.quality),
  members: lazy(pages.members),
  settings: lazy(pages.settings),
} satisfies Record<Section | "home" | "run" | "test", ComponentType<{ rest: string }>>;

const Namespace = lazy(pages.namespace);

interface NavItem {
  section: Section | "home";
  name: string;
  icon: Icon;
  key: string;
  /** Other sections that belong under it. */
  also?: Section[];
  visible?: (project: Project) => boolean;
}

const NAV: NavItem[][] = [
  [{ section: "home", name: "Overview", icon: IconHome, key: "p" }],
  [
    { section: "tree", name: "Files", icon: IconFolder, key: "f", also: ["blob"] },
    { section: "commits", name: "Commits", icon: IconGitCommit, key: "c", also: ["commit"] },
    { section: "search", name: "Search", icon: IconSearch, key: "s" },
  ],
  [
    {
      section: "runs",
      name: "Runs",
      icon: IconPlayerPlay,
      key: "r",
      also: ["workflows", "schedules", "tests", "runners", "queue"],
    },
    {
      section: "deployments",
      name: "Deployments",
      icon: IconRocket,
      key: "d",
      visible: (p) => can(p, "deployment:read"),
    },
    { section: "images", name: "Images", icon: IconStack2, key: "i" },
  ],
  [
    { section: "quality", name: "Quality", icon: IconChartDots3, key: "q" },
    { section: "dependencies", name: "Dependencies", icon: IconPackage, key: "e" },
    { section: "activity", name: "Activity", icon: IconActivity, key: "a" },
  ],
  [
    { section: "members", name: "Members", icon: IconUsers, key: "m" },
    {
      section: "settings",
      name: "Settings",
      icon: IconSettings,
      key: "t",
      visible: (p) => can(p, "project:write"),
    },
  ],
];

const hrefOf = (project: Project, section: Section | "home"): string =>
  section === "home"
    ? paths.project(project.path)
    : section === "tree"
      ? paths.tree(project.path, project.default_branch)
      : paths.section(project.path, section);

function Nav({ project, section }: { project: Project; section: Section | "home" }) {
  const current = (item: NavItem) =>
    item.section === section || (item.also ?? []).includes(section as Section);
  // On a phone the navigation is a strip that scrolls; the present page must be in sight.
  const strip = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the section moves the mark
  useEffect(() => {
    const mark = strip.current?.querySelector<HTMLElement>('[aria-current="page"]');
    if (strip.current && mark)
      strip.current.scrollLeft = mark.offsetLeft - strip.current.clientWidth / 2 + mark.offsetWidth / 2;
  }, [section]);
  return (
    <nav className="dm-side" aria-label="Project" ref={strip}>
      {NAV.map((group) => (
        <ul key={group[0]?.section}>
          {group
            .filter((item) => item.visible?.(project) ?? true)
            .map((item) => {
              const Glyph = item.icon;
              return (
                <li key={item.section}>
                  <Link
                    href={hrefOf(project, item.section)}
                    className="dm-side-link"
                    aria-current={current(item) ? "page" : undefined}
                    title={`${item.name} (${shortcutLabel(`g ${item.key}`).join(" then ")})`}
                  >
                    <Glyph size={17} stroke={1.7} aria-hidden />
                    {item.name}
                  </Link>
                </li>
              );
            })}
        </ul>
      ))}
    </nav>
  );
}

function useProjectActions(project: Project): void {
  const go = useGo();
  const actions: Action[] = NAV.flat().map((item) => ({
    id: `project-${item.section}`,
    name: `${item.name} of ${project.name}`,
    group: "This project",
    icon: item.icon,
    shortcut: `g ${item.key}`,
    visible: () => item.visible?.(project) ?? true,
    perform: () => go(hrefOf(project, item.section)),
  }));
  useActions([
    ...actions,
    {
      id: "project-find",
      name: `Search in ${project.name}`,
      group: "This project",
      icon: IconSearch,
      shortcut: "/",
      perform: () => go(paths.section(project.path, "search")),
    },
  ]);
}

function ProjectFrame({
  project,
  section,
  rest,
}: {
  project: Project;
  section: Section | "home";
  rest: string;
}) {
  useProjectActions(project);
  const one = { runs: parts.run, tests: parts.test }[section as string];
  const Page = rest && one ? one : parts[section];
  return (
    <ProjectContext.Provider value={project}>
      <div className="dm-frame">
        <Nav project={project} section={section} />
        <Main>
          {project.archived ? (
            <div className="dm-banner">
              <IconArchive size={16} aria-hidden /> This project is archived: it can be read, not changed.
              <Badge color="gray">read-only</Badge>
            </div>
          ) : null}
          <Suspense fallback={<Rows n={6} />}>
            <Page rest={rest} />
          </Suspense>
        </Main>
      </div>
    </ProjectContext.Provider>
  );
}

export function ProjectRoot() {
  const place = usePlace();
  const go = useGo();
  const { path, section, rest } = parseProjectPath(place.path);
  // One word can't be a project: it is a user or a group.
  const maybe = path.includes("/");
  const project = useQuery({ ...queries.project(path), enabled: maybe });
  const moved = project.data && project.data.path !== path ? project.data.path : null;
  useEffect(() => {
    if (moved) {
      const tail = place.href.slice(place.href.indexOf("/-/"));
      go(paths.project(moved) + (place.href.includes("/-/") ? tail : ""), { replace: true });
    }
  }, [moved, place.href, go]);

  if (section === null) return <NotFound />;
  if (!maybe || project.data === null) {
    if (section !== "home") return <NotFound />;
    return (
      <Suspense fallback={<Rows />}>
        <Namespace path={path} />
      </Suspense>
    );
  }
  if (project.error && !project.data) {
    return (
      <Main narrow>
        <ProblemView error={project.error} />
      </Main>
    );
  }
  if (!project.data) {
    return (
      <div className="dm-frame">
        <div className="dm-side" />
        <Main>
          <Rows n={8} />
        </Main>
      </div>
    );
  }
  return <ProjectFrame key={project.data.id} project={project.data} section={section} rest={rest} />;
}
