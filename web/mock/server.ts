/** The API from memory, for looking at pages while developing. Not part of any build. */
import type { IncomingMessage, ServerResponse } from "node:http";
import * as data from "./data.ts";

type Params = Record<string, string>;
interface Ctx {
  p: Params;
  q: URLSearchParams;
  body: Record<string, unknown>;
  req: IncomingMessage;
  res: ServerResponse;
}
type Handler = (ctx: Ctx) => unknown;

class Refused extends Error {
  constructor(
    readonly status: number,
    readonly doc: Record<string, unknown>,
  ) {
    super(String(doc.title));
  }
}
const refuse = (status: number, code: string, title: string, errors?: unknown[]) =>
  new Refused(status, { status, code, title, detail: title, errors });
const list = (items: unknown[]) => ({ items, next: null });
const found = <T>(value: T | undefined | null, what = "thing"): T => {
  if (value === undefined || value === null) throw refuse(404, "not_found", `There is no such ${what}`);
  return value;
};

function sse(
  ctx: Ctx,
  tick: (send: (event: string, payload: unknown, id?: string) => void, n: number) => boolean,
  every: number,
): void {
  ctx.res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  const send = (event: string, payload: unknown, id?: string) =>
    ctx.res.write(`${id ? `id: ${id}\n` : ""}event: ${event}\ndata: ${JSON.stringify(payload)}\n\n`);
  let n = 0;
  const timer = setInterval(() => {
    if (!tick(send, n++)) {
      send("end", {});
      clearInterval(timer);
      ctx.res.end();
    }
  }, every);
  ctx.req.on("close", () => clearInterval(timer));
}

export function createMock() {
  const state = data.create();
  let signedIn = true;
  const project = (id: string) =>
    found(
      state.projects.find((p) => p.id === id || p.path === id),
      "project",
    );
  const routes: [string, RegExp, string[], Handler][] = [];
  const on = (method: string, pattern: string, handler: Handler) => {
    const names: string[] = [];
    const source = pattern.replace(/:(\w+)/g, (_, name: string) => {
      names.push(name);
      return "([^/]+)";
    });
    routes.push([method, new RegExp(`^${source}$`), names, handler]);
  };

  on("GET", "/session", () => {
    if (!signedIn) throw refuse(401, "unauthorized", "Nobody is signed in");
    return { user: state.user };
  });
  on("POST", "/session", ({ body }) => {
    if (body.password === "wrong" || body.link === "used")
      throw refuse(401, "bad_credentials", "The name or the password is wrong.");
    signedIn = true;
    return { user: state.user };
  });
  on("DELETE", "/session", () => {
    signedIn = false;
  });
  on("GET", "/instance", () => ({
    name: "DevMentor",
    version: "0.1.0",
    sign_up: false,
    public_url: "http://localhost:3004",
    docker: true,
    registry_host: "localhost:3004",
  }));
  on("GET", "/health/ready", () => ({
    status: "ok",
    version: "0.1.0",
    components: ["store", "git", "blobs", "search", "runner"].map((name, i) => ({
      name,
      status: "ok",
      latency_ms: i + 0.4,
      detail: null,
    })),
  }));
  on("GET", "/users", () => list(state.users));
  on("GET", "/users/:id", ({ p }) =>
    found(
      state.users.find((u) => u.name === p.id || u.id === p.id),
      "user",
    ),
  );
  on("PATCH", "/users/me", ({ body }) => Object.assign(state.user, body));
  on("POST", "/users/me/password", () => undefined);
  on("GET", "/tokens", () => list(state.tokens));
  on("POST", "/tokens", ({ body }) => {
    const token = {
      id: `tok_${Date.now()}`,
      last_used_at: null,
      created_at: new Date().toISOString(),
      name: String(body.name),
      permissions: body.permissions as string[],
      projects: (body.projects as string[] | null) ?? null,
      expires_at: (body.expires_at as string | null) ?? null,
    };
    state.tokens.push(token);
    return { token, secret: "dmp_3x4mpl3kTTq0c2VbD5yWm7sJr1uHf9Za" };
  });
  on("DELETE", "/tokens/:id", ({ p }) => {
    state.tokens = state.tokens.filter((t) => t.id !== p.id);
  });
  on("GET", "/permissions", () => list(state.permissions));
  on("GET", "/groups", () => list(state.groups));
  on("GET", "/groups/:id", ({ p }) =>
    found(
      state.groups.find((g) => g.path === p.id || g.id === p.id),
      "group",
    ),
  );
  on("GET", "/groups/:id/members", () =>
    list(state.members.filter((m) => m.source !== "direct").map((m) => ({ ...m, source: "direct" }))),
  );
  on("GET", "/namespaces", () =>
    list([
      { path: "ada", kind: "user" },
      { path: "acme", kind: "group" },
      { path: "acme/platform", kind: "group" },
    ]),
  );
  on("GET", "/templates", () => list(state.templates));
  on("GET", "/runners", () => list(state.runners));
  on("POST", "/runners/tokens", () => ({ token: "dmrt_once_5kJ2nQ8" }));

  on("GET", "/projects/list", ({ q }) => {
    const text = (q.get("q") ?? "").toLowerCase();
    return list(
      state.projects.filter(
        (p) =>
          (!text || `${p.path} ${p.description}`.toLowerCase().includes(text)) &&
          (!q.get("topic") || p.topics.includes(q.get("topic") ?? "")) &&
          (!q.get("language") || p.language === q.get("language")) &&
          (!q.get("visibility") || p.visibility === q.get("visibility")) &&
          (!q.get("namespace") || p.namespace === q.get("namespace")) &&
          p.archived === (q.get("archived") === "true"),
      ),
    );
  });
  on("POST", "/projects/create", ({ body, res }) => {
    if (state.projects.some((p) => p.name === body.name))
      throw refuse(409, "already_exists", "A project of this name exists.", [
        { field: "name", code: "taken", message: "A project of this name exists here." },
      ]);
    res.statusCode = 202;
    const op = data.operation(`${body.namespace}/${body.name}`);
    state.operations.set(op.id, op);
    state.projects.unshift({
      ...(state.projects[0] as data.Project),
      id: `prj_${Date.now()}`,
      path: `${body.namespace}/${body.name}`,
      name: String(body.name),
      namespace: String(body.namespace),
      description: String(body.description ?? ""),
    });
    return op;
  });
  on("GET", "/operations/:id", ({ p }) => found(state.operations.get(p.id ?? "")));
  on("GET", "/operations/:id/events", (ctx) => {
    const op = found(state.operations.get(ctx.p.id ?? ""));
    sse(
      ctx,
      (send) => {
        const more = data.advance(op.steps);
        if (!more) op.state = "succeeded";
        send("operation", op);
        return more;
      },
      500,
    );
  });
  on("GET", "/projects/:id", ({ p }) => project(p.id ?? ""));
  on("PATCH", "/projects/:id/update", ({ p, body }) => {
    const it = project(p.id ?? "");
    return Object.assign(it, body, { version: it.version + 1 });
  });
  on("GET", "/projects/:id/members", () => list(state.members));
  on("PUT", "/projects/:id/members/:user", () => {
    throw refuse(403, "forbidden", "Only an owner may change this role.");
  });
  on("GET", "/projects/:id/activity", () => list(state.activity));
  on("GET", "/projects/:id/dependencies", () => list(state.dependencies));
  on("GET", "/projects/:id/refs", () => state.refs);
  on("GET", "/projects/:id/tree", ({ q }) => found(data.tree(q.get("ref") ?? "main", q.get("path") ?? "")));
  on("GET", "/projects/:id/files", ({ q }) =>
    found(data.file(q.get("ref") ?? "main", q.get("path") ?? ""), "file"),
  );
  on("GET", "/projects/:id/readme", () => data.readme);
  on("GET", "/projects/:id/commits", () => list(state.commits));
  on("GET", "/projects/:id/commits/:oid", ({ p }) =>
    data.commitDetail(found(state.commits.find((c) => c.oid.startsWith(p.oid ?? "x")))),
  );
  on("GET", "/projects/:id/commits/:oid/statuses", () =>
    list([
      {
        context: "ci / test",
        state: "success",
        description: "3 jobs in 1m 12s",
        target_url: "/acme/web/-/runs/42",
        updated_at: data.minutesAgo(10),
      },
    ]),
  );
  on("GET", "/projects/:id/languages", () => list(state.languages));
  on("GET", "/projects/:id/quality", () => state.quality);
  on("GET", "/projects/:id/functions", () => list(state.quality.worst));
  on("GET", "/projects/:id/search", () => list(data.hits));
  on("GET", "/search", () =>
    list(data.hits.map((h) => ({ ...h, project: { id: "prj_1", path: "acme/web" } }))),
  );
  on("GET", "/projects/:id/workflows", () => list(state.workflows));
  on("POST", "/projects/:id/build", () => ({ runs: [state.runs[0]], diagnostics: [] }));
  on("GET", "/projects/:id/runs", ({ q }) =>
    list(
      state.runs.filter(
        (r) =>
          (!q.get("state") || r.state === q.get("state")) &&
          (!q.get("number") || String(r.number) === q.get("number")),
      ),
    ),
  );
  on("GET", "/runs/:run", ({ p }) =>
    found(
      state.runs.find((r) => r.id === p.run),
      "run",
    ),
  );
  on("GET", "/runs/:run/events", (ctx) => {
    const run = found(
      state.runs.find((r) => r.id === ctx.p.run),
      "run",
    );
    sse(
      ctx,
      (send) => {
        send("run", run);
        return run.state !== "completed";
      },
      1500,
    );
  });
  on("POST", "/runs/:run/cancel", () => undefined);
  on("POST", "/runs/:run/retry", ({ p }) => state.runs.find((r) => r.id === p.run));
  on("GET", "/jobs/:job/log", ({ p, q, res }) => {
    const log = data.log(p.job ?? "");
    const from = Number(q.get("offset") ?? 0);
    const limit = Number(q.get("limit") ?? log.length);
    const slice = log.subarray(from, from + limit);
    res.setHeader("x-log-next", String(from + slice.length));
    res.setHeader("x-log-length", String(log.length));
    res.setHeader("x-log-complete", String(!data.isLive(p.job ?? "")));
    res.setHeader("content-type", "text/plain; charset=utf-8");
    return Buffer.from(slice);
  });
  on("GET", "/jobs/:job/log/stream", (ctx) => {
    let at = Number(ctx.q.get("offset") ?? 0);
    sse(
      ctx,
      (send, n) => {
        const log = data.log(ctx.p.job ?? "");
        const text = log.subarray(at, at + 65536).toString() || "";
        if (text) {
          send("log", { offset: at, text }, String(at + Buffer.byteLength(text)));
          at += Buffer.byteLength(text);
        }
        if (data.isLive(ctx.p.job ?? "")) data.grow(ctx.p.job ?? "", n);
        return data.isLive(ctx.p.job ?? "") || text !== "";
      },
      300,
    );
  });
  on("GET", "/runs/:run/artifacts", () => list(state.artifacts));
  on("GET", "/runs/:run/tests", ({ q }) => {
    const status = q.get("status");
    return { ...state.tests, items: state.tests.items.filter((t) => !status || t.status === status) };
  });
  on("GET", "/runs/:run/coverage", () => state.coverage);
  on("GET", "/runs/:run/summary", () => ({
    items: [
      {
        job: "test",
        step: "Report",
        html: "<h3>Tests</h3><table><tr><th>Suite</th><th>Result</th></tr><tr><td>unit</td><td>148 passed</td></tr></table>",
      },
    ],
  }));
  on("GET", "/projects/:id/secrets", () => list(state.secrets));
  on("PUT", "/projects/:id/secrets/:name", ({ p }) => {
    state.secrets.push({ name: p.name ?? "", updated_at: new Date().toISOString() });
  });
  on("GET", "/projects/:id/variables", () => list(state.variables));
  on("GET", "/projects/:id/images", () => list(state.images));
  on("GET", "/projects/:id/images/tags", () => list(state.tags));
  on("GET", "/projects/:id/environments", () => list(state.environments));
  on("GET", "/projects/:id/deployments", () => list(state.deployments));
  on("GET", "/projects/:id/releases", () => list(state.releases));
  const start = (kind: "deploy" | "rollback") => {
    const it = data.deployment(kind, state.releases[1] as data.Release);
    state.deployments.unshift(it);
    return it;
  };
  on("POST", "/projects/:id/deploy", () => start("deploy"));
  on("POST", "/environments/:env/rollback", () => start("rollback"));
  on("GET", "/deployments/:id", ({ p }) => found(state.deployments.find((d) => d.id === p.id)));
  on("GET", "/deployments/:id/events", (ctx) => {
    const it = found(state.deployments.find((d) => d.id === ctx.p.id));
    sse(
      ctx,
      (send) => {
        const more = data.advance(it.steps);
        it.state = more ? "running" : "completed";
        if (!more) {
          it.conclusion = "success";
          it.finished_at = new Date().toISOString();
        }
        send("deployment", it);
        return more;
      },
      700,
    );
  });
  on("GET", "/environments/:env/watch", () => data.watch());
  on("GET", "/environments/:env/log", () => Buffer.from(data.appLog));

  return (req: IncomingMessage, res: ServerResponse, next: () => void): void => {
    const url = new URL(req.url ?? "/", "http://mock");
    const chunks: Buffer[] = [];
    const page = req.headers.accept?.includes("text/html");
    const route = page
      ? undefined
      : routes
          .map(([m, re, names, handler]) => ({
            names,
            handler,
            match: m === req.method ? re.exec(url.pathname) : null,
          }))
          .find((r) => r.match);
    if (!route) {
      next();
      return;
    }
    req.on("data", (c: Buffer) => chunks.push(c));
    req.on("end", () => {
      const p = Object.fromEntries(
        route.names.map((n, i) => [n, decodeURIComponent(route.match?.[i + 1] ?? "")]),
      );
      const text = Buffer.concat(chunks).toString();
      setTimeout(() => {
        try {
          const out = route.handler({ p, q: url.searchParams, body: text ? JSON.parse(text) : {}, req, res });
          if (res.headersSent) return;
          if (Buffer.isBuffer(out)) {
            res.end(out);
            return;
          }
          if (out === undefined) {
            res.statusCode = 204;
            res.end();
            return;
          }
          res.setHeader("content-type", "application/json");
          res.end(JSON.stringify(out));
        } catch (error) {
          const doc =
            error instanceof Refused ? error.doc : { status: 500, code: "internal", title: String(error) };
          res.statusCode = Number(doc.status);
          res.setHeader("content-type", "application/problem+json");
          res.end(JSON.stringify({ ...doc, request_id: "req_mock" }));
        }
      }, 60);
    });
  };
}
