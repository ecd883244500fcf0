/** The routes of the service. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/** The word in front of the name. */
export const greeting = "{{ greeting }}";

const maxName = 100;

/** What a request is answered with. */
export interface Answer {
  status: number;
  body: Record<string, string>;
  headers?: Record<string, string>;
}

/** Builds the text for a name; nobody in particular is the world. */
export function greet(name: string): string {
  return `${greeting}, ${name.trim() || "world"}!`;
}

/** Routes one request: `/` greets, `/health` tells that the service is up. */
export function route(method: string, target: string): Answer {
  const [path, query = ""] = target.split("?", 2);
  if (path === "/health") {
    return { status: 200, body: { status: "ok" } };
  }
  if (path !== "/") {
    return { status: 404, body: { error: "not found" } };
  }
  if (method !== "GET" && method !== "HEAD") {
    return { status: 405, body: { error: "method not allowed" }, headers: { Allow: "GET, HEAD" } };
  }
  const name = new URLSearchParams(query).get("name") ?? "";
  if ([...name].length > maxName) {
    return { status: 400, body: { error: "name is too long" } };
  }
  return { status: 200, body: { message: greet(name) } };
}

/** A server that answers with {@link route}; it does not listen yet. */
export function createApp(): Server {
  return createServer((request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    const { status, body, headers } = route(request.method ?? "GET", request.url ?? "/");
    const text = JSON.stringify(body);
    response.writeHead(status, {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(text),
      ...headers,
    });
    response.end(request.method === "HEAD" ? undefined : text);
  });
}
