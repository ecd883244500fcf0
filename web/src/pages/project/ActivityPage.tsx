/** What happened in a project, and what the service did about it. */
import { IconActivity } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { flat, queries } from "@/api/queries";
import { useProject } from "@/app/project";
import { Avatar, Empty, Loaded, More, PageHead, useTitle } from "@/ui/bits";
import { plural } from "@/ui/format";
import { StateIcon } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";

export default function ActivityPage() {
  const project = useProject();
  useTitle("Activity", project.path);
  const query = useInfiniteQuery({ ...queries.activity(project.id), refetchInterval: 5_000 });
  return (
    <>
      <PageHead title="Activity" about="Every event, and the work that followed from it." />
      <div className="dm-panel">
        <Loaded query={query}>
          {(data) => {
            const items = flat(data);
            return items.length === 0 ? (
              <Empty icon={IconActivity} title="Nothing has happened yet" />
            ) : (
              <ul className="dm-list">
                {items.map((e) => (
                  <li key={e.id} style={{ alignItems: "flex-start" }}>
                    <Avatar name={e.actor?.name ?? "system"} size={28} />
                    <div className="dm-grow">
                      <div style={{ overflowWrap: "anywhere" }}>{e.summary}</div>
                      <div className="dm-meta">
                        <span>{e.actor?.name ?? "the service"}</span>
                        <span>
                          <TimeAgo at={e.time} />
                        </span>
                        <span className="dm-mono dm-hide-phone">{e.type}</span>
                      </div>
                      {e.work.length > 0 ? (
                        <ul className="dm-work" aria-label="Work that followed">
                          {e.work.map((w) => (
                            <li key={w.kind + w.title} title={w.error ?? undefined}>
                              <StateIcon state={w.state} size={14} />
                              {w.title}
                              {w.attempts > 1 ? (
                                <span className="dm-dim">({plural(w.attempts, "attempt")})</span>
                              ) : null}
                              {w.error && w.state !== "done" ? (
                                <span className="dm-text-bad">{w.error}</span>
                              ) : null}
                            </li>
                          ))}
                        </ul>
                      ) : null}
                    </div>
                  </li>
                ))}
              </ul>
            );
          }}
        </Loaded>
        <More query={query} />
      </div>
    </>
  );
}
