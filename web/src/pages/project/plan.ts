/** The plan of a pipeline file, as far as the pages read it. */
import type { Diagnostic } from "@/api/types";
import type { GraphJob } from "@/graph/model";

export interface PlanDecision {
  job: string;
  included: boolean;
  because: string;
  span?: { file: string; line: number };
}

export interface Plan {
  name?: string;
  starts?: boolean;
  because?: string;
  jobs?: {
    key: string;
    name?: string;
    needs?: string[];
    stage?: string;
    strategy?: { matrix?: unknown } | null;
    gate?: { kind: string; message?: string; seconds?: number } | null;
    continue_on_error?: unknown;
  }[];
  decisions?: PlanDecision[];
  diagnostics?: Diagnostic[];
}

/** Its jobs as the drawing takes them: nothing has run yet. */
export function jobsOf(plan: Plan): GraphJob[] {
  return (plan.jobs ?? []).map((job) => ({
    id: job.key,
    key: job.key,
    // A name that is an expression says less than the key.
    name: `${job.name && !job.name.includes("${{") ? job.name : job.key}${job.strategy?.matrix ? " (matrix)" : ""}`,
    needs: job.needs ?? [],
    stage: job.stage ?? null,
    state: "planned",
    conclusion: null,
    started_at: null,
    finished_at: null,
    gate: job.gate
      ? { kind: job.gate.kind, message: job.gate.message ?? null, seconds: job.gate.seconds ?? null }
      : null,
    playable: false,
    allowed_to_fail: job.continue_on_error === true,
  }));
}

export interface Dialect {
  id: "github" | "gitlab" | "jenkins";
  name: string;
  path: string;
  start: string;
}

/** What a new file begins with. */
export const DIALECTS: Dialect[] = [
  {
    id: "github",
    name: "GitHub Actions",
    path: ".github/workflows/ci.yml",
    start: `name: CI
on: [push, workflow_dispatch]
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Test
        run: echo "your tests"
`,
  },
  {
    id: "gitlab",
    name: "GitLab CI",
    path: ".gitlab-ci.yml",
    start: `stages: [test]

test:
  stage: test
  script:
    - echo "your tests"
`,
  },
  {
    id: "jenkins",
    name: "Jenkinsfile",
    path: "Jenkinsfile",
    start: `pipeline {
  agent any
  stages {
    stage('Test') {
      steps {
        sh 'echo "your tests"'
      }
    }
  }
}
`,
  },
];

export const dialectOf = (path: string): Dialect["id"] =>
  /(^|\/)jenkinsfile/i.test(path) ? "jenkins" : /gitlab-ci\.ya?ml$/.test(path) ? "gitlab" : "github";

/** Events that can be asked about, by dialect. */
export const EVENTS: Record<Dialect["id"], string[]> = {
  github: ["push", "pull_request", "workflow_dispatch", "schedule"],
  gitlab: ["push", "merge_request_event", "web", "schedule"],
  jenkins: ["push", "pull_request", "workflow_dispatch", "schedule"],
};
