import type * as T from "../src/api/types.ts";

export type Project = T.Project;
export type Release = T.Release;

const now = Date.now();
export const minutesAgo = (n: number) => new Date(now - n * 60_000).toISOString();
const oid = (n: number) =>
  `${((n * 2654435761) % 4294967296).toString(16).padStart(8, "0")}71be3f09ac5d20e88b1c47fa9063d2e1`;

const all =
  "project:read project:write project:admin repository:read repository:write pipeline:read pipeline:write registry:read registry:write deployment:read deployment:write environment:write secret:read secret:write member:read member:write".split(
    " ",
  );
const project = (path: string, rest: Partial<T.Project>): T.Project => {
  const at = path.lastIndexOf("/");
  return {
    id: `prj_${path.replace(/\W/g, "")}`,
    path,
    namespace: path.slice(0, at),
    name: path.slice(at + 1),
    description: null,
    visibility: "private",
    language: null,
    topics: [],
    default_branch: "main",
    template: null,
    archived: false,
    deleted_at: null,
    created_at: minutesAgo(60 * 24 * 40),
    updated_at: minutesAgo(12),
    last_activity_at: minutesAgo(12),
    version: 3,
    clone_url: `http://localhost:3004/${path}.git`,
    web_url: `http://localhost:3004/${path}`,
    registry: `localhost:3004/${path}`,
    role: "owner",
    permissions: all,
    ...rest,
  };
};

const job = (run: string, key: string, needs: string[], rest: Partial<T.Job>): T.Job => ({
  id: `job_${run}_${key.replace(/\W/g, "")}`,
  run_id: `run_${run}`,
  key,
  name: key,
  needs,
  state: "completed",
  reason: null,
  conclusion: "success",
  infra_failure: null,
  attempt: 1,
  labels: ["linux"],
  runner: { id: "rnr_1", name: "builtin" },
  started_at: minutesAgo(9),
  finished_at: minutesAgo(8),
  outputs: {},
  matrix: null,
  steps: [],
  annotations: [],
  ...rest,
});

const logs = new Map<string, Buffer>();
const live = new Set<string>();
export const log = (id: string): Buffer => logs.get(id) ?? Buffer.from("Nothing special here.\n");
export const isLive = (id: string): boolean => live.has(id);
export function grow(id: string, n: number): void {
  const line = `\u001b[32m    Finished\u001b[0m step ${n} of the build with \u001b[1mrustc\u001b[0m — ünïcødé ok\n`;
  logs.set(id, Buffer.concat([log(id), Buffer.from(line)]));
}

function steps(jobId: string, parts: [string, string, T.Conclusion | null][]): T.Step[] {
  const buffers: Buffer[] = [];
  let at = 0;
  const out = parts.map(([name, text, conclusion], index): T.Step => {
    const b = Buffer.from(text);
    buffers.push(b);
    const from = at;
    at += b.length;
    return {
      index,
      name,
      state: conclusion === null ? "running" : "completed",
      conclusion,
      started_at: minutesAgo(9 - index),
      finished_at: conclusion === null ? null : minutesAgo(8.6 - index),
      log_from: from,
      log_to: conclusion === null ? null : at,
      exit_code: conclusion === "failure" ? 101 : 0,
    };
  });
  logs.set(jobId, Buffer.concat(buffers));
  return out;
}

const compile = Array.from(
  { length: 60 },
  (_, i) => `\u001b[1m\u001b[32m   Compiling\u001b[0m crate-${i} v0.${i}.1\n`,
).join("");
const tests = `running 4 tests
test routes::health_answers ... \u001b[32mok\u001b[0m
test routes::greets_by_name ... \u001b[32mok\u001b[0m
test routes::refuses_empty_name ... \u001b[31mFAILED\u001b[0m
test config::reads_environment ... \u001b[32mok\u001b[0m

failures:

---- routes::refuses_empty_name stdout ----
thread 'routes::refuses_empty_name' panicked at src/routes.rs:42:9:
assertion \`left == right\` failed
  left: 200
 right: 422
note: run with \`RUST_BACKTRACE=1\` environment variable to display a backtrace

test result: \u001b[31mFAILED\u001b[0m. 3 passed; 1 failed; 0 ignored
::error file=src/routes.rs,line=42::assertion failed: left 200, right 422
`;
const checkout =
  "::group::Fetching the repository\nfrom http://localhost:3004/acme/web.git\n * branch main -> FETCH_HEAD\n::endgroup::\nHEAD is now at 4f2c1a9 Refuse empty names\n";

function run(number: number, rest: Partial<T.RunDetail>): T.RunDetail {
  return {
    id: `run_${number}`,
    number,
    project_id: "prj_acmeweb",
    project_path: "acme/web",
    workflow: ".github/workflows/ci.yml",
    name: "CI",
    title: "Refuse empty names",
    event: "push",
    ref: "refs/heads/main",
    commit: oid(1),
    state: "completed",
    conclusion: "success",
    attempt: 1,
    detected: false,
    actor: { id: "usr_1", name: "ada" },
    diagnostics: [],
    jobs_total: 6,
    jobs_done: 6,
    created_at: minutesAgo(10),
    started_at: minutesAgo(10),
    finished_at: minutesAgo(8),
    version: 1,
    jobs: [],
    ...rest,
  };
}

function runs(): T.RunDetail[] {
  const liveId = "job_43_build";
  live.add(liveId);
  const running = run(43, {
    title: "Answer in the language of the caller",
    state: "running",
    conclusion: null,
    started_at: minutesAgo(1.4),
    finished_at: null,
    created_at: minutesAgo(1.5),
    jobs_done: 3,
    jobs: [
      job("43", "lint", [], { started_at: minutesAgo(1.4), finished_at: minutesAgo(1.1) }),
      job("43", "test", [], {
        name: "test (stable)",
        started_at: minutesAgo(1.4),
        finished_at: minutesAgo(0.6),
      }),
      job("43", "test", [], {
        id: "job_43_test2",
        name: "test (beta)",
        started_at: minutesAgo(1.4),
        finished_at: minutesAgo(0.5),
      }),
      job("43", "build", ["lint", "test"], {
        state: "running",
        conclusion: null,
        started_at: minutesAgo(0.5),
        finished_at: null,
        steps: steps(liveId, [
          ["Check out the code", checkout, "success"],
          ["Build with cargo", compile, null],
        ]),
      }),
      job("43", "image", ["build"], {
        state: "waiting",
        conclusion: null,
        started_at: null,
        finished_at: null,
      }),
      job("43", "deploy", ["image", "lint"], {
        state: "waiting",
        conclusion: null,
        started_at: null,
        finished_at: null,
      }),
    ],
  });
  const failId = "job_42_test";
  const big = Buffer.from(
    Array.from(
      { length: 400_000 },
      (_, i) =>
        `${String(i).padStart(7, "0")} the quick brown fox jumps over the lazy dog and writes line number ${i} of this log\n`,
    ).join(""),
  );
  logs.set("job_42_big", big);
  const failed = run(42, {
    conclusion: "failure",
    jobs: [
      job("42", "lint", [], {}),
      job("42", "test", [], {
        conclusion: "failure",
        steps: [
          ...steps(failId, [
            ["Check out the code", checkout, "success"],
            ["Set up Rust", "rustc 1.83.0 (90b35a623 2026-11-26)\n", "success"],
            ["Build", compile, "success"],
            ["Test", tests, "failure"],
          ]),
          {
            index: 4,
            name: "Upload the report",
            state: "completed",
            conclusion: "skipped",
            started_at: null,
            finished_at: null,
            log_from: null,
            log_to: null,
            exit_code: null,
          },
        ],
        annotations: [
          {
            severity: "error",
            message: "assertion failed: left 200, right 422",
            file: "src/routes.rs",
            line: 42,
          },
        ],
      }),
      job("42", "big", [], {
        name: "a log of 37 MB",
        steps: [
          {
            index: 0,
            name: "Write a lot",
            state: "completed",
            conclusion: "success",
            started_at: minutesAgo(9),
            finished_at: minutesAgo(8),
            log_from: 0,
            log_to: big.length,
            exit_code: 0,
          },
        ],
      }),
      job("42", "image", ["lint", "test"], { conclusion: "skipped", started_at: null, finished_at: null }),
      job("42", "gpu", [], {
        name: "benchmark on a GPU",
        state: "unschedulable",
        conclusion: null,
        started_at: null,
        finished_at: null,
        reason: "No runner has the label gpu. Runners online: builtin (linux, docker).",
      }),
      job("42", "deploy", ["image"], { conclusion: "skipped", started_at: null, finished_at: null }),
    ],
  });
  return [
    running,
    failed,
    run(41, {
      title: "Read the port from the environment",
      commit: oid(2),
      created_at: minutesAgo(95),
      started_at: minutesAgo(95),
      finished_at: minutesAgo(93.8),
      jobs: [job("41", "test", [], {})],
    }),
    run(40, {
      title: "Merge branch 'renovate/axum'",
      event: "workflow_dispatch",
      ref: "refs/heads/renovate/axum",
      commit: oid(3),
      conclusion: "cancelled",
      created_at: minutesAgo(300),
      started_at: minutesAgo(300),
      finished_at: minutesAgo(299),
      jobs: [],
    }),
    run(39, {
      title: "Detected build",
      name: "Cargo",
      detected: true,
      commit: oid(4),
      created_at: minutesAgo(3000),
      started_at: minutesAgo(3000),
      finished_at: minutesAgo(2998),
      jobs: [],
    }),
  ];
}

const releases = (): T.Release[] =>
  [7, 6, 5].map((number, i) => ({
    id: `rel_${number}`,
    number,
    image: `localhost:3004/acme/web:${oid(i + 1).slice(0, 12)}`,
    digest: `sha256:${oid(number)}${oid(number + 1)}`.slice(0, 71),
    commit: oid(i + 1),
    config: { LOG: "info" },
    created_at: minutesAgo(20 + i * 900),
    actor: { id: "usr_1", name: "ada" },
  }));

const stepNames = ["pull_image", "start", "health_check", "switch_over", "stop_previous"];
export function deployment(kind: T.Deployment["kind"], release: T.Release): T.Deployment {
  return {
    id: `dpl_${Math.random().toString(36).slice(2)}`,
    project_id: "prj_acmeweb",
    environment: { id: "env_1", name: "production" },
    release,
    kind,
    state: "queued",
    conclusion: null,
    steps: stepNames.map((name) => ({
      name,
      state: "pending",
      detail: null,
      started_at: null,
      finished_at: null,
    })),
    reason: null,
    actor: { id: "usr_1", name: "ada" },
    run_id: null,
    url: null,
    created_at: new Date().toISOString(),
    started_at: new Date().toISOString(),
    finished_at: null,
  };
}

export function operation(path: string): T.Operation {
  const titles: [string, string][] = [
    ["validate", "Check the request"],
    ["create_repository", "Create the repository"],
    ["initialise_structure", "Lay out the files"],
    ["set_up_dependencies", "Resolve dependencies"],
    ["configure_ci", "Configure the pipeline"],
    ["index_files", "Index the files"],
    ["finish", "Finish"],
  ];
  return {
    id: `op_${Date.now()}`,
    kind: "project_create",
    state: "running",
    project_id: null,
    project_path: path,
    error: null,
    created_at: new Date().toISOString(),
    finished_at: null,
    steps: titles.map(([name, title]) => ({
      name,
      title,
      state: "pending",
      detail: null,
      started_at: null,
      finished_at: null,
    })),
  };
}

/** Moves a list of steps on by half a step. False when there is nothing left. */
export function advance(
  steps: {
    state: string;
    started_at: string | null;
    finished_at: string | null;
    detail: string | null;
    name: string;
  }[],
): boolean {
  const running = steps.find((s) => s.state === "running");
  if (running) {
    running.state = "done";
    running.finished_at = new Date().toISOString();
    if (running.name === "set_up_dependencies") running.detail = "Cargo.lock: 84 packages";
    if (running.name === "health_check") running.detail = "GET /health answered 200 in 3 ms";
  }
  const next = steps.find((s) => s.state === "pending");
  if (!next) return false;
  next.state = "running";
  next.started_at = new Date().toISOString();
  return true;
}

const source = `//! The routes of the service.
use axum::{extract::Query, http::StatusCode, routing::get, Json, Router};
use serde::{Deserialize, Serialize};

/// Who is to be greeted.
#[derive(Debug, Deserialize)]
struct Greet {
    name: String,
}

#[derive(Debug, Serialize)]
struct Greeting {
    text: String,
    length: usize,
}

pub fn router() -> Router {
    Router::new()
        .route("/health", get(|| async { "ok" }))
        .route("/greet", get(greet))
}

async fn greet(Query(query): Query<Greet>) -> Result<Json<Greeting>, (StatusCode, String)> {
    if query.name.trim().is_empty() {
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "a name is needed".to_owned()));
    }
    // A trojan: \u202e } \u2066if is_admin\u2069 \u2066
    let text = format!("Hello, {}!", query.name);
    Ok(Json(Greeting { length: text.chars().count(), text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn greets_by_name() {
        let out = greet(Query(Greet { name: "Ada".into() })).await.expect("a greeting");
        assert_eq!(out.text, "Hello, Ada!");
    }
}
`;
const readmeHtml = `<h1>web</h1><p>A small HTTP service in Rust, with tests, a pipeline, an image and a deployment.</p><h2>Run</h2><pre><code>cargo run
curl localhost:8080/greet?name=Ada
</code></pre><h2>Layout</h2><table><thead><tr><th>Path</th><th>What</th></tr></thead><tbody><tr><td><a href="src/routes.rs"><code>src/routes.rs</code></a></td><td>the routes</td></tr><tr><td><code>Dockerfile</code></td><td>a static image</td></tr></tbody></table><blockquote><p>Every push is built, tested and delivered.</p></blockquote>`;
export const readme = { path: "README.md", html: readmeHtml, content: "# web" };

const files: Record<string, [T.TreeEntry["type"], number | null, string | null]> = {
  ".github": ["tree", null, null],
  src: ["tree", null, null],
  tests: ["tree", null, null],
  ".gitignore": ["blob", 18, null],
  "Cargo.lock": ["blob", 24_811, "TOML"],
  "Cargo.toml": ["blob", 612, "TOML"],
  Dockerfile: ["blob", 221, "Dockerfile"],
  "README.md": ["blob", 1204, "Markdown"],
};
const sub: Record<string, [T.TreeEntry["type"], number | null, string | null]> = {
  "main.rs": ["blob", 812, "Rust"],
  "routes.rs": ["blob", source.length, "Rust"],
  "config.rs": ["blob", 930, "Rust"],
};
export function tree(ref: string, path: string): T.Tree | null {
  const entries = path === "" ? files : path === "src" ? sub : null;
  if (!entries) return null;
  return {
    ref,
    commit: oid(1),
    path,
    entries: Object.entries(entries).map(([name, [type, size, language]], i) => ({
      name,
      path: path ? `${path}/${name}` : name,
      type,
      mode: "100644",
      size,
      oid: oid(i),
      language,
      last_commit: {
        oid: oid((i % 4) + 1),
        title: titles[i % titles.length] ?? "",
        time: minutesAgo(12 + i * 777),
      },
    })),
  };
}
export function file(ref: string, path: string): T.FileView | null {
  if (path === "README.md")
    return {
      ref,
      commit: oid(1),
      path,
      size: 1204,
      oid: oid(9),
      language: "Markdown",
      binary: false,
      encoding: "utf-8",
      content: "# web\n\nA small HTTP service.\n",
      truncated: false,
      html: readmeHtml,
    };
  return {
    ref,
    commit: oid(1),
    path,
    size: source.length,
    oid: oid(9),
    language: "Rust",
    binary: false,
    encoding: "utf-8",
    content: source,
    truncated: false,
    html: null,
  };
}

const titles = [
  "Refuse empty names",
  "Read the port from the environment",
  "Answer in the language of the caller",
  "Lay out the project from the template rust-service",
];
export function commitDetail(c: T.Commit): T.CommitDetail {
  return {
    ...c,
    stats: { files: 2, additions: 5, deletions: 2 },
    files: [
      {
        path: "src/routes.rs",
        old_path: null,
        status: "modified",
        additions: 4,
        deletions: 1,
        binary: false,
        truncated: false,
        hunks: [
          {
            old_start: 21,
            old_lines: 4,
            new_start: 21,
            new_lines: 7,
            lines: [
              { kind: " ", text: "async fn greet(Query(query): Query<Greet>) -> Json<Greeting> {" },
              { kind: "-", text: '    let text = format!("Hello, {}", query.name);' },
              { kind: "+", text: "    if query.name.trim().is_empty() {" },
              {
                kind: "+",
                text: '        return Err((StatusCode::UNPROCESSABLE_ENTITY, "a name is needed".to_owned()));',
              },
              { kind: "+", text: "    }" },
              { kind: "+", text: '    let text = format!("Hello, {}!", query.name);' },
              { kind: " ", text: "    Ok(Json(Greeting { text }))" },
            ],
          },
        ],
      },
      {
        path: "src/http.rs",
        old_path: "src/net.rs",
        status: "renamed",
        additions: 1,
        deletions: 1,
        binary: false,
        truncated: false,
        hunks: [
          {
            old_start: 1,
            old_lines: 2,
            new_start: 1,
            new_lines: 2,
            lines: [
              { kind: "-", text: "//! Net." },
              { kind: "+", text: "//! HTTP." },
              { kind: " ", text: "" },
            ],
          },
        ],
      },
    ],
  };
}

export const hits: T.SearchHit[] = [
  {
    path: "src/routes.rs",
    oid: oid(9),
    matches: [
      {
        line: 22,
        text: "async fn greet(Query(query): Query<Greet>) -> Result<Json<Greeting>, (StatusCode, String)> {",
        ranges: [[9, 14]],
      },
      {
        line: 36,
        text: '        let out = greet(Query(Greet { name: "Ada".into() })).await.expect("a greeting");',
        ranges: [[18, 23]],
      },
    ],
  },
  {
    path: "README.md",
    oid: oid(8),
    matches: [{ line: 9, text: "curl localhost:8080/greet?name=Ada", ranges: [[20, 25]] }],
  },
];

export function watch(): T.Watch {
  return {
    state: "healthy",
    uptime_seconds: 4211,
    restarts: 0,
    cpu_percent: 0.8,
    memory_bytes: 12_582_912,
    requests: { total: 18_244, errors: 3, p50_ms: 1.2, p95_ms: 4.8 },
    probes: Array.from({ length: 48 }, (_, i) => ({
      at: minutesAgo((48 - i) / 6),
      ok: i !== 17,
      latency_ms: 2 + Math.abs(Math.sin(i / 3)) * 5 + (i % 7 === 0 ? 4 : 0),
      status: i === 17 ? 503 : 200,
    })),
  };
}
export const appLog = Array.from(
  { length: 40 },
  (_, i) =>
    `\u001b[2m${minutesAgo(40 - i)}\u001b[0m \u001b[32m INFO\u001b[0m request method=GET path=/greet status=200 latency=${i % 5} ms`,
).join("\n");

const parameter = (
  name: string,
  type: T.ParameterType,
  rest: Partial<T.TemplateParameter>,
): T.TemplateParameter => ({
  name,
  title: null,
  description: null,
  type,
  default: null,
  required: false,
  ...rest,
});
const template = (
  name: string,
  title: string,
  language: string,
  description: string,
  tools: T.Template["tools"],
): T.Template => ({
  name,
  title,
  language,
  description,
  icon: null,
  tools,
  available: tools.every((t) => t.found),
  missing: tools.filter((t) => !t.found).map((t) => t.name),
  parameters: [
    parameter("port", "integer", {
      title: "Port",
      description: "Where the service listens",
      default: 8080,
      required: true,
      min: 1024,
      max: 65535,
    }),
    parameter("health_path", "string", {
      title: "Health check",
      default: "/health",
      required: true,
      pattern: "/[a-z/]*",
      max_length: 60,
    }),
    parameter("docker", "boolean", { title: "Build a container image", default: true }),
    parameter("licence", "choice", {
      title: "Licence",
      choices: ["MIT", "Apache-2.0", "none"],
      default: "MIT",
    }),
  ],
});

export function create() {
  const user: T.User = {
    id: "usr_1",
    name: "ada",
    display_name: "Ada Lovelace",
    email: "ada@example.org",
    admin: true,
    state: "active",
    created_at: minutesAgo(90_000),
    version: 1,
  };
  const tool = (name: string, version: string | null) => ({ name, found: version !== null, version });
  const rel = releases();
  return {
    user,
    users: [
      user,
      { ...user, id: "usr_2", name: "grace", display_name: "Grace Hopper", email: null, admin: false },
      { ...user, id: "usr_3", name: "linus", display_name: null, admin: false, state: "blocked" as const },
    ],
    tokens: [
      {
        id: "tok_1",
        name: "laptop",
        permissions: ["project:read", "repository:read", "repository:write"],
        projects: null,
        expires_at: minutesAgo(-43_000),
        last_used_at: minutesAgo(33),
        created_at: minutesAgo(9000),
      },
    ] as T.Token[],
    permissions: all.map((name) => ({ name, least_role: "guest" as const })),
    groups: [
      {
        id: "grp_1",
        path: "acme",
        name: "acme",
        display_name: "Acme",
        description: "Everything that Acme builds",
        visibility: "internal",
        parent: null,
        created_at: minutesAgo(90_000),
        version: 1,
      },
      {
        id: "grp_2",
        path: "acme/platform",
        name: "platform",
        display_name: null,
        description: null,
        visibility: "private",
        parent: "acme",
        created_at: minutesAgo(80_000),
        version: 1,
      },
    ] as T.Group[],
    projects: [
      project("acme/web", {
        id: "prj_acmeweb",
        description: "Greets callers over HTTP; the example of the house",
        language: "Rust",
        topics: ["http", "example"],
        template: "rust-service",
        visibility: "internal",
      }),
      project("acme/platform/billing", {
        description: "Invoices, taxes and reminders",
        language: "Go",
        topics: ["billing"],
        last_activity_at: minutesAgo(190),
      }),
      project("acme/site", {
        description: "The public site",
        language: "HTML",
        visibility: "public",
        last_activity_at: minutesAgo(2900),
      }),
      project("ada/engine-notes", {
        description: "Notes on the analytical engine, with a program for the Bernoulli numbers",
        language: "Python",
        last_activity_at: minutesAgo(20_000),
      }),
      project("ada/scratch", { last_activity_at: minutesAgo(70_000) }),
      project("acme/old-gateway", { archived: true, language: "Java" }),
    ],
    members: [
      {
        user: { id: "usr_1", name: "ada", display_name: "Ada Lovelace" },
        role: "owner",
        source: "direct",
        created_at: minutesAgo(9000),
      },
      {
        user: { id: "usr_2", name: "grace", display_name: "Grace Hopper" },
        role: "maintainer",
        source: "group:acme",
        created_at: minutesAgo(9000),
      },
      {
        user: { id: "usr_3", name: "linus", display_name: null },
        role: "developer",
        source: "direct",
        created_at: minutesAgo(700),
      },
    ] as T.Member[],
    templates: [
      template(
        "rust-service",
        "Rust HTTP service",
        "Rust",
        "axum with tests, a static image and a pipeline.",
        [tool("cargo", "1.83.0")],
      ),
      template(
        "node-service",
        "Node service",
        "TypeScript",
        "Node's own HTTP server in TypeScript, tests with node:test.",
        [tool("node", "v20.20.2"), tool("npm", "11.19.1")],
      ),
      template("python-service", "Python service", "Python", "A WSGI service with unittest and coverage.", [
        tool("python3", "3.11.2"),
      ]),
      template("go-service", "Go service", "Go", "net/http with table tests.", [tool("go", null)]),
      template("static-site", "Static site", "HTML", "Pages built by a script, served from scratch.", []),
    ],
    operations: new Map<string, T.Operation>(),
    runners: [
      {
        id: "rnr_1",
        name: "builtin",
        labels: ["linux", "x64", "docker"],
        capacity: 4,
        busy: 1,
        version: "0.1.0",
        state: "online",
        last_seen_at: minutesAgo(0),
        in_process: true,
      },
      {
        id: "rnr_2",
        name: "build-2",
        labels: ["linux", "arm64"],
        capacity: 2,
        busy: 0,
        version: "0.1.0",
        state: "offline",
        last_seen_at: minutesAgo(600),
        in_process: false,
      },
    ] as T.Runner[],
    activity: [
      {
        id: "evt_3",
        time: minutesAgo(2),
        type: "push",
        actor: { id: "usr_1", name: "ada" },
        summary: "pushed 1 commit to main: Answer in the language of the caller",
        data: {},
        work: [
          {
            kind: "inventory",
            title: "File inventory",
            state: "done",
            attempts: 1,
            error: null,
            finished_at: minutesAgo(2),
          },
          {
            kind: "analysis",
            title: "Analysis",
            state: "done",
            attempts: 1,
            error: null,
            finished_at: minutesAgo(2),
          },
          {
            kind: "index",
            title: "Search index",
            state: "done",
            attempts: 2,
            error: null,
            finished_at: minutesAgo(2),
          },
          { kind: "build", title: "Build", state: "running", attempts: 1, error: null, finished_at: null },
        ],
      },
      {
        id: "evt_2",
        time: minutesAgo(20),
        type: "deployment.succeeded",
        actor: null,
        summary: "release #7 runs in production",
        data: {},
        work: [],
      },
      {
        id: "evt_1",
        time: minutesAgo(4000),
        type: "project.created",
        actor: { id: "usr_1", name: "ada" },
        summary: "created the project from rust-service",
        data: {},
        work: [
          {
            kind: "index",
            title: "Search index",
            state: "failed",
            attempts: 3,
            error: "no space left on device",
            finished_at: null,
          },
        ],
      },
    ] as T.Activity[],
    dependencies: [
      "axum",
      "serde",
      "serde_json",
      "tokio",
      "tower",
      "tracing",
      "hyper",
      "http-body-util",
      "bytes",
    ].map((name, i) => ({
      ecosystem: "cargo",
      name,
      version: `${i}.${i * 3}.1`,
      direct: i < 5,
      scope: i === 4 ? "dev" : "runtime",
      path: "Cargo.lock",
    })) as T.Dependency[],
    refs: {
      default_branch: "main",
      branches: [
        { name: "main", commit: oid(1), updated_at: minutesAgo(2) },
        { name: "feature/greetings", commit: oid(2), updated_at: minutesAgo(500) },
      ],
      tags: [{ name: "v1.0.0", commit: oid(3), updated_at: minutesAgo(5000) }],
      next: null,
    } as T.Refs,
    commits: titles.map((title, i) => ({
      oid: oid(i + 1),
      parents: i === 3 ? [] : [oid(i + 2)],
      author: {
        name: i === 2 ? "Grace Hopper" : "Ada Lovelace",
        email: "ada@example.org",
        time: minutesAgo(12 + i * 777),
      },
      committer: { name: "Ada Lovelace", email: "ada@example.org", time: minutesAgo(12 + i * 777) },
      title,
      message: `${title}\n\nA longer text that says why.\n`,
      status: i === 0 ? "pending" : i === 1 ? "failure" : "success",
    })) as T.Commit[],
    languages: [
      {
        name: "Rust",
        files: 12,
        lines: 1400,
        code: 1100,
        comments: 180,
        blanks: 120,
        bytes: 41_000,
        share: 0.86,
      },
      { name: "Dockerfile", files: 1, lines: 20, code: 15, comments: 2, blanks: 3, bytes: 400, share: 0.02 },
      { name: "YAML", files: 2, lines: 90, code: 80, comments: 4, blanks: 6, bytes: 2400, share: 0.07 },
      { name: "Markdown", files: 1, lines: 60, code: 44, comments: 0, blanks: 16, bytes: 1200, share: 0.05 },
    ] as T.Language[],
    quality: {
      commit: oid(1),
      analyzed_at: minutesAgo(2),
      files: 16,
      lines: 1570,
      code: 1239,
      comments: 186,
      functions: 84,
      cyclomatic_total: 210,
      cyclomatic_max: 14,
      cognitive_total: 160,
      cognitive_max: 22,
      comment_ratio: 0.13,
      worst: [
        {
          path: "src/config.rs",
          name: "Config::from_env",
          line: 40,
          end_line: 112,
          cyclomatic: 14,
          cognitive: 22,
          lines: 73,
          params: 1,
        },
        {
          path: "src/routes.rs",
          name: "greet",
          line: 22,
          end_line: 29,
          cyclomatic: 3,
          cognitive: 2,
          lines: 8,
          params: 1,
        },
      ],
    } as T.Quality,
    workflows: [
      {
        path: ".github/workflows/ci.yml",
        name: "CI",
        detected: false,
        events: ["push", "workflow_dispatch"],
        inputs: { level: { description: "How much to log", default: "info" } },
        jobs: ["lint", "test", "build", "image", "deploy"],
        diagnostics: [
          {
            file: ".github/workflows/ci.yml",
            line: 12,
            column: 7,
            severity: "warning",
            code: "unsupported",
            message: "concurrency is not supported yet; the run starts at once",
          },
        ],
      },
    ] as T.Workflow[],
    runs: runs(),
    artifacts: [
      {
        id: "art_1",
        name: "web-linux-x64",
        size: 3_400_221,
        digest: `sha256:${oid(4)}`,
        files: 3,
        created_at: minutesAgo(8),
        expires_at: minutesAgo(-40_000),
      },
    ] as T.Artifact[],
    tests: {
      totals: { tests: 148, passed: 146, failed: 1, skipped: 1, errors: 0, duration_ms: 1893 },
      items: [
        {
          suite: "web",
          class: "routes",
          name: "greets_by_name",
          status: "passed",
          duration_ms: 3,
          message: null,
          details: null,
          file: "src/routes.rs",
          job: "test",
        },
        {
          suite: "web",
          class: "routes",
          name: "refuses_empty_name",
          status: "failed",
          duration_ms: 12,
          message: "assertion `left == right` failed\n  left: 200\n right: 422",
          details: "thread 'routes::refuses_empty_name' panicked at src/routes.rs:42:9",
          file: "src/routes.rs",
          job: "test",
        },
        {
          suite: "web",
          class: "config",
          name: "reads_environment",
          status: "skipped",
          duration_ms: 0,
          message: "needs a database",
          details: null,
          file: null,
          job: "test",
        },
      ],
      next: null,
    } as T.TestReport,
    coverage: {
      lines_valid: 800,
      lines_covered: 690,
      line_rate: 0.8625,
      branches_valid: 120,
      branches_covered: 80,
      files: [
        { path: "src/routes.rs", valid: 100, covered: 98 },
        { path: "src/config.rs", valid: 80, covered: 31 },
        { path: "src/main.rs", valid: 20, covered: 13 },
      ],
    } as T.Coverage,
    secrets: [{ name: "REGISTRY_TOKEN", updated_at: minutesAgo(900) }] as T.Secret[],
    variables: [{ name: "RUST_LOG", value: "info", updated_at: minutesAgo(900) }] as T.Variable[],
    images: [{ name: "acme/web", tags: 3, updated_at: minutesAgo(20) }] as T.ImageRepository[],
    tags: ["latest", oid(1).slice(0, 12), oid(2).slice(0, 12)].map((tag, i) => ({
      name: "acme/web",
      tag,
      digest: `sha256:${oid(i === 2 ? 6 : 5)}`,
      size: 3_911_002,
      media_type: "application/vnd.oci.image.manifest.v1+json",
      pushed_at: minutesAgo(20 + i * 10),
    })) as T.ImageTag[],
    environments: [
      {
        id: "env_1",
        name: "production",
        target: "docker",
        url: "http://localhost:20117",
        port: 20117,
        state: "healthy",
        config: { LOG: "info", PORT: "8080" },
        secrets: ["REGISTRY_TOKEN"],
        health: {
          path: "/health",
          interval_seconds: 5,
          timeout_seconds: 2,
          healthy_after: 2,
          deadline_seconds: 60,
        },
        container_port: 8080,
        current: rel[0],
        version: 4,
        updated_at: minutesAgo(20),
      },
      {
        id: "env_2",
        name: "staging",
        target: "process",
        url: null,
        port: null,
        state: "empty",
        config: {},
        secrets: [],
        health: null,
        container_port: null,
        current: null,
        version: 1,
        updated_at: minutesAgo(900),
      },
    ] as T.Environment[],
    releases: rel,
    deployments: [
      {
        ...deployment("deploy", rel[0] as Release),
        id: "dpl_1",
        state: "completed",
        conclusion: "success",
        created_at: minutesAgo(20),
        started_at: minutesAgo(20),
        finished_at: minutesAgo(19.9),
        steps: stepNames.map((name) => ({
          name,
          state: "done",
          detail: null,
          started_at: minutesAgo(20),
          finished_at: minutesAgo(19.9),
        })),
      },
      {
        ...deployment("automatic_rollback", rel[1] as Release),
        id: "dpl_2",
        state: "completed",
        conclusion: "rolled_back",
        reason: "GET /health answered 500 for 60 s",
        actor: null,
        created_at: minutesAgo(500),
        started_at: minutesAgo(500),
        finished_at: minutesAgo(499),
      },
    ] as T.Deployment[],
  };
}
