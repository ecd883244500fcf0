/** Messages about places in a text that is being written: a click goes there. */
import { IconAlertTriangle, IconCircleX, IconInfoCircle } from "@tabler/icons-react";
import type { Diagnostic } from "@/api/types";

export function MessageList({ items, onOpen }: { items: Diagnostic[]; onOpen?: (d: Diagnostic) => void }) {
  return (
    <ul className="dm-messages">
      {items.map((d, i) => {
        const Glyph =
          d.severity === "error"
            ? IconCircleX
            : d.severity === "warning"
              ? IconAlertTriangle
              : IconInfoCircle;
        const body = (
          <>
            <Glyph size={15} aria-label={d.severity} />
            <span className="dm-grow">{d.message}</span>
            {d.line > 0 ? (
              <span className="dm-dim dm-num">
                {d.line}:{d.column}
              </span>
            ) : null}
          </>
        );
        return (
          <li
            key={i}
            className={d.severity === "error" ? "dm-bad" : d.severity === "warning" ? "dm-wait" : "dm-idle"}
          >
            {onOpen && d.line > 0 ? (
              <button type="button" title={d.code} onClick={() => onOpen(d)}>
                {body}
              </button>
            ) : (
              <div title={d.code}>{body}</div>
            )}
          </li>
        );
      })}
    </ul>
  );
}
