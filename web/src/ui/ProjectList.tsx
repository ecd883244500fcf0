/** Projects as rows, page by page. */
import { IconArchive, IconGitFork, IconLock, IconUsersGroup, IconWorld } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { flat } from "@/api/queries";
import type { Page, Project } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { Loaded, More, ProjectMark, Topic } from "./bits";
import { languageColor } from "./format";
import { TimeAgo } from "./TimeAgo";

export function VisibilityMark({ visibility }: { visibility: Project["visibility"] }) {
  const [Glyph, label] =
    visibility === "public"
      ? ([IconWorld, "Public"] as const)
      : visibility === "internal"
        ? ([IconUsersGroup, "Internal"] as const)
        : ([IconLock, "Private"] as const);
  return (
    <span title={label}>
      <Glyph size={14} aria-hidden /> {label}
    </span>
  );
}

export interface ProjectQuery {
  data: { pages: Page<Project>[] } | undefined;
  error: unknown;
  isPending: boolean;
  refetch: () => unknown;
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage: () => unknown;
}

export function ProjectList({
  query,
  empty,
  full = true,
  action,
}: {
  query: ProjectQuery;
  empty: ReactNode;
  /** Shows the namespace too. */
  full?: boolean;
  /** What can be done with a project here, in the place of its time. */
  action?: (project: Project) => ReactNode;
}) {
  return (
    <div className="dm-panel">
      <Loaded query={query}>
        {(data) => {
          const items = flat(data);
          if (items.length === 0) return empty;
          return (
            <ul className="dm-list">
              {items.map((p) => (
                <li key={p.id} className="dm-hover">
                  <ProjectMark name={p.name} size={36} />
                  <div className="dm-grow">
                    <div className="dm-ellipsis">
                      <Link href={paths.project(p.path)} className="dm-title-link">
                        {full ? (
                          <>
                            <span className="dm-dim" style={{ fontWeight: 400 }}>
                              {p.namespace}/
                            </span>
                            {p.name}
                          </>
                        ) : (
                          p.name
                        )}
                      </Link>
                    </div>
                    {p.description ? (
                      <div className="dm-ellipsis dm-dim" style={{ fontSize: 13 }}>
                        {p.description}
                      </div>
                    ) : null}
                    <div className="dm-meta" style={{ marginTop: 2 }}>
                      {p.language ? (
                        <span>
                          <i className="dm-lang-dot" style={{ background: languageColor(p.language) }} />
                          {p.language}
                        </span>
                      ) : null}
                      <VisibilityMark visibility={p.visibility} />
                      {p.archived ? (
                        <span>
                          <IconArchive size={14} aria-hidden /> Archived
                        </span>
                      ) : null}
                      {p.template ? (
                        <span className="dm-hide-phone">
                          <IconGitFork size={14} aria-hidden /> {p.template}
                        </span>
                      ) : null}
                      {p.topics.slice(0, 4).map((t) => (
                        <Topic key={t} name={t} />
                      ))}
                    </div>
                  </div>
                  {action ? (
                    action(p)
                  ) : (
                    <div className="dm-dim dm-hide-phone" style={{ fontSize: 12.5, whiteSpace: "nowrap" }}>
                      <TimeAgo at={p.last_activity_at ?? p.updated_at} />
                    </div>
                  )}
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
