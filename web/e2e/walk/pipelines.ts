/** Tests over all runs, runners of a project, what no runner can take, and the form of a question. */
import { expect, test } from "vitest";
import { see, settled, shot, sound, until } from "../browser.ts";
import { base, change, name, read, walk } from "./walk.ts";

// Not with the whole name of the walk's project, which others look for.
const slug = (kind: string) => `${kind}-${name.replace("walk-", "")}`;
const at = (kind: string) => `/projects/${encodeURIComponent(`${walk.user}/${slug(kind)}`)}`;
const pages = (kind: string) => `${base}/${walk.user}/${slug(kind)}/-`;

/** Commits files. */
async function push(kind: string, files: Record<string, string>, action = "create"): Promise<string> {
  const actions = Object.entries(files).map(([path, content]) => ({ action, path, content }));
  const { oid } = await change<{ oid: string }>("POST", `${at(kind)}/commits`, {
    branch: "main",
    message: `Change ${Object.keys(files).join(", ")}`,
    actions,
  });
  return oid;
}

interface Run {
  id: string;
  number: number;
  state: string;
  conclusion: string;
}

const ended = (kind: string, commit: string) =>
  until(
    "the end of a run",
    async () => {
      const { items } = await read<{ items: Run[] }>(`${at(kind)}/runs?commit=${commit}`);
      return items.find((run) => run.state === "completed");
    },
    90_000,
  );

const CHECKS = `on: push
jobs:
  unit:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo "::warning file=cart.js,line=2::It rounds too early"
      - uses: devmentor/report@v1
        with: {junit: out.xml, lcov: cart.info, fail-on-failure: true}
`;
const report = (broken: boolean) =>
  `<testsuite name="s"><testcase classname="shop.Cart" name="adds" time="0.2"/><testcase classname="shop.Cart" name="rounds" time="0.4">${
    broken ? '<failure message="12.49 is not 12.50"/>' : ""
  }</testcase></testsuite>`;

test("a test has a history: first failing commit, quarantine, and back", async () => {
  const { page } = walk;
  await change("POST", "/projects/create", { name: slug("checks") });
  const lcov = (lines: string) => `SF:cart.js\n${lines}end_of_record\n`;
  await push("checks", {
    "out.xml": report(false),
    "cart.js": "one\nend\n",
    "cart.info": lcov("DA:1,1\n"),
    ".github/workflows/ci.yml": CHECKS,
  }).then((oid) => ended("checks", oid));
  const broken = await push(
    "checks",
    {
      "out.xml": report(true),
      "cart.js": "one\nnew\nnewer\nend\n",
      "cart.info": lcov("DA:1,1\nDA:2,1\nDA:3,0\n"),
    },
    "update",
  );
  const run = await ended("checks", broken);
  expect(run.conclusion).toBe("failure");

  // From the failed run to the test.
  await page.goto(`${pages("checks")}/runs/${run.number}?tab=tests`);
  await page.getByRole("link", { name: "History of rounds" }).click();
  await page.getByRole("heading", { name: "rounds" }).waitFor();
  await see(page, "Fails on main since commit");
  const results = page.getByRole("list", { name: /Results by run/ }).getByRole("link");
  await results.nth(1).waitFor();
  expect(await results.last().getAttribute("aria-label")).toMatch(/^Run \d+: failed, /);
  expect(await page.locator(".dm-banner a").first().getAttribute("href")).toContain(broken);
  await shot(page, "test-failing");
  await sound(page);

  await page.getByRole("button", { name: "Quarantine this test" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Reason" }).fill("Rounds badly, see #12");
  await dialog.getByRole("button", { name: "a month" }).click();
  await shot(page, "test-quarantine");
  await sound(page);
  await dialog.getByRole("button", { name: "Quarantine" }).click();
  await see(page, /In quarantine until .*see #12/);
  await sound(page);

  // The commit shows which of its lines ran, and what was remarked about them.
  await page.goto(`${pages("checks")}/runs/${run.number}?tab=coverage`);
  await see(page, "of 2 added lines");
  await sound(page);
  await page.getByRole("link", { name: "On the diff" }).click();
  await see(page, "50 % of 2 added lines covered");
  await see(page, "It rounds too early");
  const cart = page.getByRole("region", { name: "cart.js", exact: true });
  expect(await cart.locator("[data-ran=true]").allTextContents()).toEqual(["1, covered", "2, covered"]);
  expect(await cart.locator("[data-ran=false]").allTextContents()).toEqual(["3, not covered"]);
  await shot(page, "covered-diff");
  await sound(page);

  // The list narrows by what its address says.
  await page.goto(`${pages("checks")}/tests`);
  const rows = page.locator(".dm-test-row .dm-title-link");
  await until("both tests", async () => (await rows.count()) === 2);
  await shot(page, "project-tests");
  await sound(page);
  await page.getByRole("radiogroup", { name: "Which tests" }).getByText("Quarantined").click();
  await until("the one in quarantine", async () => (await rows.allTextContents()).join() === "rounds");
  expect(new URL(page.url()).searchParams.get("state")).toBe("quarantined");
  await page.getByRole("searchbox", { name: "Find tests" }).fill("nothing is called so");
  await see(page, "No test matches");
  await sound(page);

  await page.goto(`${pages("checks")}/tests?state=failing&q=cart`);
  await rows.first().click();
  await page.getByRole("button", { name: "End the quarantine" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End it" }).click();
  await see(page, "Its failures count again");
  const { items } = await read<{ items: unknown[] }>(`${at("checks")}/tests?state=quarantined`);
  expect(items).toEqual([]);
}, 240_000);

test("runners of a project, how one is registered, and what none can take", async () => {
  const { page } = walk;
  await change("POST", "/projects/create", { name: slug("stuck") });
  await push("stuck", {
    ".gitlab-ci.yml":
      "stages: [all]\nodd:\n  stage: all\n  tags: [machine-on-the-moon]\n  parallel: 8\n  script: [echo]\n",
  });
  await page.goto(`${pages("stuck")}/runners`);
  await see(page, "Jobs that no runner can take", 60_000);
  await see(page, "in this server");
  await see(page, "and 3 more");
  await shot(page, "project-runners");
  await sound(page);
  await page.getByRole("button", { name: "Register a runner" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Labels of its own").fill("machine-on-the-moon");
  await page.keyboard.press("Enter");
  await dialog.getByRole("switch", { name: "For one job only" }).check();
  await sound(page);
  const command = await dialog.getByRole("textbox", { name: "Command" }).inputValue();
  expect(command).toMatch(
    /^devmentor runner --server http\S+ --token dmi_\S+ --label machine-on-the-moon --ephemeral$/,
  );
  await dialog.getByRole("button", { name: "Done" }).click();
  await page.getByRole("link", { name: "Queue" }).last().click();
  await page.waitForURL((url) => url.searchParams.get("state") === "unschedulable");
  await page.getByRole("searchbox", { name: "Find jobs" }).fill("odd 3");
  const rows = page.locator(".dm-queue-row");
  await until("the one job", async () => (await rows.count()) === 1);
  await see(page, /no online runner/);
  await shot(page, "queue");
  await sound(page);
  const { items } = await read<{ items: Run[] }>(`${at("stuck")}/runs`);
  await change("POST", `/runs/${items[0]?.id}/cancel`, {});
}, 120_000);

const ASKS = `pipeline {
  agent any
  stages {
    stage('ship') {
      input {
        message 'Ship it?'
        ok 'Ship'
        parameters {
          choice(name: 'WHERE', choices: ['near', 'far'], description: 'Who gets it first')
          booleanParam(name: 'LOUD', defaultValue: false)
          string(name: 'TICKET', defaultValue: 'T-1')
          text(name: 'NOTES', defaultValue: 'none')
        }
      }
      steps { sh 'echo "to $WHERE loud=$LOUD ticket=$TICKET notes=$NOTES"' }
    }
    stage('more') { steps { script { input 'Go on?' } } }
  }
}
`;

test("a pipeline asks, and goes on with what it is told", async () => {
  const { page } = walk;
  await change("POST", "/projects/create", { name: slug("asks") });
  const commit = await push("asks", { Jenkinsfile: ASKS });
  const run = await until("the run", async () => {
    const { items } = await read<{ items: Run[] }>(`${at("asks")}/runs?commit=${commit}`);
    return items[0];
  });
  await page.goto(`${pages("asks")}/runs/${run.number}`);
  const form = page.getByRole("region", { name: "Question: Ship it?" });
  await form.waitFor({ timeout: 60_000 });
  await settled(page);
  await form.getByRole("combobox", { name: "WHERE" }).selectOption("far");
  await form.getByRole("checkbox", { name: "LOUD" }).check();
  await form.getByRole("textbox", { name: "TICKET" }).fill("T-2");
  await form.getByRole("textbox", { name: "NOTES" }).fill("better");
  await shot(page, "question");
  await sound(page);
  await form.getByRole("button", { name: "Ship" }).click();
  await page.getByRole("region", { name: "Question: Go on?" }).waitFor({ timeout: 60_000 });
  expect(await form.count()).toBe(0);
  await page.getByRole("button", { name: "Abort" }).click();
  await page.locator(".dm-page-head .dm-badge", { hasText: /Failed|Cancelled/ }).waitFor({ timeout: 60_000 });
  await page
    .locator(".dm-log-line", { hasText: "to far loud=true ticket=T-2 notes=better" })
    .first()
    .waitFor();
  await sound(page);
}, 180_000);
