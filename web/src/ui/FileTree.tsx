/** One folder of a repository as a list. */
import {
  IconArrowUp,
  IconFile,
  IconFileSymlink,
  IconFolderFilled,
  IconFolderSymlink,
} from "@tabler/icons-react";
import type { Tree, TreeEntry } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { visible } from "./bidi";
import { bytes } from "./format";
import { TimeAgo } from "./TimeAgo";

function EntryIcon({ type }: { type: TreeEntry["type"] }) {
  switch (type) {
    case "tree":
      return <IconFolderFilled size={17} className="dm-folder" aria-label="Folder" />;
    case "symlink":
      return <IconFileSymlink size={17} className="dm-dim" aria-label="Symbolic link" />;
    case "submodule":
      return <IconFolderSymlink size={17} className="dm-dim" aria-label="Submodule" />;
    default:
      return <IconFile size={17} className="dm-dim" aria-label="File" stroke={1.6} />;
  }
}

/** Names that the server shows as a README. */
export const README = /^readme(\.(md|markdown|txt|rst))?$/i;

export function FileTree({ tree, gitRef }: { tree: Tree; gitRef: string }) {
  const project = useProject();
  const up = tree.path.includes("/") ? tree.path.slice(0, tree.path.lastIndexOf("/")) : "";
  const order = (e: TreeEntry) => (e.type === "tree" || e.type === "submodule" ? 0 : 1);
  const entries = [...tree.entries].sort((a, b) => order(a) - order(b) || (a.name < b.name ? -1 : 1));
  return (
    <table className="dm-files" aria-label={tree.path ? `Files in ${tree.path}` : "Files"}>
      <tbody>
        {tree.path ? (
          <tr>
            <td className="dm-file-cell">
              <Link
                href={paths.tree(project.path, gitRef, up)}
                className="dm-plain dm-file-name"
                aria-label="Parent folder"
              >
                <IconArrowUp size={16} className="dm-dim" /> ..
              </Link>
            </td>
            <td className="dm-file-commit dm-hide-phone" />
            <td className="dm-file-size dm-hide-phone" />
            <td className="dm-file-time" />
          </tr>
        ) : null}
        {entries.map((e) => (
          <tr key={e.name}>
            <td className="dm-file-cell">
              {e.type === "submodule" ? (
                <span className="dm-file-name">
                  <EntryIcon type={e.type} /> {visible(e.name)}{" "}
                  <span className="dm-dim dm-mono">@ {e.oid.slice(0, 8)}</span>
                </span>
              ) : (
                <Link
                  href={(e.type === "tree" ? paths.tree : paths.blob)(project.path, gitRef, e.path)}
                  className="dm-plain dm-file-name"
                >
                  <EntryIcon type={e.type} />
                  <span className="dm-ellipsis">{visible(e.name)}</span>
                </Link>
              )}
            </td>
            <td className="dm-file-commit dm-hide-phone">
              {e.last_commit ? (
                <Link href={paths.commit(project.path, e.last_commit.oid)} className="dm-dim">
                  {e.last_commit.title}
                </Link>
              ) : null}
            </td>
            <td className="dm-file-size dm-hide-phone">{e.type === "blob" ? bytes(e.size) : ""}</td>
            <td className="dm-file-time">{e.last_commit ? <TimeAgo at={e.last_commit.time} /> : null}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The path as links to each folder. */
export function PathCrumbs({ gitRef, path, file }: { gitRef: string; path: string; file?: boolean }) {
  const project = useProject();
  const words = path ? path.split("/") : [];
  return (
    <nav className="dm-path" aria-label="Path">
      <Link href={paths.tree(project.path, gitRef)}>{project.name}</Link>
      {words.map((word, i) => {
        const to = words.slice(0, i + 1).join("/");
        const last = i === words.length - 1;
        return (
          <span key={to}>
            <span className="dm-dim">/</span>
            {last ? (
              <strong aria-current="page">{visible(word)}</strong>
            ) : (
              <Link href={paths.tree(project.path, gitRef, to)}>{visible(word)}</Link>
            )}
          </span>
        );
      })}
      {file || words.length === 0 ? null : <span className="dm-dim">/</span>}
    </nav>
  );
}
