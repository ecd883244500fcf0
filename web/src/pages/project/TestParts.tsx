/** Pieces of the pages about tests: a row, what is remarkable about a test, its last results, quarantine. */
import { Button, Group, Modal, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useId, useMemo, useState } from "react";
import { fieldErrors, put } from "@/api/client";
import type { Test, TestResult } from "@/api/types";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { toast } from "@/app/toast";
import { visible } from "@/ui/bidi";
import { FormError } from "@/ui/bits";
import { ago, duration, exact, number, plural, refName, short } from "@/ui/format";
import { lookOf, StateIcon } from "@/ui/State";
import { TimeAgo } from "@/ui/TimeAgo";
import "./tests.css";

type Status = TestResult["state"];
const ORDER: Status[] = ["passed", "failed", "error", "skipped"];

/** "17 passed, 2 failed". */
export const counted = (states: Status[]): string =>
  ORDER.map((state) => [state, states.filter((s) => s === state).length] as const)
    .filter(([, n]) => n > 0)
    .map(([state, n]) => `${number(n)} ${state}`)
    .join(", ");

/** The last results as a row of marks, the newest at the right; a failure is also taller. */
function Recent({ states }: { states: Status[] }) {
  return (
    <span
      className="dm-recent"
      role="img"
      aria-label={`Last ${plural(states.length, "result")}: ${counted(states)}`}
      title={counted(states)}
    >
      {[...states].reverse().map((state, i) => (
        <i key={i} className={`dm-${lookOf(state).tone}`} data-state={state} />
      ))}
    </span>
  );
}

/** The latest times as a line, the newest at the right. */
export function Trend({
  times,
  width = 84,
  height = 24,
}: {
  times: number[];
  width?: number;
  height?: number;
}) {
  if (times.length < 2) return <span className="dm-trend" style={{ width }} aria-hidden />;
  const max = Math.max(1, ...times);
  const step = width / (times.length - 1);
  const points = [...times]
    .reverse()
    .map((ms, i) => `${(i * step).toFixed(1)},${(height - 2 - (ms / max) * (height - 4)).toFixed(1)}`)
    .join(" ");
  const said = `Took ${duration(Math.min(...times))} to ${duration(max)} of late`;
  return (
    <svg className="dm-trend" width={width} height={height} role="img" aria-label={said}>
      <title>{said}</title>
      <polyline points={points} />
    </svg>
  );
}

/** What sets a test apart: flaky, in quarantine, failing since a commit. */
export function Marks({ test }: { test: Test }) {
  const project = useProject();
  return (
    <>
      {test.first_failed_commit ? (
        <span className="dm-text-bad">
          fails since{" "}
          <Link href={paths.commit(project.path, test.first_failed_commit)} className="dm-mono">
            {short(test.first_failed_commit)}
          </Link>
        </span>
      ) : null}
      {test.flaky ? (
        <span className="dm-badge dm-wait" title="It has failed and passed on one commit">
          flaky
        </span>
      ) : null}
      {test.quarantine ? (
        <span
          className="dm-badge dm-run"
          title={`${test.quarantine.reason} (until ${exact(test.quarantine.until)})`}
        >
          in quarantine
        </span>
      ) : null}
    </>
  );
}

export function TestRow({ test }: { test: Test }) {
  const project = useProject();
  return (
    <li className="dm-hover dm-test-row">
      <StateIcon state={test.last} size={18} />
      <div className="dm-grow">
        <div className="dm-test-name">
          <Link href={paths.test(project.path, test.id)} className="dm-title-link">
            {visible(test.name)}
          </Link>
        </div>
        <div className="dm-meta">
          <span className="dm-break">{visible(where(test))}</span>
          <Marks test={test} />
        </div>
      </div>
      <Recent states={test.recent} />
      <span className="dm-hide-phone">
        <Trend times={test.recent_ms} />
      </span>
      <span className="dm-num dm-test-time" title="The middle of its latest times">
        {test.recent_ms.length > 0 ? duration(test.median_ms) : "–"}
      </span>
    </li>
  );
}

/** Class and suite, without saying one of them twice. */
export const where = (test: { suite: string; class: string }): string =>
  [...new Set([test.class, test.suite])].filter(Boolean).join(" · ");

/** Results by run from the oldest to the newest: how long each took as a bar over what it was, all of them links. */
export function Results({ results, median }: { results: TestResult[]; median: number }) {
  const project = useProject();
  const shown = useMemo(() => [...results].reverse(), [results]);
  const max = Math.max(1, ...shown.map((r) => r.duration_ms));
  return (
    <div className="dm-results">
      <div className="dm-results-scale dm-num" aria-hidden>
        <span>{duration(max)}</span>
        <span>0</span>
      </div>
      <div className="dm-results-scroll" ref={toEnd}>
        <div className="dm-results-all">
          <span
            className="dm-results-median"
            style={{ top: `calc(${1 - Math.min(1, median / max)} * var(--bars))` }}
            title={`The middle of its latest times: ${duration(median)}`}
          />
          <ol aria-label="Results by run, the newest last">
            {shown.map((r) => (
              <li key={r.job_id + r.at}>
                <Link
                  href={paths.run(project.path, r.number, r.job_id)}
                  className={`dm-${lookOf(r.state).tone}`}
                  aria-label={`Run ${r.number}: ${r.state}, ${duration(r.duration_ms)}`}
                  title={`#${r.number} ${r.job}: ${r.state} in ${duration(r.duration_ms)}\n${refName(r.ref)} ${short(r.commit)}, ${ago(r.at)}`}
                >
                  <span className="dm-results-bar">
                    <span style={{ height: `${Math.max(3, (r.duration_ms / max) * 100)}%` }} />
                  </span>
                  <StateIcon state={r.state} size={14} label={false} />
                </Link>
              </li>
            ))}
          </ol>
        </div>
      </div>
    </div>
  );
}

/** The newest is at the right, and in sight. */
const toEnd = (node: HTMLElement | null): void => {
  if (node) node.scrollLeft = node.scrollWidth;
};

const DAY = 86_400_000;
const day = (at: number): string => {
  const local = new Date(at - new Date(at).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 10);
};
/** The last moment of a day where the reader is. */
const endOf = (date: string): string => new Date(`${date}T23:59:59`).toISOString();

/** Why and until when a test's failures count for nothing. */
export function QuarantineForm({ test, onClose }: { test: Test; onClose: () => void }) {
  const client = useQueryClient();
  const project = useProject();
  const form = useId();
  const [reason, setReason] = useState(test.quarantine?.reason ?? "");
  const [until, setUntil] = useState(() =>
    day(test.quarantine ? Date.parse(test.quarantine.until) : Date.now() + 14 * DAY),
  );
  const save = useMutation({
    mutationFn: () =>
      put("/tests/{test}/quarantine", { reason, until: endOf(until) }, { path: { test: test.id } }),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["project", project.id, "test", test.id] });
      void client.invalidateQueries({ queryKey: ["project", project.id, "tests"] });
      toast("ok", "The test is in quarantine");
      onClose();
    },
  });
  const fields = fieldErrors(save.error);
  return (
    <Modal opened onClose={onClose} title="Quarantine this test">
      <form
        id={form}
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm">
          <Text size="sm" c="dimmed">
            Its failures are shown and fail no job until the quarantine ends.
          </Text>
          <Textarea
            data-autofocus
            label="Reason"
            placeholder="Times out on a busy machine, see #12"
            required
            autosize
            minRows={2}
            maxLength={500}
            value={reason}
            error={fields.reason}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
          <TextInput
            label="Until the end of"
            type="date"
            required
            min={day(Date.now())}
            max={day(Date.now() + 365 * DAY)}
            value={until}
            error={fields.until}
            onChange={(event) => setUntil(event.currentTarget.value)}
          />
          <Group gap={6}>
            {[
              ["a week", 7],
              ["two weeks", 14],
              ["a month", 30],
              ["three months", 90],
            ].map(([label, days]) => (
              <Button
                key={label}
                size="compact-xs"
                variant="default"
                onClick={() => setUntil(day(Date.now() + Number(days) * DAY))}
              >
                {label}
              </Button>
            ))}
          </Group>
          <FormError error={save.error} known={["reason", "until"]} />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={save.isPending} disabled={!reason.trim() || !until}>
              {test.quarantine ? "Change" : "Quarantine"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

/** One result in the list. */
export function ResultRow({ result }: { result: TestResult }) {
  const project = useProject();
  return (
    <li className="dm-hover">
      <StateIcon state={result.state} size={18} />
      <div className="dm-grow">
        <Link href={paths.run(project.path, result.number, result.job_id)} className="dm-title-link">
          #{result.number} {result.job}
        </Link>
        <div className="dm-meta">
          <span className="dm-break">{refName(result.ref)}</span>
          <Link href={paths.commit(project.path, result.commit)} className="dm-mono">
            {short(result.commit)}
          </Link>
          {result.quarantined ? <span>in quarantine</span> : null}
        </div>
        {result.message ? <p className="dm-test-message">{visible(result.message)}</p> : null}
      </div>
      <div className="dm-run-times">
        <TimeAgo at={result.at} />
        <span className="dm-num">{duration(result.duration_ms)}</span>
      </div>
    </li>
  );
}
