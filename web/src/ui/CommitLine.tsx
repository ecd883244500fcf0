import type { Commit } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { visible } from "./bidi";
import { Avatar } from "./bits";
import { Copy } from "./Copy";
import { short } from "./format";
import { StateIcon } from "./State";
import { TimeAgo } from "./TimeAgo";

/** The newest commit of what is shown, as the head of a file list. */
export function LastCommit({ commit, count }: { commit: Commit; count?: string }) {
  const project = useProject();
  return (
    <div className="dm-last-commit">
      <Avatar name={commit.author.name} size={22} />
      <strong className="dm-hide-phone">{commit.author.name}</strong>
      <Link href={paths.commit(project.path, commit.oid)} className="dm-dim dm-ellipsis dm-grow">
        {visible(commit.title)}
      </Link>
      {commit.status ? <StateIcon state={commit.status} size={16} /> : null}
      <Link href={paths.commit(project.path, commit.oid)} className="dm-dim dm-mono dm-hide-phone">
        {short(commit.oid)}
      </Link>
      <span className="dm-dim dm-hide-phone">
        <TimeAgo at={commit.committer.time} />
      </span>
      <Link href={paths.commits(project.path)} className="dm-chip">
        {count ?? "History"}
      </Link>
    </div>
  );
}

export function CommitRow({ commit }: { commit: Commit }) {
  const project = useProject();
  return (
    <li className="dm-hover">
      <Avatar name={commit.author.name} size={28} />
      <div className="dm-grow">
        <div className="dm-ellipsis">
          <Link href={paths.commit(project.path, commit.oid)} className="dm-title-link">
            {visible(commit.title)}
          </Link>
        </div>
        <div className="dm-meta">
          <span>{commit.author.name}</span>
          <span>
            <TimeAgo at={commit.author.time} />
          </span>
          {commit.parents.length > 1 ? <span>merge</span> : null}
        </div>
      </div>
      {commit.status ? <StateIcon state={commit.status} size={17} /> : null}
      <Link href={paths.commit(project.path, commit.oid)} className="dm-chip dm-mono">
        {short(commit.oid)}
      </Link>
      <span className="dm-hide-phone">
        <Copy text={commit.oid} label="Copy the commit's id" />
      </span>
    </li>
  );
}
