/** One file of a search result, with its matching lines. */
import { IconFileCode } from "@tabler/icons-react";
import type { ReactNode } from "react";
import type { SearchHit } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { visible } from "./bidi";
import { plural } from "./format";

/** Cuts a line into marked and unmarked pieces. Offsets are characters of the line. */
export function marked(text: string, ranges: number[][]): ReactNode[] {
  const out: ReactNode[] = [];
  let at = 0;
  for (const [from = 0, to = 0] of [...ranges].sort(([a = 0], [b = 0]) => a - b)) {
    if (from < at || to <= from) continue;
    out.push(visible(text.slice(at, from)), <mark key={from}>{visible(text.slice(from, to))}</mark>);
    at = to;
  }
  out.push(visible(text.slice(at)));
  return out;
}

export function Hit({
  hit,
  project,
  gitRef,
  withProject,
}: {
  hit: SearchHit;
  project: string;
  gitRef: string;
  withProject?: boolean;
}) {
  return (
    <section className="dm-panel" aria-label={hit.path}>
      <header className="dm-panel-head">
        <IconFileCode size={15} aria-hidden className="dm-dim" />
        <h2 className="dm-ellipsis">
          {withProject ? (
            <Link href={paths.project(project)} className="dm-dim">
              {project}
            </Link>
          ) : null}
          <Link href={paths.blob(project, gitRef, hit.path)} className="dm-title-link dm-ellipsis">
            {hit.path}
          </Link>
        </h2>
        <span className="dm-dim" style={{ fontSize: 12, paddingRight: 8 }}>
          {plural(hit.matches.length, "line")}
        </span>
      </header>
      <div className="dm-hit">
        {hit.matches.map((m) => (
          <Link key={m.line} href={paths.blob(project, gitRef, hit.path, m.line)} className="dm-hit-line">
            <span className="dm-hit-number">{m.line}</span>
            <code>{marked(m.text, m.ranges)}</code>
          </Link>
        ))}
      </div>
    </section>
  );
}
