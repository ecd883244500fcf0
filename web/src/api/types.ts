/** The wire shapes of the HTTP contract. Times are RFC 3339 text, ids are prefixed text (`prj_…`). */

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface FieldError {
  field: string;
  code: string;
  message: string;
}

export interface ProblemDoc {
  type?: string;
  title: string;
  status: number;
  detail?: string;
  instance?: string;
  code: string;
  errors?: FieldError[];
  request_id?: string;
}

export interface Actor {
  id: string;
  name: string;
}

export interface User {
  id: string;
  name: string;
  display_name: string | null;
  email: string | null;
  admin: boolean;
  state: "active" | "blocked";
  created_at: string;
  version: number;
}

export interface Token {
  id: string;
  name: string;
  permissions: string[];
  projects: string[] | null;
  expires_at: string | null;
  last_used_at: string | null;
  created_at: string;
}

export interface Instance {
  name: string;
  version: string;
  sign_up: boolean;
  public_url: string;
  docker: boolean;
  registry_host: string | null;
}

export interface Permission {
  name: string;
  least_role: Role | null;
}

export type Role = "guest" | "reporter" | "developer" | "maintainer" | "owner";
export const ROLES: readonly Role[] = ["guest", "reporter", "developer", "maintainer", "owner"];

export type Visibility = "private" | "internal" | "public";

export interface Group {
  id: string;
  path: string;
  name: string;
  display_name: string | null;
  description: string | null;
  visibility: Visibility;
  parent: string | null;
  created_at: string;
  version: number;
}

export interface Member {
  user: { id: string; name: string; display_name: string | null };
  role: Role;
  source: string;
  created_at: string;
}

export interface Namespace {
  path: string;
  kind: "user" | "group";
}

export interface Project {
  id: string;
  path: string;
  namespace: string;
  name: string;
  description: string | null;
  visibility: Visibility;
  language: string | null;
  topics: string[];
  default_branch: string;
  template: string | null;
  archived: boolean;
  deleted_at: string | null;
  created_at: string;
  updated_at: string;
  last_activity_at: string | null;
  version: number;
  clone_url: string;
  web_url: string;
  registry: string | null;
  role: Role | null;
  permissions: string[];
}

export type ParameterType = "string" | "integer" | "boolean" | "choice";

export interface TemplateParameter {
  name: string;
  title: string | null;
  description: string | null;
  type: ParameterType;
  default: string | number | boolean | null;
  required: boolean;
  pattern?: string | null;
  choices?: string[] | null;
  min?: number | null;
  max?: number | null;
  max_length?: number | null;
}

export interface Template {
  name: string;
  title: string;
  description: string;
  language: string | null;
  icon: string | null;
  tools: { name: string; found: boolean; version: string | null }[];
  available: boolean;
  missing: string[];
  parameters: TemplateParameter[];
}

export interface ProjectCreate {
  name: string;
  namespace?: string;
  description?: string;
  visibility?: Visibility;
  topics?: string[];
  template?: string;
  parameters?: Record<string, string | number | boolean>;
  default_branch?: string;
}

export type OperationStepState = "pending" | "running" | "done" | "failed" | "skipped" | "undone";

export interface Operation {
  id: string;
  kind: string;
  state: "running" | "succeeded" | "failed";
  steps: {
    name: string;
    title: string;
    state: OperationStepState;
    detail: string | null;
    started_at: string | null;
    finished_at: string | null;
  }[];
  project_id: string | null;
  project_path: string | null;
  error: ProblemDoc | null;
  created_at: string;
  finished_at: string | null;
}

export interface Activity {
  id: string;
  time: string;
  type: string;
  actor: Actor | null;
  summary: string;
  data: unknown;
  work: {
    kind: string;
    title: string;
    state: "queued" | "running" | "done" | "failed" | "dead";
    attempts: number;
    error: string | null;
    finished_at: string | null;
  }[];
}

export interface Dependency {
  ecosystem: string;
  name: string;
  version: string | null;
  direct: boolean;
  scope: string | null;
  path: string;
}

export interface RefItem {
  name: string;
  commit: string;
  updated_at: string | null;
}

export interface Refs {
  default_branch: string;
  branches: RefItem[];
  tags: RefItem[];
  next: string | null;
}

export interface TreeEntry {
  name: string;
  path: string;
  type: "tree" | "blob" | "symlink" | "submodule";
  mode: string;
  size: number | null;
  oid: string;
  language: string | null;
  last_commit: { oid: string; title: string; time: string } | null;
}

export interface Tree {
  ref: string;
  commit: string;
  path: string;
  entries: TreeEntry[];
}

export interface FileView {
  ref: string;
  commit: string;
  path: string;
  size: number;
  oid: string;
  language: string | null;
  binary: boolean;
  encoding: "utf-8" | "base64";
  content: string;
  truncated: boolean;
  html: string | null;
}

export interface Readme {
  path: string;
  html: string | null;
  content: string;
}

export interface Signature {
  name: string;
  email: string;
  time: string;
}

export interface Commit {
  oid: string;
  parents: string[];
  author: Signature;
  committer: Signature;
  title: string;
  message: string;
  status: "success" | "failure" | "pending" | null;
}

export interface DiffFile {
  path: string;
  old_path: string | null;
  status: "added" | "modified" | "deleted" | "renamed";
  additions: number;
  deletions: number;
  binary: boolean;
  truncated: boolean;
  hunks: {
    old_start: number;
    old_lines: number;
    new_start: number;
    new_lines: number;
    lines: { kind: " " | "+" | "-"; text: string }[];
  }[];
}

export interface CommitDetail extends Commit {
  files: DiffFile[];
  stats: { files: number; additions: number; deletions: number; truncated?: boolean };
}

export interface CommitStatus {
  context: string;
  state: "pending" | "success" | "failure" | "error";
  description: string | null;
  target_url: string | null;
  updated_at: string;
}

export interface Language {
  name: string;
  files: number;
  lines: number;
  code: number;
  comments: number;
  blanks: number;
  bytes: number;
  share: number;
}

export interface FunctionFacts {
  path: string;
  name: string;
  line: number;
  end_line: number;
  cyclomatic: number;
  cognitive: number;
  lines: number;
  params: number;
}

export interface Quality {
  commit: string | null;
  analyzed_at: string | null;
  files: number;
  lines: number;
  code: number;
  comments: number;
  functions: number;
  cyclomatic_total: number;
  cyclomatic_max: number;
  cognitive_total: number;
  cognitive_max: number;
  comment_ratio: number;
  worst: FunctionFacts[];
}

export interface SearchMatch {
  line: number;
  text: string;
  ranges: [number, number][];
}

export interface SearchHit {
  path: string;
  oid?: string;
  matches: SearchMatch[];
}

export interface GlobalSearchHit extends SearchHit {
  project: { id: string; path: string };
}

export interface Diagnostic {
  file: string;
  line: number | null;
  column: number | null;
  severity: "error" | "warning" | "info";
  code: string | null;
  message: string;
}

export interface WorkflowInput {
  name?: string;
  description?: string | null;
  required?: boolean;
  default?: unknown;
  type?: string;
  options?: string[] | null;
}

export interface Workflow {
  path: string;
  name: string;
  detected: boolean;
  events: string[];
  inputs: WorkflowInput[] | Record<string, WorkflowInput> | null;
  jobs: string[];
  diagnostics: Diagnostic[];
}

export type Conclusion = "success" | "failure" | "cancelled" | "skipped";

export interface Run {
  id: string;
  number: number;
  project_id: string;
  project_path: string;
  workflow: string;
  name: string;
  title: string | null;
  event: string;
  ref: string;
  commit: string;
  state: "queued" | "running" | "completed";
  conclusion: Conclusion | null;
  attempt: number;
  detected: boolean;
  /** Why it failed or was cancelled as a whole. */
  reason?: string | null;
  actor: Actor | null;
  diagnostics: Diagnostic[];
  jobs_total: number;
  jobs_done: number;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  version: number;
}

export interface Step {
  index: number;
  name: string;
  state: "pending" | "running" | "completed";
  conclusion: Conclusion | null;
  started_at: string | null;
  finished_at: string | null;
  log_from: number | null;
  log_to: number | null;
  exit_code: number | null;
}

export interface Annotation {
  severity: "error" | "warning" | "notice" | "info";
  message: string;
  file: string | null;
  line: number | null;
}

export interface Job {
  id: string;
  run_id: string;
  key: string;
  name: string;
  needs: string[];
  state: "waiting" | "queued" | "unschedulable" | "running" | "completed";
  reason: string | null;
  conclusion: Conclusion | null;
  infra_failure: string | null;
  attempt: number;
  /** A later attempt took its place. */
  superseded?: boolean;
  /** Its failure does not fail the run. */
  allowed_to_fail?: boolean;
  log_length?: number;
  labels: string[];
  runner: { id: string; name: string } | null;
  started_at: string | null;
  finished_at: string | null;
  outputs: Record<string, string> | null;
  matrix: Record<string, unknown> | null;
  steps: Step[];
  annotations: Annotation[];
}

export interface RunDetail extends Run {
  jobs: Job[];
}

export interface Artifact {
  id: string;
  name: string;
  size: number;
  digest: string;
  files: number | null;
  created_at: string;
  expires_at: string | null;
}

export interface TestCase {
  suite: string;
  class: string | null;
  name: string;
  status: "passed" | "failed" | "skipped" | "error";
  duration_ms: number | null;
  message: string | null;
  details: string | null;
  file: string | null;
  job: string | null;
}

export interface TestReport {
  totals: {
    tests: number;
    passed: number;
    failed: number;
    skipped: number;
    errors: number;
    duration_ms: number;
  };
  items: TestCase[];
  next: string | null;
}

export interface Coverage {
  lines_valid: number;
  lines_covered: number;
  line_rate: number;
  branches_valid: number;
  branches_covered: number;
  files: { path: string; valid: number; covered: number }[];
}

export interface RunSummary {
  items: { job: string; step: string | null; html: string }[];
}

export interface Secret {
  name: string;
  updated_at: string;
}

export interface Variable {
  name: string;
  value: string;
  updated_at: string;
}

export interface Runner {
  id: string;
  name: string;
  labels: string[];
  capacity: number;
  busy: number;
  version: string | null;
  state: "online" | "offline";
  last_seen_at: string | null;
  in_process: boolean;
}

export interface ImageRepository {
  name: string;
  tags: number | string[];
  updated_at: string | null;
}

export interface ImageTag {
  name: string;
  tag: string;
  digest: string;
  size: number;
  media_type: string;
  pushed_at: string;
}

export interface Release {
  id: string;
  number: number;
  image: string;
  digest: string | null;
  commit: string | null;
  config: Record<string, string> | null;
  created_at: string;
  actor: Actor | null;
}

export interface Environment {
  id: string;
  name: string;
  target: "process" | "docker";
  url: string | null;
  port: number | null;
  state: "empty" | "deploying" | "healthy" | "unhealthy" | "stopped";
  config: Record<string, string>;
  secrets: string[];
  health: {
    path: string;
    interval_seconds: number;
    timeout_seconds: number;
    healthy_after: number;
    deadline_seconds: number;
  } | null;
  container_port: number | null;
  current: Release | null;
  version: number;
  updated_at: string;
}

export interface DeploymentStep {
  name: string;
  state: "pending" | "running" | "done" | "failed" | "skipped" | "undone" | "completed";
  detail: string | null;
  started_at: string | null;
  finished_at: string | null;
}

export interface Deployment {
  id: string;
  project_id: string;
  environment: { id: string; name: string };
  release: Release | null;
  kind: "deploy" | "rollback" | "automatic_rollback";
  state: "queued" | "running" | "completed";
  conclusion: "success" | "failure" | "rolled_back" | "superseded" | null;
  steps: DeploymentStep[];
  reason: string | null;
  actor: Actor | null;
  run_id: string | null;
  url: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
}

export interface Watch {
  state: string;
  uptime_seconds: number | null;
  restarts: number;
  probes: { at: string; ok: boolean; latency_ms: number | null; status: number | null }[];
  requests: { total: number; errors: number; p50_ms: number | null; p95_ms: number | null } | null;
  cpu_percent: number | null;
  memory_bytes: number | null;
}
