/** History of a branch, a folder or a file. */
import { IconGitCommit } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { flat, queries } from "@/api/queries";
import type { Commit } from "@/api/types";
import { useGo } from "@/app/location";
import { paths } from "@/app/paths";
import { useHasCommits, useProject } from "@/app/project";
import { Empty, Loaded, More, PageHead, useTitle } from "@/ui/bits";
import { CommitRow } from "@/ui/CommitLine";
import { PathCrumbs } from "@/ui/FileTree";
import { RefSelect } from "@/ui/RefSelect";
import { useRefPath } from "@/ui/useRefPath";
import "./files.css";

const dayFormat = new Intl.DateTimeFormat("en", { dateStyle: "long" });

export function byDay(commits: Commit[]): [string, Commit[]][] {
  const out: [string, Commit[]][] = [];
  for (const commit of commits) {
    const day = dayFormat.format(new Date(commit.committer.time));
    const last = out.at(-1);
    if (last?.[0] === day) last[1].push(commit);
    else out.push([day, [commit]]);
  }
  return out;
}

export default function Commits({ rest }: { rest: string }) {
  const project = useProject();
  const go = useGo();
  const { ref, path } = useRefPath(rest);
  useTitle("Commits", path, project.path);
  const hasCommits = useHasCommits();
  const query = useInfiniteQuery({
    ...queries.commits(project.id, ref, path),
    enabled: hasCommits === true,
  });
  const none = (
    <div className="dm-panel">
      <Empty icon={IconGitCommit} title="No commits here yet">
        {hasCommits === false ? "The repository is empty; the overview tells how to push." : null}
      </Empty>
    </div>
  );
  return (
    <>
      <PageHead title="Commits" />
      <div className="dm-filters" style={{ alignItems: "center" }}>
        <RefSelect value={ref} onChange={(next) => go(paths.commits(project.path, next, path))} />
        {path ? <PathCrumbs gitRef={ref} path={path} file /> : null}
      </div>
      {hasCommits === false ? (
        none
      ) : (
        <Loaded query={query}>
          {(data) => {
            const commits = flat(data);
            return commits.length === 0
              ? none
              : byDay(commits).map(([day, list]) => (
                  <section key={day} className="dm-day">
                    <h2>{day}</h2>
                    <ul className="dm-list dm-panel">
                      {list.map((c) => (
                        <CommitRow key={c.oid} commit={c} />
                      ))}
                    </ul>
                  </section>
                ));
          }}
        </Loaded>
      )}
      <More query={query} />
    </>
  );
}
