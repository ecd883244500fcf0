/** One test over all runs: how it did, how long it takes, where it began to fail, and its quarantine. */
import { Button } from "@mantine/core";
import { IconAlertTriangle, IconArrowLeft, IconShieldLock, IconShieldOff } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { del } from "@/api/client";
import { flat, queries } from "@/api/queries";
import type { Test } from "@/api/types";
import { type Action, useActions } from "@/app/actions";
import { useListKeys } from "@/app/listKeys";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { can, useProject } from "@/app/project";
import { NotHere } from "@/app/Shell";
import { toast, toastError } from "@/app/toast";
import { visible } from "@/ui/bidi";
import { Empty, Figure, Loaded, More, PageHead, Panel, useTitle } from "@/ui/bits";
import { Confirm } from "@/ui/Confirm";
import { duration, exact, number, percent, short } from "@/ui/format";
import { StateBadge } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";
import { QuarantineForm, ResultRow, Results, where } from "./TestParts";

/** Results that the chart shows. */
const CHARTED = 60;

/** What a person should know first. */
function Banners({ test }: { test: Test }) {
  const project = useProject();
  return (
    <>
      {test.first_failed_commit ? (
        <div className="dm-banner dm-banner-bad">
          <IconAlertTriangle size={16} aria-hidden />
          <span>
            Fails on {project.default_branch} since commit{" "}
            <Link href={paths.commit(project.path, test.first_failed_commit)} className="dm-mono">
              {short(test.first_failed_commit)}
            </Link>
            {test.first_failed_run ? (
              <>
                {" "}
                (<Link href={paths.run(project.path, test.first_failed_run)}>its run</Link>)
              </>
            ) : null}
            , <TimeAgo at={test.first_failed_at} />.
          </span>
        </div>
      ) : null}
      {test.flaky && test.flaky_commit ? (
        <div className="dm-banner">
          <IconAlertTriangle size={16} aria-hidden />
          <span>
            Flaky: it has failed and passed on commit{" "}
            <Link href={paths.commit(project.path, test.flaky_commit)} className="dm-mono">
              {short(test.flaky_commit)}
            </Link>
            , <TimeAgo at={test.flaky_at} />.
          </span>
        </div>
      ) : null}
      {test.quarantine ? (
        <div className="dm-banner dm-banner-run">
          <IconShieldLock size={16} aria-hidden />
          <span>
            In quarantine until <time dateTime={test.quarantine.until}>{exact(test.quarantine.until)}</time>
            {test.quarantine.by ? ` by ${test.quarantine.by.name}` : ""}: {visible(test.quarantine.reason)}
          </span>
        </div>
      ) : null}
    </>
  );
}

function OneTest({ test }: { test: Test }) {
  const project = useProject();
  const client = useQueryClient();
  const history = useInfiniteQuery(queries.testHistory(test.id));
  const results = flat(history.data);
  const list = useListKeys();
  const [asking, setAsking] = useState<"set" | "lift" | null>(null);
  const lift = useMutation({
    mutationFn: () => del("/tests/{test}/quarantine", { path: { test: test.id } }),
    onSuccess: () => {
      setAsking(null);
      toast("ok", "Its failures count again");
    },
    onError: (error) => toastError("The quarantine was not ended", error),
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["project", project.id, "test", test.id] });
      void client.invalidateQueries({ queryKey: ["project", project.id, "tests"] });
    },
  });
  const may = can(project, "pipeline:write") && !project.archived;
  const actions: Action[] = [
    {
      id: "test-quarantine",
      name: test.quarantine ? "Change the quarantine" : "Quarantine this test",
      group: "This test",
      icon: IconShieldLock,
      keywords: "flaky ignore",
      visible: () => may,
      perform: () => setAsking("set"),
    },
    {
      id: "test-quarantine-lift",
      name: "End the quarantine",
      group: "This test",
      icon: IconShieldOff,
      visible: () => may && test.quarantine !== null,
      perform: () => setAsking("lift"),
    },
  ];
  useActions([...actions, ...list.actions]);
  return (
    <>
      <PageHead
        title={<span className="dm-break">{visible(test.name)}</span>}
        about={
          <div className="dm-meta" style={{ marginTop: 6 }}>
            <Link href={paths.section(project.path, "tests")}>
              <IconArrowLeft size={14} aria-hidden /> All tests
            </Link>
            <StateBadge state={test.last} />
            <span className="dm-break">{visible(where(test))}</span>
            {test.file ? (
              <Link
                href={paths.blob(project.path, project.default_branch, test.file)}
                className="dm-mono dm-break"
              >
                {visible(test.file)}
              </Link>
            ) : null}
            <span>
              last seen <TimeAgo at={test.last_at} />
            </span>
          </div>
        }
      >
        {actions
          .filter((action) => action.visible?.())
          .map((action) => (
            <Button
              key={action.id}
              variant="default"
              leftSection={<action.icon size={15} aria-hidden />}
              onClick={() => void action.perform()}
            >
              {action.name}
            </Button>
          ))}
      </PageHead>
      <Banners test={test} />
      <div className="dm-gap">
        <Panel label="Totals">
          <div className="dm-figures">
            <Figure value={number(test.runs)} label={test.runs === 1 ? "result" : "results"} />
            <Figure
              value={number(test.failures)}
              label={test.failures === 1 ? "failure" : "failures"}
              tone={test.failures > 0 ? "bad" : undefined}
            />
            <Figure value={percent(test.runs ? test.failures / test.runs : 0)} label="of results" />
            <Figure value={duration(test.median_ms)} label="median time" />
          </div>
        </Panel>
        <Loaded query={history} rows={4}>
          {() =>
            results.length === 0 ? (
              <div className="dm-panel">
                <Empty icon={IconShieldOff} title="No results are kept">
                  The results of this test are older than this service keeps them.
                </Empty>
              </div>
            ) : (
              <>
                <Panel title={`Time and result of the last ${Math.min(CHARTED, results.length)}`}>
                  <Results results={results.slice(0, CHARTED)} median={test.median_ms} />
                </Panel>
                <Panel title="Results, newest first" flush>
                  <ul className="dm-list" ref={list.ref}>
                    {results.map((result, i) => (
                      <ResultRow key={result.job_id + i} result={result} />
                    ))}
                  </ul>
                  <More query={history} />
                </Panel>
              </>
            )
          }
        </Loaded>
      </div>
      {asking === "set" ? <QuarantineForm test={test} onClose={() => setAsking(null)} /> : null}
      <Confirm
        opened={asking === "lift"}
        onClose={() => setAsking(null)}
        title="End the quarantine?"
        verb="End it"
        busy={lift.isPending}
        onConfirm={() => lift.mutate()}
      >
        From the next run on, a failure of this test fails its job.
      </Confirm>
    </>
  );
}

export default function TestPage({ rest }: { rest: string }) {
  const project = useProject();
  const query = useQuery(queries.projectTest(project.id, rest.split("/", 1)[0] ?? rest));
  useTitle(query.data?.name ?? "Test", project.path);
  return (
    <Loaded query={query} rows={8}>
      {(test) => (test ? <OneTest key={test.id} test={test} /> : <NotHere />)}
    </Loaded>
  );
}
