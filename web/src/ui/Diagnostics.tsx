/** Located errors and warnings of workflow files. */
import { IconAlertTriangle, IconCircleX, IconInfoCircle } from "@tabler/icons-react";
import type { Diagnostic } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";

export function Diagnostics({ items, gitRef }: { items: Diagnostic[]; gitRef: string }) {
  const project = useProject();
  if (items.length === 0) return null;
  return (
    <ul className="dm-diagnostics">
      {items.map((d, i) => (
        <li
          key={i}
          className={d.severity === "error" ? "dm-bad" : d.severity === "warning" ? "dm-wait" : "dm-idle"}
        >
          {d.severity === "error" ? (
            <IconCircleX size={15} aria-label="Error" />
          ) : d.severity === "warning" ? (
            <IconAlertTriangle size={15} aria-label="Warning" />
          ) : (
            <IconInfoCircle size={15} aria-label="Note" />
          )}
          <span>
            {d.message}{" "}
            {d.file ? (
              <Link href={paths.blob(project.path, gitRef, d.file, d.line ?? undefined)} className="dm-mono">
                {d.file}
                {d.line ? `:${d.line}${d.column ? `:${d.column}` : ""}` : ""}
              </Link>
            ) : null}
          </span>
        </li>
      ))}
    </ul>
  );
}
