/** A folder at a ref. */
import { Button } from "@mantine/core";
import { IconFolderOff, IconHistory } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { flat, queries } from "@/api/queries";
import { Link, useGo } from "@/app/location";
import { paths } from "@/app/paths";
import { useHasCommits, useProject } from "@/app/project";
import { Empty, Loaded, Panel, useTitle } from "@/ui/bits";
import { LastCommit } from "@/ui/CommitLine";
import { FileTree, PathCrumbs, README } from "@/ui/FileTree";
import { Html } from "@/ui/Html";
import { RefSelect } from "@/ui/RefSelect";
import { useRefPath } from "@/ui/useRefPath";
import "./files.css";

export default function TreePage({ rest }: { rest: string }) {
  const project = useProject();
  const go = useGo();
  const { ref, path } = useRefPath(rest);
  useTitle(path || "Files", project.path);
  const hasCommits = useHasCommits();
  const tree = useQuery({ ...queries.tree(project.id, ref, path), enabled: hasCommits === true });
  const last = flat(
    useInfiniteQuery({ ...queries.commits(project.id, ref, path, 1), enabled: !!tree.data }).data,
  )[0];
  const readme = tree.data?.entries.find((e) => e.type === "blob" && /^readme\.(md|markdown)$/i.test(e.name));
  const doc = useQuery({
    ...queries.file(project.id, ref, readme?.path ?? ""),
    enabled: !!readme && path !== "",
  });
  const root = useQuery({
    ...queries.readme(project.id, ref),
    enabled: path === "" && !!tree.data?.entries.some((e) => e.type === "blob" && README.test(e.name)),
  });
  const html = path === "" ? root.data?.html : doc.data?.html;
  const nothing = (
    <Empty
      icon={IconFolderOff}
      title={path ? `There is no ${path} at ${ref}` : `There is no ${ref} yet`}
      action={
        <Button component={Link} variant="default" href={paths.project(project.path)}>
          To the overview
        </Button>
      }
    />
  );
  return (
    <>
      <div className="dm-filters" style={{ alignItems: "center" }}>
        <RefSelect value={ref} onChange={(next) => go(paths.tree(project.path, next, path))} />
        <div className="dm-grow">
          <PathCrumbs gitRef={ref} path={path} />
        </div>
        <Button
          variant="default"
          component={Link}
          href={paths.commits(project.path, ref, path)}
          leftSection={<IconHistory size={15} />}
        >
          History
        </Button>
      </div>
      <div className="dm-panel">
        {last ? <LastCommit commit={last} /> : null}
        {hasCommits === false ? (
          nothing
        ) : (
          <Loaded query={tree} rows={10}>
            {(data) => (data ? <FileTree tree={data} gitRef={ref} /> : nothing)}
          </Loaded>
        )}
      </div>
      {html ? (
        <Panel title="README">
          <Html html={html} base={{ project: project.path, ref, dir: path }} />
        </Panel>
      ) : null}
    </>
  );
}
