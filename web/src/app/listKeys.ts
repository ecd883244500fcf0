/** `j` and `k` go through a list of links, Enter opens the one that has the focus. */
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import { useRef } from "react";
import type { Action } from "./actions";

export function useListKeys() {
  const ref = useRef<HTMLUListElement>(null);
  const step = (by: number) => {
    const links = [...(ref.current?.querySelectorAll<HTMLElement>(".dm-title-link") ?? [])];
    const row = document.activeElement?.closest("li");
    const now = row ? links.findIndex((link) => row.contains(link)) : -1;
    const next = links[now < 0 ? (by > 0 ? 0 : links.length - 1) : now + by];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  const group = "This page";
  const actions: Action[] = [
    {
      id: "list-next",
      name: "Next in the list",
      group,
      icon: IconArrowDown,
      shortcut: "j",
      perform: () => step(1),
    },
    {
      id: "list-last",
      name: "Previous in the list",
      group,
      icon: IconArrowUp,
      shortcut: "k",
      perform: () => step(-1),
    },
  ];
  return { ref, actions };
}
