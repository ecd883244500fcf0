/** Loads the code of a page when the pointer rests on a link to it. */
import { pages } from "./pages";
import { parseProjectPath } from "./paths";

const done = new Set<string>();

export function preload(href: string): void {
  if (!href.startsWith("/")) return;
  const path = href.split(/[?#]/, 1)[0] ?? "";
  const load = loaderOf(path);
  if (!load || done.has(path)) return;
  done.add(path);
  void load().catch(() => done.delete(path));
}

function loaderOf(path: string): (() => Promise<unknown>) | undefined {
  if (path === "/") return pages.home;
  const own = /^\/-\/(\w+)$/.exec(path)?.[1];
  if (own) return pages[own as keyof typeof pages];
  const { section } = parseProjectPath(path);
  if (section === "runs" && /\/-\/runs\/.+/.test(path)) return pages.run;
  if (section === "tests" && /\/-\/tests\/.+/.test(path)) return pages.test;
  if (section && section !== "home") return pages[section as keyof typeof pages];
  return pages.overview;
}
