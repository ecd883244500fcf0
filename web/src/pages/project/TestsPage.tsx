/** Tests of the project over all its runs: which fail, which are flaky, which are in quarantine, which are slow. */
import { SegmentedControl, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconFilter, IconSearch, IconTestPipe } from "@tabler/icons-react";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { flat, queries, type TestState } from "@/api/queries";
import { useActions } from "@/app/actions";
import { useListKeys } from "@/app/listKeys";
import { useParam } from "@/app/location";
import { useProject } from "@/app/project";
import { Empty, Loaded, More, PageHead, useTitle } from "@/ui/bits";
import { PipelineNav } from "./PipelineNav";
import { TestRow } from "./TestParts";

const STATES: { value: TestState; label: string; none: string; about: string }[] = [
  {
    value: "",
    label: "All",
    none: "No tests yet",
    about:
      "Upload a report from a job (JUnit, TAP, TRX, go test, cargo), and every test is here with its history.",
  },
  {
    value: "failing",
    label: "Failing",
    none: "Nothing fails",
    about: "No test fails on the default branch.",
  },
  {
    value: "flaky",
    label: "Flaky",
    none: "Nothing is flaky",
    about: "No test has both failed and passed on one commit in the last 30 days.",
  },
  {
    value: "quarantined",
    label: "Quarantined",
    none: "Nothing is in quarantine",
    about: "Failures of a test in quarantine are shown and count for nothing, until a day that you choose.",
  },
  { value: "slow", label: "Slowest", none: "No tests yet", about: "The slowest tests come first here." },
];

export default function TestsPage() {
  const project = useProject();
  useTitle("Tests", project.path);
  const [state, setState] = useParam("state");
  const [q, setQ] = useParam("q");
  const [text, setText] = useState(q);
  const [typed] = useDebouncedValue(text, 250);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only what was typed moves the address
  useEffect(() => {
    if (typed !== q) setQ(typed);
  }, [typed]);
  const chosen = STATES.find((s) => s.value === state) ?? STATES[0];
  const query = useInfiniteQuery({
    ...queries.projectTests(project.id, chosen?.value ?? "", q),
    placeholderData: keepPreviousData,
  });
  const list = useListKeys();
  const search = useRef<HTMLInputElement>(null);
  useActions([
    {
      id: "filter-tests",
      name: "Find tests",
      group: "This page",
      icon: IconFilter,
      shortcut: "f",
      perform: () => search.current?.focus(),
    },
    ...list.actions,
  ]);
  return (
    <>
      <PageHead title="Tests" about="Every test that jobs have reported, over all runs." />
      <PipelineNav />
      <search className="dm-filters" aria-label="Filter tests">
        <div className="dm-scroll-x">
          <SegmentedControl
            aria-label="Which tests"
            value={chosen?.value ?? ""}
            onChange={setState}
            data={STATES.map(({ value, label }) => ({ value, label }))}
          />
        </div>
        <TextInput
          ref={search}
          className="dm-grow"
          type="search"
          aria-label="Find tests"
          placeholder="Name, class, suite or file"
          leftSection={<IconSearch size={15} aria-hidden />}
          value={text}
          maxLength={200}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      </search>
      <div className="dm-panel" aria-busy={query.isPlaceholderData || undefined}>
        <Loaded query={query}>
          {(data) => {
            const tests = flat(data);
            return tests.length === 0 ? (
              <Empty icon={IconTestPipe} title={q ? "No test matches" : (chosen?.none ?? "")}>
                {q ? "No test of this project has that in its name, class, suite or file." : chosen?.about}
              </Empty>
            ) : (
              <ul className="dm-list" ref={list.ref}>
                {tests.map((test) => (
                  <TestRow key={test.id} test={test} />
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
