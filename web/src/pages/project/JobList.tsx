/** The jobs of a run beside its log: a list at the side, one choice on a phone. */
import { NativeSelect, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import type { Job } from "@/api/types";
import { shownState } from "@/graph/model";
import { lookOf, StateIcon } from "@/ui/State";
import { Elapsed } from "@/ui/TimeAgo";

/** From so many on they can be searched. */
const MANY = 20;

export function JobList({
  jobs,
  chosen,
  onSelect,
}: {
  jobs: Job[];
  chosen: Job;
  onSelect: (job: Job) => void;
}) {
  const [text, setText] = useState("");
  const list = useRef<HTMLElement>(null);
  // What is chosen elsewhere comes into sight, without moving the page.
  useEffect(() => {
    const box = list.current;
    const row = chosen.id && box?.querySelector<HTMLElement>("[aria-current]");
    if (!box || !row) return;
    const { offsetTop: y, offsetHeight: h } = row;
    if (y < box.scrollTop || y + h > box.scrollTop + box.clientHeight)
      box.scrollTop = y - (box.clientHeight - h) / 2;
  }, [chosen.id]);
  const typed = text.trim().toLowerCase();
  const shown = typed ? jobs.filter((j) => j.name.toLowerCase().includes(typed)) : jobs;
  return (
    <>
      <NativeSelect
        className="dm-job-choice"
        aria-label="Job"
        value={chosen.id}
        onChange={(event) => {
          const job = jobs.find((j) => j.id === event.currentTarget.value);
          if (job) onSelect(job);
        }}
        data={(jobs.some((j) => j.id === chosen.id) ? jobs : [chosen, ...jobs]).map((j) => ({
          value: j.id,
          label: `${j.name} (${lookOf(shownState(j)).label})`,
        }))}
      />
      <nav className="dm-job-list" aria-label="Jobs" ref={list}>
        {jobs.length > MANY ? (
          <TextInput
            size="xs"
            type="search"
            aria-label="Find a job"
            placeholder="Find a job"
            leftSection={<IconSearch size={13} aria-hidden />}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
          />
        ) : null}
        {shown.map((j) => (
          <button
            type="button"
            key={j.id}
            aria-current={j.id === chosen.id ? "true" : undefined}
            title={j.name}
            onClick={() => onSelect(j)}
          >
            <StateIcon state={shownState(j)} size={16} />
            <span className="dm-ellipsis dm-grow">{j.name}</span>
            <Elapsed from={j.started_at} to={j.finished_at} />
          </button>
        ))}
        {shown.length === 0 ? <p className="dm-dim dm-job-none">No job is called so.</p> : null}
      </nav>
    </>
  );
}
