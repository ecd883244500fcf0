/**
 * One door to the HTTP API: JSON in, JSON out, problems as exceptions. Addresses, parameters, bodies and answers are
 * those of the API's description (`openapi.d.ts`), so that a call that the server does not take does not compile.
 */
import type { paths } from "./openapi";
import type { Answer, FieldError, ProblemDoc } from "./types";

/** An RFC 9457 answer, or a failure to get any answer (`status` 0). */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly errors: FieldError[];
  readonly requestId: string | null;

  constructor(doc: ProblemDoc) {
    super(doc.detail || doc.title);
    this.name = "Problem";
    this.status = doc.status;
    this.code = doc.code;
    this.title = doc.title;
    this.errors = doc.errors ?? [];
    this.requestId = doc.request_id ?? null;
  }
}

type Verb = "get" | "post" | "put" | "patch" | "delete";

/** Addresses that take a verb. */
export type Address<V extends Verb> = {
  [P in keyof paths]: paths[P] extends Record<V, { responses: unknown }> ? P : never;
}[keyof paths];

type Operation<P extends keyof paths, V extends Verb> = V extends keyof paths[P] ? paths[P][V] : never;

type Json<R> = R extends { content: { "application/json": infer Body } } ? Body : undefined;
type Good = 200 | 201 | 202 | 204;

/** What an operation answers when all is well. */
export type Reply<P extends keyof paths, V extends Verb> =
  Operation<P, V> extends { responses: infer R }
    ? { [S in keyof R & Good]: Answer<Json<R[S]>> }[keyof R & Good]
    : never;

/** What it takes as a body. */
type Body<P extends keyof paths, V extends Verb> =
  Operation<P, V> extends { requestBody?: { content: { "application/json": infer B } } | undefined }
    ? B
    : undefined;

type Query<P extends keyof paths, V extends Verb> =
  Operation<P, V> extends { parameters: { query?: infer Q } } ? NonNullable<Q> : never;

/** The names in an address, as the fields that a call must give. */
type Names<P extends string> = P extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;
type InPath<P extends string> = [Names<P>] extends [never]
  ? { path?: undefined }
  : { path: Record<Names<P>, string> };

interface Common {
  /** Version of the object being changed; sent as `If-Match`. */
  version?: number;
  prefer?: "respond-async";
  signal?: AbortSignal;
  idempotencyKey?: string;
}

export type Call<P extends keyof paths & string, V extends Verb> = Common &
  InPath<P> & { query?: Query<P, V> };

/** The last argument may be left out when the address holds no names. */
type Rest<P extends keyof paths & string, V extends Verb> = [Names<P>] extends [never]
  ? [call?: Call<P, V>]
  : [call: Call<P, V>];

type Values = Record<string, string | number | boolean | null | undefined>;

/** Text of a project id or path as one path segment. */
const seg = (value: string): string => encodeURIComponent(value);

export function url(path: string, query?: Values): string {
  if (!query) return path;
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") params.set(key, String(value));
  }
  const text = params.toString();
  return text ? `${path}?${text}` : path;
}

/** An address with its names filled in. */
export function address<P extends keyof paths & string>(
  template: P,
  names?: Record<Names<P>, string>,
): string {
  const given: Record<string, string> = { ...names };
  return template.replace(/\{(\w+)\}/g, (_, name: string) => seg(given[name] ?? ""));
}

export async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text().catch(() => "");
  try {
    const doc = JSON.parse(text) as Partial<ProblemDoc>;
    return new Problem({
      ...doc,
      title: doc.title ?? `Error ${response.status}`,
      status: response.status,
      code: doc.code ?? "unknown",
    });
  } catch {
    // A proxy before the server answers with a page; a short plain text is worth showing.
    const plain = text.length < 300 && !text.includes("<") ? text.trim() : "";
    return new Problem({
      title: plain || `The server answered ${response.status}`,
      status: response.status,
      code: "unknown",
      request_id: response.headers.get("x-request-id") ?? undefined,
    });
  }
}

/** The raw exchange. Throws a Problem for everything but 2xx. */
async function exchange(
  verb: Verb,
  path: string,
  body: unknown,
  call: Common & { query?: unknown },
): Promise<Response> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (call.version !== undefined) headers["if-match"] = `"${call.version}"`;
  if (call.prefer) headers.prefer = call.prefer;
  if (call.idempotencyKey) headers["idempotency-key"] = call.idempotencyKey;
  let response: Response;
  try {
    response = await fetch(url(path, call.query as Values | undefined), {
      method: verb.toUpperCase(),
      headers,
      credentials: "same-origin",
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: call.signal,
    });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new Problem({
      title: "No connection",
      detail: "The server can't be reached. Check your connection; the page keeps trying.",
      status: 0,
      code: "offline",
    });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function api<R>(
  verb: Verb,
  path: string,
  body: unknown,
  call: Common & { query?: unknown },
): Promise<R> {
  const response = await exchange(verb, path, body, call);
  const text = response.status === 204 ? "" : await response.text();
  return (text ? JSON.parse(text) : undefined) as R;
}

/** For answers that are not JSON. */
export const fetchRaw = <P extends Address<"get">>(path: P, ...[call]: Rest<P, "get">): Promise<Response> =>
  exchange("get", address(path, call?.path), undefined, call ?? {});

export const get = <P extends Address<"get">>(path: P, ...[call]: Rest<P, "get">) =>
  api<Reply<P, "get">>("get", address(path, call?.path), undefined, call ?? {});

export const post = <P extends Address<"post">>(path: P, body: Body<P, "post">, ...[call]: Rest<P, "post">) =>
  api<Reply<P, "post">>("post", address(path, call?.path), body ?? {}, {
    idempotencyKey: crypto.randomUUID?.(),
    ...call,
  });

export const put = <P extends Address<"put">>(path: P, body: Body<P, "put">, ...[call]: Rest<P, "put">) =>
  api<Reply<P, "put">>("put", address(path, call?.path), body, call ?? {});

export const patch = <P extends Address<"patch">>(
  path: P,
  body: Body<P, "patch">,
  ...[call]: Rest<P, "patch">
) => api<Reply<P, "patch">>("patch", address(path, call?.path), body, call ?? {});

export const del = <P extends Address<"delete">>(path: P, ...[call]: Rest<P, "delete">) =>
  api<Reply<P, "delete">>("delete", address(path, call?.path), undefined, call ?? {});

/** What to tell a person about any thrown value. */
export function messageOf(error: unknown): string {
  if (error instanceof Problem) return error.message;
  if (error instanceof Error) return error.message;
  return String(error);
}

/** Field errors by field name, for forms. */
export function fieldErrors(error: unknown): Record<string, string> {
  if (!(error instanceof Problem)) return {};
  return Object.fromEntries(error.errors.map((e) => [e.field, e.message]));
}
