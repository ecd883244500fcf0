/** Short messages at the edge of the screen. */
import { messageOf, Problem } from "@/api/client";

export interface Toast {
  id: number;
  kind: "ok" | "error";
  title: string;
  detail?: string;
}

let toasts: Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();

const set = (value: Toast[]) => {
  toasts = value;
  for (const listener of listeners) listener();
};

export const toastStore = {
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  all: () => toasts,
  close: (id: number) => set(toasts.filter((t) => t.id !== id)),
};

export function toast(kind: Toast["kind"], title: string, detail?: string): void {
  const id = next++;
  set([...toasts.slice(-3), { id, kind, title, detail }]);
  setTimeout(() => toastStore.close(id), kind === "ok" ? 4000 : 9000);
}

export const toastError = (what: string, error: unknown): void => {
  const request =
    error instanceof Problem && error.requestId && error.status >= 500 ? ` (${error.requestId})` : "";
  toast("error", what, messageOf(error) + request);
};
