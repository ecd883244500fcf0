/** One file at a ref: code with line anchors, rendered Markdown, images, or a download. */
import { ActionIcon, Button, SegmentedControl, Tooltip } from "@mantine/core";
import {
  IconAlertTriangle,
  IconDownload,
  IconFileCode,
  IconFileZip,
  IconHistory,
  IconLink,
} from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { queries } from "@/api/queries";
import type { FileView } from "@/api/types";
import { useActions } from "@/app/actions";
import { Link, useGo, useParam } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { toast } from "@/app/toast";
import { BIDI } from "@/ui/bidi";
import { Empty, Loaded, Rows, useTitle } from "@/ui/bits";
import { Copy } from "@/ui/Copy";
import { PathCrumbs } from "@/ui/FileTree";
import { bytes, number } from "@/ui/format";
import { Html } from "@/ui/Html";
import { RefSelect } from "@/ui/RefSelect";
import { useRefPath } from "@/ui/useRefPath";
import "./files.css";

const CodeView = lazy(() => import("@/code/CodeView"));
const IMAGE = /\.(png|jpe?g|gif|webp|avif|ico|bmp)$/i;

function Content({ file, gitRef, view }: { file: FileView; gitRef: string; view: string }) {
  const project = useProject();
  const raw = paths.raw(project.id, gitRef, file.path);
  if (file.binary || file.encoding === "base64") {
    return IMAGE.test(file.path) ? (
      <div className="dm-image-view">
        <img src={raw} alt={file.path} />
      </div>
    ) : (
      <Empty
        icon={IconFileZip}
        title="A binary file"
        action={
          <Button component="a" href={raw} download variant="default">
            Download {bytes(file.size)}
          </Button>
        }
      >
        It is not shown as text.
      </Empty>
    );
  }
  if (file.html && view !== "code") {
    return (
      <div className="dm-panel-body">
        <Html
          html={file.html}
          base={{
            project: project.path,
            ref: gitRef,
            dir: file.path.includes("/") ? file.path.replace(/\/[^/]*$/, "") : "",
          }}
        />
      </div>
    );
  }
  if (file.content === "") return <Empty small icon={IconFileCode} title="An empty file" />;
  return (
    <>
      {BIDI.test(file.content) ? (
        <div className="dm-banner" style={{ margin: 10 }} role="alert">
          <IconAlertTriangle size={16} aria-hidden />
          This file holds bidirectional control characters: it may read differently from what it does. They
          are marked below.
        </div>
      ) : null}
      {file.truncated ? (
        <div className="dm-banner" style={{ margin: 10 }}>
          <IconAlertTriangle size={16} aria-hidden /> Only the beginning is shown.{" "}
          <a href={raw}>The whole file</a> has {bytes(file.size)}.
        </div>
      ) : null}
      <Suspense fallback={<Rows n={12} />}>
        <CodeView text={file.content} path={file.path} />
      </Suspense>
    </>
  );
}

export default function Blob({ rest }: { rest: string }) {
  const project = useProject();
  const go = useGo();
  const { ref, path } = useRefPath(rest);
  const [view, setView] = useParam("view");
  useTitle(path, project.path);
  const query = useQuery(queries.file(project.id, ref, path));
  const file = query.data;
  const permalink = file ? paths.blob(project.path, file.commit, path) : "";
  useActions([
    {
      id: "permalink",
      name: "Copy permanent link",
      group: "This file",
      icon: IconLink,
      shortcut: "y",
      visible: () => !!file,
      perform: async () => {
        await navigator.clipboard.writeText(window.location.origin + permalink + window.location.hash);
        toast("ok", "Permanent link copied");
      },
    },
  ]);
  const lines =
    file && !file.binary ? file.content.split("\n").length - (file.content.endsWith("\n") ? 1 : 0) : null;
  return (
    <>
      <div className="dm-filters" style={{ alignItems: "center" }}>
        <RefSelect value={ref} onChange={(next) => go(paths.blob(project.path, next, path))} />
        <div className="dm-grow">
          <PathCrumbs gitRef={ref} path={path} file />
        </div>
      </div>
      <div className="dm-panel">
        <header className="dm-panel-head">
          <h2>
            <span className="dm-meta">
              {file?.language ? <span>{file.language}</span> : null}
              {lines !== null ? <span>{number(lines)} lines</span> : null}
              {file ? <span>{bytes(file.size)}</span> : null}
            </span>
          </h2>
          <div className="dm-panel-actions">
            {file?.html ? (
              <SegmentedControl
                size="xs"
                aria-label="View"
                value={view === "code" ? "code" : ""}
                onChange={setView}
                data={[
                  { value: "", label: "Preview" },
                  { value: "code", label: "Code" },
                ]}
              />
            ) : null}
            <Tooltip label="History of this file">
              <ActionIcon
                component={Link}
                href={paths.commits(project.path, ref, path)}
                aria-label="History of this file"
              >
                <IconHistory size={16} />
              </ActionIcon>
            </Tooltip>
            {file && !file.binary ? <Copy text={file.content} label="Copy the content" /> : null}
            <Tooltip label="Raw file">
              <ActionIcon component="a" href={paths.raw(project.id, ref, path)} aria-label="Raw file">
                <IconDownload size={16} />
              </ActionIcon>
            </Tooltip>
          </div>
        </header>
        <Loaded query={query} rows={12}>
          {(data) => <Content file={data} gitRef={ref} view={view} />}
        </Loaded>
      </div>
    </>
  );
}
