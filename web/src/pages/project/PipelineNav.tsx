/** The pages about pipelines stand beside each other. */
import { useEffect, useRef } from "react";
import { Link, usePlace } from "@/app/location";
import { parseProjectPath, paths, type Section } from "@/app/paths";
import { can, useProject } from "@/app/project";

const PAGES: { section: Section; name: string }[] = [
  { section: "runs", name: "Runs" },
  { section: "workflows", name: "Workflows" },
  { section: "schedules", name: "Schedules" },
  { section: "tests", name: "Tests" },
  { section: "runners", name: "Runners" },
  { section: "queue", name: "Queue" },
];

export function PipelineNav() {
  const project = useProject();
  const { section } = parseProjectPath(usePlace().path);
  // On a phone the strip scrolls; the present page must be in sight.
  const strip = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the section moves the mark
  useEffect(() => {
    const mark = strip.current?.querySelector<HTMLElement>("[aria-current]");
    if (strip.current && mark)
      strip.current.scrollLeft = mark.offsetLeft - strip.current.clientWidth / 2 + mark.offsetWidth / 2;
  }, [section]);
  return (
    <nav className="dm-subnav" aria-label="Pipelines" ref={strip}>
      {PAGES.filter((page) => page.section !== "runners" || can(project, "pipeline:write")).map((page) => (
        <Link
          key={page.section}
          href={paths.section(project.path, page.section)}
          aria-current={page.section === section ? "page" : undefined}
        >
          {page.name}
        </Link>
      ))}
    </nav>
  );
}
