/** One door to the HTTP API: JSON in, JSON out, problems as exceptions. */
import type { FieldError, ProblemDoc } from "./types";

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

export interface RequestOptions {
  query?: Record<string, string | number | boolean | null | undefined>;
  body?: unknown;
  /** Version of the object being changed; sent as `If-Match`. */
  version?: number;
  prefer?: "respond-async";
  signal?: AbortSignal;
  idempotencyKey?: string;
}

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Text of a project id or path as one path segment. */
export const seg = (value: string): string => encodeURIComponent(value);

export function url(path: string, query?: RequestOptions["query"]): string {
  if (!query) return path;
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") params.set(key, String(value));
  }
  const text = params.toString();
  return text ? `${path}?${text}` : path;
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

/** The raw exchange, for answers that are not JSON. Throws a Problem for everything but 2xx. */
export async function send(method: Method, path: string, options: RequestOptions = {}): Promise<Response> {
  const headers: Record<string, string> = {};
  if (options.body !== undefined) headers["content-type"] = "application/json";
  if (options.version !== undefined) headers["if-match"] = `"${options.version}"`;
  if (options.prefer) headers.prefer = options.prefer;
  if (options.idempotencyKey) headers["idempotency-key"] = options.idempotencyKey;
  let response: Response;
  try {
    response = await fetch(url(path, options.query), {
      method,
      headers,
      credentials: "same-origin",
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
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

export async function api<T = void>(method: Method, path: string, options?: RequestOptions): Promise<T> {
  const response = await send(method, path, options);
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export const get = <T>(path: string, options?: RequestOptions) => api<T>("GET", path, options);
export const post = <T = void>(path: string, body?: unknown, options?: RequestOptions) =>
  api<T>("POST", path, { body: body ?? {}, idempotencyKey: crypto.randomUUID?.(), ...options });
export const put = <T = void>(path: string, body: unknown, options?: RequestOptions) =>
  api<T>("PUT", path, { body, ...options });
export const patch = <T = void>(path: string, body: unknown, options?: RequestOptions) =>
  api<T>("PATCH", path, { body, ...options });
export const del = (path: string, options?: RequestOptions) => api("DELETE", path, options);

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
