/** Query definitions: one name per read of the API, with its cache key. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { get, Problem, type RequestOptions, seg } from "./client";
import type * as T from "./types";

const project = (id: string) => `/projects/${seg(id)}`;

/** A cursor-paged list. */
function pages<Item>(key: readonly unknown[], path: string, query: RequestOptions["query"] = {}) {
  return infiniteQueryOptions({
    queryKey: [...key, query],
    queryFn: ({ pageParam, signal }) =>
      get<T.Page<Item>>(path, { query: { ...query, after: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next || undefined,
  });
}

/** 404 means "there is none" rather than an error. */
async function optional<R>(read: Promise<R>): Promise<R | null> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

const one = <R>(key: readonly unknown[], path: string, query?: RequestOptions["query"]) =>
  queryOptions({ queryKey: [...key], queryFn: ({ signal }) => get<R>(path, { query, signal }) });

export const queries = {
  session: () =>
    queryOptions({
      queryKey: ["session"],
      queryFn: async ({ signal }) => {
        try {
          return (await get<{ user: T.User }>("/session", { signal })).user;
        } catch (error) {
          if (error instanceof Problem && error.status === 401) return null;
          throw error;
        }
      },
      staleTime: 60_000,
    }),
  instance: () => ({ ...one<T.Instance>(["instance"], "/instance"), staleTime: 600_000 }),
  permissions: () => one<T.Page<T.Permission>>(["permissions"], "/permissions"),
  tokens: () => one<T.Page<T.Token>>(["tokens"], "/tokens", { limit: 100 }),
  users: (q = "") => pages<T.User>(["users"], "/users", { q }),
  runners: () => one<T.Page<T.Runner>>(["runners"], "/runners", { limit: 100 }),
  namespaces: () => one<T.Page<T.Namespace>>(["namespaces"], "/namespaces", { limit: 100 }),
  groups: () => pages<T.Group>(["groups"], "/groups", { limit: 100 }),
  group: (id: string) =>
    queryOptions({
      queryKey: ["group", id],
      queryFn: ({ signal }) => optional(get<T.Group>(`/groups/${seg(id)}`, { signal })),
    }),
  groupMembers: (id: string) =>
    one<T.Page<T.Member>>(["group", id, "members"], `/groups/${seg(id)}/members`, { limit: 100 }),
  user: (name: string) =>
    queryOptions({
      queryKey: ["user", name],
      queryFn: ({ signal }) => optional(get<T.User>(`/users/${seg(name)}`, { signal })),
    }),
  templates: () => one<T.Page<T.Template>>(["templates"], "/templates"),
  projects: (query: RequestOptions["query"]) => pages<T.Project>(["projects"], "/projects/list", query),
  project: (id: string) =>
    queryOptions({
      queryKey: ["project", id],
      queryFn: ({ signal }) => optional(get<T.Project>(project(id), { signal })),
    }),
  operation: (id: string) => one<T.Operation>(["operation", id], `/operations/${seg(id)}`),
  members: (id: string) =>
    one<T.Page<T.Member>>(["project", id, "members"], `${project(id)}/members`, { limit: 100 }),
  activity: (id: string) => pages<T.Activity>(["project", id, "activity"], `${project(id)}/activity`),
  dependencies: (id: string) =>
    pages<T.Dependency>(["project", id, "dependencies"], `${project(id)}/dependencies`, { limit: 100 }),

  refs: (id: string, prefix = "") =>
    one<T.Refs>(["project", id, "refs", prefix], `${project(id)}/refs`, { prefix, limit: 100 }),
  tree: (id: string, ref: string, path: string) =>
    queryOptions({
      queryKey: ["project", id, "tree", ref, path],
      queryFn: ({ signal }) => optional(get<T.Tree>(`${project(id)}/tree`, { query: { ref, path }, signal })),
    }),
  file: (id: string, ref: string, path: string) =>
    one<T.FileView>(["project", id, "file", ref, path], `${project(id)}/files`, { ref, path }),
  readme: (id: string, ref: string) =>
    queryOptions({
      queryKey: ["project", id, "readme", ref],
      queryFn: ({ signal }) => optional(get<T.Readme>(`${project(id)}/readme`, { query: { ref }, signal })),
    }),
  commits: (id: string, ref: string, path = "", limit = 30) =>
    pages<T.Commit>(["project", id, "commits"], `${project(id)}/commits`, { ref, path, limit }),
  commit: (id: string, oid: string) =>
    one<T.CommitDetail>(["project", id, "commit", oid], `${project(id)}/commits/${seg(oid)}`),
  commitStatuses: (id: string, oid: string) =>
    one<T.Page<T.CommitStatus>>(
      ["project", id, "commit", oid, "statuses"],
      `${project(id)}/commits/${seg(oid)}/statuses`,
    ),
  languages: (id: string) =>
    queryOptions({
      queryKey: ["project", id, "languages"],
      queryFn: ({ signal }) => optional(get<{ items: T.Language[] }>(`${project(id)}/languages`, { signal })),
    }),
  quality: (id: string) =>
    queryOptions({
      queryKey: ["project", id, "quality"],
      queryFn: ({ signal }) => optional(get<T.Quality>(`${project(id)}/quality`, { signal })),
    }),
  functions: (id: string, sort: string, path: string) =>
    pages<T.FunctionFacts>(["project", id, "functions"], `${project(id)}/functions`, {
      sort,
      path,
      limit: 50,
    }),
  search: (id: string, query: { q: string; regex: boolean; case: boolean }) =>
    pages<T.SearchHit>(["project", id, "search"], `${project(id)}/search`, query),
  searchAll: (q: string) => pages<T.GlobalSearchHit>(["search"], "/search", { q }),

  workflows: (id: string, ref?: string) =>
    one<T.Page<T.Workflow>>(["project", id, "workflows", ref], `${project(id)}/workflows`, { ref }),
  runs: (id: string, query: RequestOptions["query"] = {}) =>
    pages<T.Run>(["project", id, "runs"], `${project(id)}/runs`, query),
  run: (id: string) => one<T.RunDetail>(["run", id], `/runs/${seg(id)}`),
  artifacts: (run: string) =>
    one<T.Page<T.Artifact>>(["run", run, "artifacts"], `/runs/${seg(run)}/artifacts`),
  tests: (run: string, status: string) =>
    infiniteQueryOptions({
      queryKey: ["run", run, "tests", status],
      queryFn: ({ pageParam, signal }) =>
        optional(
          get<T.TestReport>(`/runs/${seg(run)}/tests`, {
            query: { status, after: pageParam, limit: 100 },
            signal,
          }),
        ),
      initialPageParam: "",
      getNextPageParam: (page) => page?.next || undefined,
    }),
  coverage: (run: string) =>
    queryOptions({
      queryKey: ["run", run, "coverage"],
      queryFn: ({ signal }) => optional(get<T.Coverage>(`/runs/${seg(run)}/coverage`, { signal })),
    }),
  summary: (run: string) =>
    queryOptions({
      queryKey: ["run", run, "summary"],
      queryFn: ({ signal }) => optional(get<T.RunSummary>(`/runs/${seg(run)}/summary`, { signal })),
    }),
  secrets: (id: string) =>
    one<T.Page<T.Secret>>(["project", id, "secrets"], `${project(id)}/secrets`, { limit: 100 }),
  variables: (id: string) =>
    one<T.Page<T.Variable>>(["project", id, "variables"], `${project(id)}/variables`, { limit: 100 }),

  images: (id: string) =>
    one<T.Page<T.ImageRepository>>(["project", id, "images"], `${project(id)}/images`, { limit: 100 }),
  imageTags: (id: string, name: string) =>
    pages<T.ImageTag>(["project", id, "images", name], `${project(id)}/images/tags`, { name, limit: 50 }),

  environments: (id: string) =>
    one<T.Page<T.Environment>>(["project", id, "environments"], `${project(id)}/environments`, {
      limit: 100,
    }),
  deployments: (id: string, environment?: string) =>
    pages<T.Deployment>(["project", id, "deployments"], `${project(id)}/deployments`, { environment }),
  deployment: (id: string) => one<T.Deployment>(["deployment", id], `/deployments/${seg(id)}`),
  releases: (id: string, environment: string) =>
    pages<T.Release>(["project", id, "releases"], `${project(id)}/releases`, { environment }),
  watch: (env: string) => ({
    ...one<T.Watch>(["environment", env, "watch"], `/environments/${seg(env)}/watch`),
    refetchInterval: 5_000,
  }),
};

/** All loaded items of a paged list. */
export const flat = <Item>(data: { pages: (T.Page<Item> | null)[] } | undefined): Item[] =>
  data ? data.pages.flatMap((page) => page?.items ?? []) : [];
