/** Addresses of pages, and the way back from an address to what it names. */

/** Encodes a path but keeps its slashes. */
export const encodePath = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

export const decode = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

export const SECTIONS = [
  "tree",
  "blob",
  "commits",
  "commit",
  "search",
  "runs",
  "workflows",
  "schedules",
  "tests",
  "runners",
  "queue",
  "deployments",
  "images",
  "activity",
  "dependencies",
  "quality",
  "members",
  "settings",
] as const;
export type Section = (typeof SECTIONS)[number];

export interface ProjectPlace {
  /** Project (or namespace) path, decoded. */
  path: string;
  section: Section | "home" | null;
  /** What follows the section, still encoded, without leading slash. */
  rest: string;
}

/** `/acme/web/-/tree/main/src` -> project `acme/web`, section `tree`, rest `main/src`. */
export function parseProjectPath(raw: string): ProjectPlace {
  const clean = raw.replace(/^\/+|\/+$/g, "");
  const at = `${clean}/`.indexOf("/-/");
  if (at < 0) return { path: decodeSegments(clean), section: "home", rest: "" };
  const [word = "", ...rest] = clean.slice(at + 3).split("/");
  const section = SECTIONS.find((s) => s === word) ?? (word === "" ? "home" : null);
  return { path: decodeSegments(clean.slice(0, at)), section, rest: rest.join("/") };
}

const decodeSegments = (path: string) => path.split("/").map(decode).join("/");

/** Splits `ref/path`: the longest known ref that is a prefix wins, else the first segment. */
export function splitRef(rest: string, known: string[]): { ref: string; path: string } {
  const [first = "", ...tail] = rest.split("/");
  const text = decodeSegments(rest);
  let best = "";
  for (const name of known) {
    if ((text === name || text.startsWith(`${name}/`)) && name.length > best.length) best = name;
  }
  const head = decode(first);
  if (best.length > head.length) return { ref: best, path: text.slice(best.length + 1) };
  return { ref: head, path: tail.map(decode).join("/") };
}

export const paths = {
  home: () => "/",
  signIn: (next?: string) =>
    next && next !== "/" ? `/sign-in?next=${encodeURIComponent(next)}` : "/sign-in",
  create: (namespace?: string) =>
    namespace ? `/-/new?namespace=${encodeURIComponent(namespace)}` : "/-/new",
  groups: () => "/-/groups",
  account: (tab?: string) => (tab ? `/-/account?tab=${tab}` : "/-/account"),
  admin: (tab?: string) => (tab ? `/-/admin?tab=${tab}` : "/-/admin"),
  searchAll: (q = "") => `/-/search${q ? `?q=${encodeURIComponent(q)}` : ""}`,
  project: (path: string) => `/${encodePath(path)}`,
  section: (path: string, section: Section, rest = "") =>
    `/${encodePath(path)}/-/${section}${rest ? `/${rest}` : ""}`,
  tree: (project: string, ref: string, path = "") =>
    paths.section(project, "tree", encodeURIComponent(ref) + (path ? `/${encodePath(path)}` : "")),
  blob: (project: string, ref: string, path: string, line?: number) =>
    paths.section(project, "blob", `${encodeURIComponent(ref)}/${encodePath(path)}`) +
    (line ? `#L${line}` : ""),
  commits: (project: string, ref?: string, path = "") =>
    paths.section(
      project,
      "commits",
      ref ? encodeURIComponent(ref) + (path ? `/${encodePath(path)}` : "") : "",
    ),
  commit: (project: string, oid: string) => paths.section(project, "commit", oid),
  run: (project: string, run: string | number, job?: string) =>
    paths.section(project, "runs", String(run)) + (job ? `?job=${encodeURIComponent(job)}` : ""),
  test: (project: string, test: string) => paths.section(project, "tests", test),
  raw: (project: string, ref: string, path: string) =>
    `/projects/${encodeURIComponent(project)}/raw?ref=${encodeURIComponent(ref)}&path=${encodeURIComponent(path)}`,
};
