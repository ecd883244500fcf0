/** Every verb of the client is one Action: menus, buttons, the palette and shortcuts all use the same object. */
import type { Icon } from "@tabler/icons-react";
import { useEffect, useRef, useSyncExternalStore } from "react";

export interface Action {
  id: string;
  name: string;
  /** Heading in the palette. */
  group: string;
  icon: Icon;
  /** `mod+k`, `g r` (one key after another) or a single key. */
  shortcut?: string;
  /** Other words a person may type. */
  keywords?: string;
  danger?: boolean;
  visible?: () => boolean;
  perform: () => void | Promise<void>;
}

type Listener = () => void;

/** Actions that exist right now: the shell's own plus those of the mounted pages. */
class Registry {
  private sets = new Map<symbol, Action[]>();
  private listeners = new Set<Listener>();
  private snapshot: Action[] = [];

  register(actions: Action[]): () => void {
    const key = Symbol("actions");
    this.sets.set(key, actions);
    this.changed();
    return () => {
      this.sets.delete(key);
      this.changed();
    };
  }

  subscribe = (listener: Listener): Listener => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  all = (): Action[] => this.snapshot;

  private changed(): void {
    const byId = new Map<string, Action>();
    for (const set of this.sets.values()) for (const action of set) byId.set(action.id, action);
    this.snapshot = [...byId.values()];
    for (const listener of this.listeners) listener();
  }
}

export const registry = new Registry();

/** Registers a page's actions while it is mounted. Closures are always the latest ones. */
export function useActions(actions: Action[]): Action[] {
  const latest = useRef(actions);
  latest.current = actions;
  const key = actions.map((a) => `${a.id}|${a.name}|${a.shortcut ?? ""}`).join("\n");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the list
  useEffect(() => {
    const find = (id: string) => latest.current.find((a) => a.id === id);
    return registry.register(
      latest.current.map((action) => ({
        ...action,
        visible: () => find(action.id)?.visible?.() ?? find(action.id) !== undefined,
        perform: () => find(action.id)?.perform(),
      })),
    );
  }, [key]);
  return actions;
}

export function useAllActions(): Action[] {
  return useSyncExternalStore(registry.subscribe, registry.all).filter((a) => a.visible?.() ?? true);
}

const MAC = /mac|iphone|ipad/i.test(globalThis.navigator?.platform ?? "");

/** `mod+k` -> `⌘K` or `Ctrl K`. */
export function shortcutLabel(shortcut: string): string[] {
  if (shortcut.includes(" ")) return shortcut.split(" ").map((k) => k.toUpperCase());
  return shortcut
    .split("+")
    .map((k) =>
      k === "mod" ? (MAC ? "⌘" : "Ctrl") : k === "shift" ? "⇧" : k.length === 1 ? k.toUpperCase() : k,
    );
}

function keyOf(event: KeyboardEvent): string {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return event.ctrlKey || event.metaKey ? `mod+${key}` : key;
}

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName)) &&
  target.getAttribute("type") !== "checkbox";

/** Listens for shortcuts on a window. Sequences such as `g r` must come within a second. */
export function listenForShortcuts(target: Window = window): () => void {
  let pending = "";
  let at = 0;
  const onKey = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.altKey || event.isComposing) return;
    const key = keyOf(event);
    if (typing(event.target) && !key.startsWith("mod+")) return;
    if (document.querySelector('[role="dialog"][data-modal-content]') && !key.startsWith("mod+")) return;
    const now = Date.now();
    const sequence = pending && now - at < 1000 ? `${pending} ${key}` : key;
    const actions = registry.all().filter((a) => a.visible?.() ?? true);
    const hit = actions.find((a) => a.shortcut === sequence) ?? actions.find((a) => a.shortcut === key);
    if (hit) {
      event.preventDefault();
      pending = "";
      void hit.perform();
      return;
    }
    pending = actions.some((a) => a.shortcut?.startsWith(`${key} `)) ? key : "";
    at = now;
  };
  target.addEventListener("keydown", onKey);
  return () => target.removeEventListener("keydown", onKey);
}
