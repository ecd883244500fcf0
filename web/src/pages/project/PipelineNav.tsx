/** The pages about pipelines stand beside each other. */
import { Link, usePlace } from "@/app/location";
import { parseProjectPath, paths, type Section } from "@/app/paths";
import { useProject } from "@/app/project";

const PAGES: { section: Section; name: string }[] = [
  { section: "runs", name: "Runs" },
  { section: "workflows", name: "Workflows" },
  { section: "schedules", name: "Schedules" },
  { section: "queue", name: "Queue" },
];

export function PipelineNav() {
  const project = useProject();
  const { section } = parseProjectPath(usePlace().path);
  return (
    <nav className="dm-subnav" aria-label="Pipelines">
      {PAGES.map((page) => (
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
