/** A job's log: live, folded by step and group, searchable, and virtual, so that its size does not matter. */
import { ActionIcon, Button, Loader, TextInput, Tooltip } from "@mantine/core";
import {
  IconArrowBarToDown,
  IconChevronDown,
  IconChevronRight,
  IconChevronUp,
  IconDownload,
  IconFoldDown,
  IconFoldUp,
  IconSearch,
} from "@tabler/icons-react";
import {
  type ReactNode,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { address, fetchRaw, url } from "@/api/client";
import { openStream } from "@/api/events";
import type { Job } from "@/api/types";
import { useActions } from "@/app/actions";
import { ProblemView } from "@/ui/bits";
import { bytes, usage } from "@/ui/format";
import { StateIcon, stateOf } from "@/ui/State";
import { Elapsed } from "@/ui/TimeAgo";
import { command, parseAnsi, type Span } from "./ansi";
import { LINE, LogModel, type Row, type Section } from "./model";
import { MAX_HITS, type SearchState, searchLog } from "./search";
import { CHUNK, LogStore } from "./store";
import "./log.css";

/** Browsers stop somewhere above 16 million pixels; longer logs scroll faster than their pixels. */
const MAX_HEIGHT = 8_000_000;

function makeStore(job: string): LogStore {
  return new LogStore(async (offset, limit, signal) => {
    const response = await fetchRaw("/jobs/{job}/log", {
      path: { job },
      query: { offset, limit },
      signal,
    });
    const body = new Uint8Array(await response.arrayBuffer());
    const length = response.headers.get("x-log-length");
    return {
      bytes: body,
      next: Number(response.headers.get("x-log-next") ?? offset + body.length),
      complete: response.headers.get("x-log-complete") === "true",
      length: length === null ? null : Number(length),
    };
  });
}

/** Steps as sections of the byte range; what lies outside of any step is the runner's own. */
export function sectionsOf(job: Job, length: number): Section[] {
  const out: Section[] = [];
  const own = (key: string, title: string, from: number, to: number | null) => {
    if (to === null || to > from) {
      out.push({ key, title, state: "done", from, to, started_at: null, finished_at: null, exit_code: null });
    }
  };
  let at = 0;
  for (const step of job.steps) {
    const state = stateOf(step);
    if (step.log_from === null || step.log_from === undefined) {
      if (job.state !== "completed" || state === "skipped") {
        out.push({
          key: `s${step.index}`,
          title: step.name,
          state,
          from: at,
          to: at,
          started_at: step.started_at,
          finished_at: step.finished_at,
          exit_code: step.exit_code,
          used: usage(step.usage),
        });
      }
      continue;
    }
    if (step.log_from > at) own(`o${at}`, at === 0 ? "Set up job" : "Between steps", at, step.log_from);
    const open = step.state === "running" || step.log_to === null;
    out.push({
      key: `s${step.index}`,
      title: step.name,
      state,
      from: step.log_from,
      to: open ? null : step.log_to,
      started_at: step.started_at,
      finished_at: step.finished_at,
      exit_code: step.exit_code,
      used: usage(step.usage),
    });
    at = open ? Number.POSITIVE_INFINITY : Math.max(at, step.log_to ?? at);
  }
  if (at < length) {
    const before = out.findIndex((s) => s.from >= at && s.from === s.to && s.state === "pending");
    const tail: Section = {
      key: `o${at}`,
      title:
        at === 0
          ? job.state === "completed"
            ? "Log"
            : "Set up job"
          : job.state === "completed"
            ? "Complete job"
            : "After the step",
      state: job.state === "completed" ? (job.steps.length === 0 ? stateOf(job) : "done") : "running",
      from: at,
      to: job.state === "completed" ? length : null,
      started_at: null,
      finished_at: null,
      exit_code: null,
    };
    if (before >= 0) out.splice(before, 0, tail);
    else out.push(tail);
  }
  return out;
}

function mark(text: string, needle: string): ReactNode {
  if (!needle) return text;
  const low = text.toLowerCase();
  const out: ReactNode[] = [];
  let at = 0;
  for (let hit = low.indexOf(needle); hit >= 0; hit = low.indexOf(needle, at)) {
    out.push(text.slice(at, hit), <mark key={hit}>{text.slice(hit, hit + needle.length)}</mark>);
    at = hit + needle.length;
  }
  out.push(text.slice(at));
  return out;
}

function Spans({ spans, needle }: { spans: Span[]; needle: string }) {
  return spans.map((s, i) =>
    s.className || s.color || s.background ? (
      <span
        key={i}
        className={s.className}
        style={s.color || s.background ? { color: s.color, background: s.background } : undefined}
      >
        {mark(s.text, needle)}
      </span>
    ) : (
      <span key={i}>{mark(s.text, needle)}</span>
    ),
  );
}

/** `#o1234` names the line at a byte. */
const offsetOf = (hash: string): number | null => {
  const m = /^#?o(\d+)$/.exec(hash);
  return m ? Number(m[1]) : null;
};

export default function LogView({ job, height }: { job: Job; height?: string }) {
  const store = useMemo(() => makeStore(job.id), [job.id]);
  const model = useMemo(() => new LogModel(store), [store]);
  const version = useSyncExternalStore(store.subscribe, store.version);
  const [folds, setFolds] = useState(0);
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [follow, setFollow] = useState(job.state === "running");
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<SearchState | null>(null);
  const [current, setCurrent] = useState(-1);
  const [target, setTarget] = useState<number | null>(() => offsetOf(window.location.hash));
  const input = useRef<HTMLInputElement>(null);
  const needle = query.trim().toLowerCase();
  const live = job.state === "running" || job.state === "queued";

  // The end of the log: steps tell it for a finished job, the stream for a running one.
  const known = Math.max(job.log_length ?? 0, ...job.steps.map((s) => s.log_to ?? s.log_from ?? 0));
  useEffect(() => store.grow(known), [store, known]);
  useEffect(() => {
    let closed = false;
    let close = () => {};
    void store
      .ensure(0)
      .catch(() => undefined)
      .then(() => {
        if (closed || (store.complete && !live)) return;
        const from = Math.floor(Math.max(store.length - 1, 0) / CHUNK) * CHUNK;
        if (!live) {
          // The steps' offsets leave out what the runner wrote after the last step.
          void store.ensure(from / CHUNK).catch(() => undefined);
          return;
        }
        close = openStream(
          () => url(address("/jobs/{job}/log/stream", { job: job.id }), { offset: store.contiguous(from) }),
          {
            log: (data, id) => {
              const piece = data as { offset: number; text: string };
              store.append(
                piece.offset,
                piece.text,
                Number(id) || piece.offset + new TextEncoder().encode(piece.text).length,
              );
            },
            end: () => store.finish(),
          },
        );
      });
    return () => {
      closed = true;
      close();
    };
  }, [store, job.id, live]);

  // Rows, keeping the line at the top where it is while estimates become facts.
  const anchor = useRef<{ offset: number; delta: number } | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: version and folds stand for what changed inside
  const rows = useMemo(() => {
    model.update(sectionsOf(job, store.length));
    return model.rows;
  }, [model, job, version, folds]);

  const total = model.height;
  const pixels = Math.min(total, MAX_HEIGHT);
  const scale = useCallback(
    (scrollTop: number) => {
      const reach = Math.max(1, pixels - view.height);
      return total <= pixels ? scrollTop : (scrollTop / reach) * (total - view.height);
    },
    [pixels, total, view.height],
  );
  const unscale = (top: number) =>
    total <= pixels ? top : (top / Math.max(1, total - view.height)) * (pixels - view.height);

  const scrollToRow = (row: number, middle = true) => {
    const node = scroller.current;
    if (!node) return;
    const top = Math.max(0, model.topOf(row) - (middle ? view.height / 3 : 0));
    node.scrollTop = unscale(top);
  };

  useLayoutEffect(() => {
    const node = scroller.current;
    if (!node) return;
    const watch = new ResizeObserver(() => setView((v) => ({ ...v, height: node.clientHeight })));
    watch.observe(node);
    return () => watch.disconnect();
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: only a change of the rows moves the view
  useLayoutEffect(() => {
    const node = scroller.current;
    if (!node) return;
    if (follow && live) {
      node.scrollTop = node.scrollHeight;
      return;
    }
    const at = anchor.current;
    if (at) {
      const row = model.rowOf(at.offset);
      if (row !== null) {
        const wanted = unscale(model.topOf(row) + at.delta);
        if (Math.abs(wanted - node.scrollTop) > 1) node.scrollTop = wanted;
      }
    }
  }, [rows, version]);

  const virtualTop = scale(view.top);
  const first = Math.max(0, model.rowAt(virtualTop) - 10);
  const last = Math.min(rows, model.rowAt(virtualTop + view.height) + 10);

  useEffect(() => {
    for (const chunk of model.missing(first, last)) void store.ensure(chunk).catch(() => undefined);
  });

  // Search runs again from where it stopped when the log grows.
  const progress = useRef<{ needle: string; at: number; hits: number[] }>({ needle: "", at: 0, hits: [] });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the length restarts the search of a live log
  useEffect(() => {
    if (needle.length < 2) {
      setFound(null);
      setCurrent(-1);
      return;
    }
    const state = progress.current.needle === needle ? progress.current : { needle, at: 0, hits: [] };
    progress.current = state;
    const abort = new AbortController();
    const timer = setTimeout(
      () =>
        void searchLog(
          store,
          needle,
          state.at,
          state.hits,
          (result) => {
            state.at = result.searched;
            setFound({ ...result, hits: [...result.hits] });
          },
          abort.signal,
        ),
      state.at === 0 ? 150 : 600,
    );
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [needle, store, live ? store.length : 0]);

  const show = (offset: number) => {
    setFollow(false);
    anchor.current = null;
    const go = () => {
      model.update(sectionsOf(job, store.length));
      model.reveal(offset);
      setFolds((n) => n + 1);
      requestAnimationFrame(() => {
        const row = model.rowOf(offset);
        if (row !== null) scrollToRow(row);
      });
    };
    void store
      .ensure(Math.floor(offset / CHUNK))
      .catch(() => undefined)
      .then(go);
  };
  const step = (by: number) => {
    const hits = found?.hits ?? [];
    if (hits.length === 0) return;
    const next = (current + by + hits.length) % hits.length;
    setCurrent(next);
    show(hits[next] ?? 0);
  };

  // A failed job opens at the step that failed.
  const placed = useRef(live || target !== null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: waits for the rows
  useEffect(() => {
    if (placed.current || rows === 0) return;
    const at = model.blocks.find((b) => b.kind === "head" && model.sections[b.section]?.state === "failure");
    if (!at || (store.length === 0 && !store.complete)) return;
    placed.current = true;
    if (scroller.current) scroller.current.scrollTop = unscale(at.top);
  }, [version, rows]);

  // A link to a line: go there once its place exists.
  const jumped = useRef(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: runs until the place exists
  useEffect(() => {
    if (target === null || jumped.current || store.length <= target) return;
    jumped.current = true;
    show(target);
  }, [version, target]);

  useActions([
    {
      id: "log-search",
      name: "Search in the log",
      group: "Log",
      icon: IconSearch,
      shortcut: "mod+f",
      perform: () => input.current?.focus(),
    },
    {
      id: "log-unfold",
      name: "Unfold all steps",
      group: "Log",
      icon: IconFoldDown,
      perform: () => {
        model.openAll(true);
        setFolds((n) => n + 1);
      },
    },
    {
      id: "log-fold",
      name: "Fold all steps",
      group: "Log",
      icon: IconFoldUp,
      perform: () => {
        model.openAll(false);
        setFolds((n) => n + 1);
      },
    },
  ]);

  const onScroll = () => {
    const node = scroller.current;
    if (!node) return;
    const top = node.scrollTop;
    setView((v) => ({ ...v, top }));
    const atEnd = node.scrollHeight - top - node.clientHeight < LINE * 1.5;
    if (live && follow !== atEnd) setFollow(atEnd);
    const row = model.rowAt(scale(top));
    const here = model.row(row);
    anchor.current =
      here?.kind === "line" ? { offset: here.start, delta: scale(top) - model.topOf(row) } : null;
  };

  const line = (row: Extract<Row, { kind: "line" }>, index: number) => {
    const { text } = store.line(row.start, row.end);
    const cmd = row.group ? null : command(text);
    const hit = found?.hits[current] === row.start || target === row.start;
    return (
      <div
        key={index}
        className={`dm-log-line ${cmd ? `dm-log-${cmd.kind}` : ""}`}
        data-hit={hit || undefined}
      >
        <a
          className="dm-log-number"
          href={`#o${row.start}`}
          aria-label={row.number === null ? "Link to this line" : `Line ${row.number}`}
          onClick={(event) => {
            event.preventDefault();
            setTarget(row.start);
            jumped.current = true;
            history.replaceState(history.state, "", `#o${row.start}`);
          }}
        >
          {row.number ?? "·"}
        </a>
        {row.group ? (
          <button
            type="button"
            className="dm-log-group"
            aria-expanded={!row.group.folded}
            onClick={() => {
              model.toggleGroup(row.group?.offset ?? 0);
              setFolds((n) => n + 1);
            }}
          >
            {row.group.folded ? <IconChevronRight size={14} /> : <IconChevronDown size={14} />}
            {mark(row.group.name || "Group", needle)}
          </button>
        ) : (
          <span className="dm-log-text">
            {cmd && cmd.kind !== "command" ? <b>{cmd.kind === "debug" ? "" : `${cmd.kind}: `}</b> : null}
            <Spans spans={parseAnsi(cmd ? cmd.text : text)} needle={needle} />
          </span>
        )}
      </div>
    );
  };

  const body: ReactNode[] = [];
  for (let index = first; index < last; index++) {
    const row = model.row(index);
    if (!row) continue;
    if (row.kind === "line") body.push(line(row, index));
    else if (row.kind === "missing") {
      body.push(
        <div key={index} className="dm-log-line dm-log-missing">
          <span className="dm-log-number" />
          <span style={{ width: `${20 + ((index * 37) % 50)}%` }} />
        </div>,
      );
    } else {
      const { section } = row;
      const hasText = section.to === null || section.to > section.from;
      body.push(
        <button
          type="button"
          key={index}
          className="dm-log-head"
          aria-expanded={hasText ? row.open : undefined}
          disabled={!hasText}
          onClick={() => {
            model.toggle(section);
            setFolds((n) => n + 1);
          }}
        >
          {hasText ? (
            row.open ? (
              <IconChevronDown size={15} />
            ) : (
              <IconChevronRight size={15} />
            )
          ) : (
            <span style={{ width: 15 }} />
          )}
          <StateIcon state={section.state} size={15} />
          <span className="dm-ellipsis">{section.title}</span>
          {section.exit_code ? <span className="dm-log-exit">exit {section.exit_code}</span> : null}
          <span className="dm-grow" />
          {section.used ? <span className="dm-log-used dm-num">{section.used}</span> : null}
          <Elapsed from={section.started_at} to={section.finished_at} />
        </button>,
      );
    }
  }

  return (
    <div className="dm-log">
      <div className="dm-log-bar">
        <TextInput
          ref={input}
          size="xs"
          className="dm-grow"
          aria-label="Search in the log"
          placeholder="Search in the log"
          leftSection={<IconSearch size={14} />}
          value={query}
          onChange={(event) => {
            setQuery(event.currentTarget.value);
            setCurrent(-1);
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
            if (event.key === "Escape") setQuery("");
          }}
        />
        {found ? (
          <>
            <span className="dm-dim dm-num" role="status" style={{ fontSize: 12, whiteSpace: "nowrap" }}>
              {found.hits.length === 0
                ? found.done
                  ? "No match"
                  : `${bytes(found.searched)} searched`
                : `${current < 0 ? "" : `${current + 1} of `}${found.hits.length}${found.hits.length >= MAX_HITS ? "+" : ""}`}
              {found.done ? null : <Loader size={10} ml={6} />}
            </span>
            <ActionIcon
              aria-label="Previous match"
              disabled={found.hits.length === 0}
              onClick={() => step(-1)}
            >
              <IconChevronUp size={15} />
            </ActionIcon>
            <ActionIcon aria-label="Next match" disabled={found.hits.length === 0} onClick={() => step(1)}>
              <IconChevronDown size={15} />
            </ActionIcon>
          </>
        ) : null}
        <Tooltip label="Unfold all">
          <ActionIcon
            aria-label="Unfold all steps"
            onClick={() => {
              model.openAll(true);
              setFolds((n) => n + 1);
            }}
          >
            <IconFoldDown size={16} />
          </ActionIcon>
        </Tooltip>
        <Tooltip label="Fold all">
          <ActionIcon
            aria-label="Fold all steps"
            onClick={() => {
              model.openAll(false);
              setFolds((n) => n + 1);
            }}
          >
            <IconFoldUp size={16} />
          </ActionIcon>
        </Tooltip>
        <Tooltip label={`Download (${bytes(store.length)})`}>
          <ActionIcon
            component="a"
            href={address("/jobs/{job}/log", { job: job.id })}
            download={`${job.key}.log`}
            aria-label="Download the log"
          >
            <IconDownload size={16} />
          </ActionIcon>
        </Tooltip>
      </div>
      {store.error ? (
        <ProblemView error={store.error} retry={() => void store.ensure(0).catch(() => undefined)} />
      ) : null}
      <div
        className="dm-log-scroll"
        ref={scroller}
        onScroll={onScroll}
        style={{ height: height ?? `min(${Math.max(total, 120) + 2}px, max(320px, calc(100dvh - 220px)))` }}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable with the keyboard
        tabIndex={0}
        role="log"
        aria-label={`Log of ${job.name}`}
        aria-live="off"
      >
        <div style={{ height: pixels, position: "relative" }}>
          <div
            className="dm-log-rows"
            style={{ transform: `translateY(${view.top - virtualTop + model.topOf(first)}px)` }}
          >
            {body}
          </div>
        </div>
      </div>
      {live && !follow ? (
        <Button
          size="xs"
          className="dm-log-follow"
          leftSection={<IconArrowBarToDown size={14} />}
          onClick={() => {
            setFollow(true);
            if (scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
          }}
        >
          Follow
        </Button>
      ) : null}
    </div>
  );
}
