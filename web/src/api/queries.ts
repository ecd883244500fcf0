/** Query definitions: one name per read of the API, with its cache key. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { type Address, type Call, get, Problem, type Reply } from "./client";
import type { Page, User } from "./types";

type Path = Address<"get">;
type CallOf<P extends Path> = Call<P, "get">;

// The rest argument of `get` is a tuple that depends on the address; inside these helpers the address is a variable.
const read = <P extends Path>(path: P, call: object): Promise<Reply<P, "get">> =>
  (get as (path: P, call: object) => Promise<Reply<P, "get">>)(path, call);

/** A cursor-paged list. */
function pages<P extends Path>(key: readonly unknown[], path: P, call: CallOf<P>) {
  return infiniteQueryOptions({
    queryKey: [...key, call.query],
    queryFn: ({ pageParam, signal }) =>
      read(path, { ...call, query: { ...call.query, after: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => (page as { next?: string | null }).next || undefined,
  });
}

/** 404 means "there is none" rather than an error. */
async function optional<R>(answer: Promise<R>): Promise<R | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

const one = <P extends Path>(key: readonly unknown[], path: P, call: CallOf<P>) =>
  queryOptions({ queryKey: [...key], queryFn: ({ signal }) => read(path, { ...call, signal }) });

/** One that may not be there. */
const maybe = <P extends Path>(key: readonly unknown[], path: P, call: CallOf<P>) =>
  queryOptions({ queryKey: [...key], queryFn: ({ signal }) => optional(read(path, { ...call, signal })) });

export type TestState = "" | "failing" | "flaky" | "quarantined" | "slow";

export type FunctionSort = NonNullable<NonNullable<CallOf<"/projects/{id}/functions">["query"]>["sort"]>;

const whole = { limit: 100 };

export const queries = {
  session: () =>
    queryOptions({
      queryKey: ["session"],
      queryFn: async ({ signal }): Promise<User | null> => {
        try {
          return (await get("/session", { signal })).user;
        } catch (error) {
          if (error instanceof Problem && error.status === 401) return null;
          throw error;
        }
      },
      staleTime: 60_000,
    }),
  instance: () => ({ ...one(["instance"], "/instance", {}), staleTime: 600_000 }),
  permissions: () => one(["permissions"], "/permissions", {}),
  tokens: () => one(["tokens"], "/tokens", {}),
  users: (q = "") => pages(["users"], "/users", { query: { q } }),
  /** Of a project, of a group, or all of them. */
  runners: (of: { project?: string; group?: string } = {}) =>
    pages(["runners"], "/runners", { query: { ...of, ...whole } }),
  queue: (project?: string) => one(["queue", project ?? ""], "/queue", { query: { project } }),
  namespaces: () => one(["namespaces"], "/namespaces", {}),
  groups: () => pages(["groups"], "/groups", { query: whole }),
  group: (id: string) => maybe(["group", id], "/groups/{id}", { path: { id } }),
  groupMembers: (id: string) => one(["group", id, "members"], "/groups/{id}/members", { path: { id } }),
  user: (name: string) => maybe(["user", name], "/users/{id}", { path: { id: name } }),
  templates: () => one(["templates"], "/templates", {}),
  projects: (query: CallOf<"/projects/list">["query"]) => pages(["projects"], "/projects/list", { query }),
  project: (id: string) => maybe(["project", id], "/projects/{id}", { path: { id } }),
  operation: (id: string) => one(["operation", id], "/operations/{id}", { path: { id } }),
  members: (id: string) => one(["project", id, "members"], "/projects/{id}/members", { path: { id } }),
  activity: (id: string) => pages(["project", id, "activity"], "/projects/{id}/activity", { path: { id } }),
  dependencies: (id: string) =>
    pages(["project", id, "dependencies"], "/projects/{id}/dependencies", { path: { id }, query: whole }),

  refs: (id: string, prefix = "") =>
    one(["project", id, "refs", prefix], "/projects/{id}/refs", {
      path: { id },
      query: { prefix, limit: 100 },
    }),
  tree: (id: string, ref: string, path: string) =>
    maybe(["project", id, "tree", ref, path], "/projects/{id}/tree", { path: { id }, query: { ref, path } }),
  file: (id: string, ref: string, path: string) =>
    one(["project", id, "file", ref, path], "/projects/{id}/files", { path: { id }, query: { ref, path } }),
  readme: (id: string, ref: string) =>
    maybe(["project", id, "readme", ref], "/projects/{id}/readme", { path: { id }, query: { ref } }),
  commits: (id: string, ref: string, path = "", limit = 30) =>
    pages(["project", id, "commits"], "/projects/{id}/commits", {
      path: { id },
      query: { ref, path, limit },
    }),
  commit: (id: string, oid: string) =>
    one(["project", id, "commit", oid], "/projects/{id}/commits/{oid}", { path: { id, oid } }),
  commitStatuses: (id: string, oid: string) =>
    one(["project", id, "commit", oid, "statuses"], "/projects/{id}/commits/{oid}/statuses", {
      path: { id, oid },
    }),
  languages: (id: string) =>
    maybe(["project", id, "languages"], "/projects/{id}/languages", { path: { id } }),
  quality: (id: string) => maybe(["project", id, "quality"], "/projects/{id}/quality", { path: { id } }),
  functions: (id: string, sort: FunctionSort, path: string) =>
    pages(["project", id, "functions"], "/projects/{id}/functions", {
      path: { id },
      query: { sort, path, limit: 50 },
    }),
  search: (id: string, query: { q: string; regex: boolean; case: boolean }) =>
    pages(["project", id, "search"], "/projects/{id}/search", { path: { id }, query }),
  searchAll: (q: string) => pages(["search"], "/search", { query: { q } }),

  workflows: (id: string, ref?: string) =>
    one(["project", id, "workflows", ref], "/projects/{id}/workflows", { path: { id }, query: { ref } }),
  runs: (id: string, query: CallOf<"/projects/{id}/runs">["query"] = {}) =>
    pages(["project", id, "runs"], "/projects/{id}/runs", { path: { id }, query }),
  runsOf: (id: string, commit: string) =>
    one(["project", id, "runs-of", commit], "/projects/{id}/runs", { path: { id }, query: { commit } }),
  schedules: (id: string) =>
    one(["project", id, "schedules"], "/projects/{id}/schedules", { path: { id }, query: whole }),
  run: (id: string) => one(["run", id], "/runs/{run}", { path: { run: id } }),
  why: (run: string) => one(["run", run, "why"], "/runs/{run}/why", { path: { run } }),
  artifacts: (run: string) => one(["run", run, "artifacts"], "/runs/{run}/artifacts", { path: { run } }),
  artifactFiles: (artifact: string) =>
    pages(["artifact", artifact, "files"], "/artifacts/{artifact}/files", {
      path: { artifact },
      query: whole,
    }),
  tests: (run: string, status: string) =>
    infiniteQueryOptions({
      queryKey: ["run", run, "tests", status],
      queryFn: ({ pageParam, signal }) =>
        optional(
          get("/runs/{run}/tests", {
            path: { run },
            query: { status, after: pageParam, limit: 100 },
            signal,
          }),
        ),
      initialPageParam: "",
      getNextPageParam: (page) => page?.next || undefined,
    }),
  projectTests: (id: string, state: TestState, q: string) =>
    pages(["project", id, "tests"], "/projects/{id}/tests", { path: { id }, query: { state, q, limit: 50 } }),
  projectTest: (id: string, test: string) =>
    maybe(["project", id, "test", test], "/projects/{id}/tests/{test}", { path: { id, test } }),
  testHistory: (test: string) =>
    pages(["test", test, "history"], "/tests/{test}/history", { path: { test }, query: whole }),
  coverage: (run: string) => maybe(["run", run, "coverage"], "/runs/{run}/coverage", { path: { run } }),
  summary: (run: string) => maybe(["run", run, "summary"], "/runs/{run}/summary", { path: { run } }),
  secrets: (id: string) =>
    one(["project", id, "secrets"], "/projects/{id}/secrets", { path: { id }, query: whole }),
  variables: (id: string) =>
    one(["project", id, "variables"], "/projects/{id}/variables", { path: { id }, query: whole }),
  groupSecrets: (id: string) =>
    one(["group", id, "secrets"], "/groups/{id}/secrets", { path: { id }, query: whole }),
  groupVariables: (id: string) =>
    one(["group", id, "variables"], "/groups/{id}/variables", { path: { id }, query: whole }),
  environmentSecrets: (env: string) =>
    one(["environment", env, "secrets"], "/environments/{env}/secrets", { path: { env }, query: whole }),
  environmentVariables: (env: string) =>
    one(["environment", env, "variables"], "/environments/{env}/variables", { path: { env }, query: whole }),

  images: (id: string) =>
    one(["project", id, "images"], "/projects/{id}/images", { path: { id }, query: whole }),
  imageTags: (id: string, name: string) =>
    pages(["project", id, "images", name], "/projects/{id}/images/tags", {
      path: { id },
      query: { name, limit: 50 },
    }),

  jobEnvironments: (id: string) =>
    pages(["project", id, "job-environments"], "/projects/{id}/job-environments", {
      path: { id },
      query: whole,
    }),
  environments: (id: string) =>
    one(["project", id, "environments"], "/projects/{id}/environments", { path: { id }, query: whole }),
  deployments: (id: string, environment?: string) =>
    pages(["project", id, "deployments"], "/projects/{id}/deployments", {
      path: { id },
      query: { environment },
    }),
  deployment: (id: string) => one(["deployment", id], "/deployments/{dpl}", { path: { dpl: id } }),
  releases: (id: string, environment: string) =>
    pages(["project", id, "releases"], "/projects/{id}/releases", { path: { id }, query: { environment } }),
  watch: (env: string) => ({
    ...one(["environment", env, "watch"], "/environments/{env}/watch", { path: { env } }),
    refetchInterval: 5_000,
  }),
};

/** All loaded items of a paged list. */
export const flat = <Item>(data: { pages: (Page<Item> | null)[] } | undefined): Item[] =>
  data ? data.pages.flatMap((page) => page?.items ?? []) : [];
