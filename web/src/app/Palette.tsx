/** The command palette: actions of this page, projects, and the way to code search. */
import { Kbd, Modal } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconArrowRight, IconCode, IconSearch } from "@tabler/icons-react";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useId, useMemo, useRef, useState } from "react";
import { flat, queries } from "@/api/queries";
import { ProjectMark } from "@/ui/bits";
import { type Action, shortcutLabel, useAllActions } from "./actions";
import { useGo } from "./location";
import { paths } from "./paths";

interface Row {
  id: string;
  group: string;
  name: string;
  detail?: string;
  icon: ReactNode;
  keys?: string[];
  perform: () => void;
}

/** Every word must occur; a word start counts more. Returns null when it does not match. */
export function score(text: string, query: string): number | null {
  const hay = text.toLowerCase();
  let total = 0;
  for (const word of query.toLowerCase().split(/\s+/).filter(Boolean)) {
    const at = hay.indexOf(word);
    if (at < 0) return null;
    total += at === 0 ? 3 : /\W/.test(hay[at - 1] ?? "") ? 2 : 1;
  }
  return total;
}

export default function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [query] = useDebouncedValue(text.trim(), 150);
  const [at, setAt] = useState(0);
  const go = useGo();
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const actions = useAllActions().filter((a) => a.id !== "palette");
  const projects = useInfiniteQuery({
    ...queries.projects({ q: query, sort: "activity", order: "desc", limit: 8 }),
    placeholderData: keepPreviousData,
  });
  // Until the server has answered for these words, what is known of them stays, so that Enter means what is seen.
  const stale = projects.isPlaceholderData || query !== text.trim();

  const rows = useMemo<Row[]>(() => {
    const run = (perform: () => void) => () => {
      onClose();
      perform();
    };
    const found = actions
      .map((action: Action) => ({
        action,
        s: score(`${action.name} ${action.group} ${action.keywords ?? ""}`, text),
      }))
      .filter((it): it is { action: Action; s: number } => it.s !== null)
      .sort((a, b) => (text ? b.s - a.s : 0))
      .map(({ action }) => {
        const Glyph = action.icon;
        return {
          id: action.id,
          group: action.group,
          name: action.name,
          icon: <Glyph size={17} stroke={1.7} />,
          keys: action.shortcut ? shortcutLabel(action.shortcut) : undefined,
          perform: run(() => void action.perform()),
        };
      });
    const known = flat(projects.data).filter(
      (p) => !stale || score(`${p.path} ${p.description}`, text) !== null,
    );
    const own = known.map((p) => ({
      id: p.id,
      group: "Projects",
      name: p.path,
      detail: p.description ?? undefined,
      icon: <ProjectMark name={p.name} size={20} />,
      perform: run(() => go(paths.project(p.path))),
    }));
    const search = text.trim()
      ? [
          {
            id: "code",
            group: "Search",
            name: `Search code for “${text.trim()}”`,
            icon: <IconCode size={17} />,
            perform: run(() => go(paths.searchAll(text.trim()))),
          },
        ]
      : [];
    // What belongs to this page comes before what is always there.
    const near = (group: string) => (/^(This|Log)/.test(group) ? 0 : group === "General" ? 2 : 1);
    found.sort((a, b) => (text ? 0 : near(a.group) - near(b.group)));
    const all = text ? [...own, ...found, ...search] : [...found, ...own];
    const order = [...new Set(all.map((r) => r.group))];
    return order.flatMap((group) => all.filter((r) => r.group === group));
  }, [actions, projects.data, stale, text, go, onClose]);

  const active = Math.min(at, rows.length - 1);
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  });

  return (
    <Modal
      opened
      onClose={onClose}
      withCloseButton={false}
      padding={0}
      size={600}
      yOffset="12vh"
      centered={false}
      aria-label="Search and commands"
      transitionProps={{ duration: 80 }}
    >
      <div className="dm-palette-input">
        <IconSearch size={18} aria-hidden />
        <input
          data-autofocus
          role="combobox"
          aria-expanded="true"
          aria-controls={`${id}-list`}
          aria-activedescendant={rows[active] ? `${id}-${active}` : undefined}
          aria-label="Search projects, code and commands"
          placeholder="Projects, code, commands…"
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            if (event.key === "ArrowDown") setAt((active + 1) % Math.max(rows.length, 1));
            else if (event.key === "ArrowUp") setAt((active - 1 + rows.length) % Math.max(rows.length, 1));
            else if (event.key === "Enter") rows[active]?.perform();
            else return;
            event.preventDefault();
          }}
        />
        <Kbd size="xs">Esc</Kbd>
      </div>
      <div className="dm-palette" role="listbox" id={`${id}-list`} aria-label="Results" ref={list}>
        {rows.map((row, i) => (
          <div key={`${row.group}:${row.id}`}>
            {rows[i - 1]?.group !== row.group ? (
              <div className="dm-palette-group" role="presentation">
                {row.group}
              </div>
            ) : null}
            {/* biome-ignore lint/a11y/useKeyWithClickEvents lint/a11y/useFocusableInteractive: the keyboard stays in the input, as a combobox wants */}
            <div
              id={`${id}-${i}`}
              role="option"
              aria-selected={i === active}
              className="dm-palette-row"
              onPointerMove={() => setAt(i)}
              onClick={row.perform}
            >
              <span className="dm-palette-icon">{row.icon}</span>
              <span className="dm-ellipsis">
                {row.name}
                {row.detail ? <span className="dm-dim"> — {row.detail}</span> : null}
              </span>
              <span className="dm-grow" />
              {row.keys?.map((key, k) => (
                <Kbd size="xs" key={k}>
                  {key}
                </Kbd>
              )) ?? (i === active ? <IconArrowRight size={15} aria-hidden /> : null)}
            </div>
          </div>
        ))}
        {rows.length === 0 ? <div className="dm-palette-none">Nothing found</div> : null}
      </div>
    </Modal>
  );
}
