/** One person takes a project through its life: sign in, create, read, build, deploy, roll back, hand out a token. */
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import {
  accessible,
  type Browser,
  type BrowserContext,
  fits,
  launch,
  type Page,
  see,
  shot,
  until,
  watch,
} from "./browser.ts";

const base = inject("baseUrl");
const template = process.env.E2E_TEMPLATE ?? "Static site";
const name = `walk-${Date.now().toString(36)}`;
const SLOW = 300_000;

let browser: Browser;
let context: BrowserContext;
let page: Page;
let errors: string[];
let path = "";

beforeAll(async () => {
  browser = await launch();
  context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
  errors = watch(page);
});

afterAll(async () => {
  if (page && !page.isClosed()) await shot(page, "last");
  await browser?.close();
});

const api = async <T>(address: string): Promise<T> => {
  const response = await page.request.get(base + address, { headers: { accept: "application/json" } });
  expect(response.ok(), `${address}: ${response.status()}`).toBe(true);
  return (await response.json()) as T;
};

test("a stranger is asked to sign in, and a wrong password is refused in words", async () => {
  await page.goto(`${base}/sign-in`);
  await page.getByLabel("Name").fill("nobody-here");
  await page.getByRole("textbox", { name: "Password" }).fill("not the password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").first().waitFor();
  await shot(page, "sign-in");
  await accessible(page);
});

test("signs in", async () => {
  const link = inject("link");
  const token = inject("adminToken");
  if (link) {
    await page.goto(link.startsWith("http") ? link : `${base}/sign-in?link=${link}`);
  } else {
    await page.goto(`${base}/sign-in`);
    await page.getByLabel("Name").fill("admin");
    await page.getByRole("textbox", { name: "Password" }).fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
  }
  await page.getByRole("heading", { name: "Projects" }).waitFor();
  await accessible(page);
  expect((await api<{ user: { name: string } }>("/session")).user.name).toBeTruthy();
});

test(
  "a project is created from a template, its steps in sight",
  async () => {
    await page.getByRole("link", { name: "New project" }).first().click();
    await page.getByRole("radio", { name: new RegExp(template, "i") }).check({ force: true });
    await page.getByRole("textbox", { name: "Name" }).fill(name);
    await page.getByLabel("Description").fill("Made by the browser test");
    await shot(page, "create");
    await accessible(page);
    await page.getByRole("button", { name: "Create project" }).click();
    await page.getByRole("list", { name: "Creation" }).waitFor();
    await shot(page, "create-steps");
    await page.waitForURL((url) => url.pathname.endsWith(`/${name}`), { timeout: 120_000 });
    path = new URL(page.url()).pathname.slice(1);
  },
  SLOW,
);

test("the same name twice is refused beside its field", async () => {
  const other = await context.newPage();
  await other.goto(`${base}/-/new`);
  await other.getByRole("textbox", { name: "Name" }).fill(name);
  await other.getByRole("button", { name: "Create project" }).click();
  await other
    .getByText(/exists|taken|already/i)
    .first()
    .waitFor();
  await other.close();
});

test("its page shows files and README", async () => {
  await page.goto(`${base}/${path}`);
  const files = page.getByRole("table", { name: "Files" });
  await files.waitFor();
  await files.getByText("README.md").first().waitFor();
  await page.locator(".dm-prose").first().waitFor();
  await shot(page, "project");
  await accessible(page);
  await files.getByRole("link", { name: /Dockerfile/ }).click();
  await page.locator(".cm-content").getByText("FROM").first().waitFor();
  await page.locator(".cm-lineNumbers .cm-gutterElement", { hasText: /^2$/ }).click();
  expect(new URL(page.url()).hash).toBe("#L2");
  await shot(page, "file");
  await accessible(page);
});

test("commits and a diff", async () => {
  await page.goto(`${base}/${path}/-/commits`);
  await page.locator(".dm-day .dm-title-link").first().click();
  await see(page, /files? changed/);
  await page.locator(".dm-diff").first().waitFor();
  await shot(page, "commit");
  await accessible(page);
});

test("text search finds a line and leads to it", async () => {
  await page.goto(`${base}/${path}/-/search?q=FROM`);
  await until("a hit", async () => {
    if ((await page.locator(".dm-hit-line").count()) > 0) return true;
    await page.reload();
    await page.waitForTimeout(700);
    return false;
  });
  await page.locator(".dm-hit-line").first().click();
  await page.locator(".cm-chosen").first().waitFor();
});

test(
  "a run: graph, live log, steps, tests, artifacts",
  async () => {
    await page.goto(`${base}/${path}/-/runs`);
    const row = page.locator(".dm-list .dm-title-link").first();
    await until("a run", async () => (await row.count()) > 0, 60_000);
    await row.click();
    await page.locator(".dm-graph-node").first().waitFor();
    await page.getByRole("log").waitFor({ timeout: 120_000 });
    await shot(page, "run-live");
    const id = await until(
      "the run's id",
      async () =>
        (await api<{ items: { id: string }[] }>(`/projects/${encodeURIComponent(path)}/runs`)).items[0]?.id,
    );
    const run = await until(
      "the end of the run",
      async () => {
        const now = await api<{
          state: string;
          conclusion: string;
          jobs: { name: string; conclusion: string; reason: string }[];
        }>(`/runs/${id}`);
        return now.state === "completed" ? now : null;
      },
      SLOW - 30_000,
    );
    expect(run.conclusion, JSON.stringify(run.jobs, null, 1)).toBe("success");
    // The page got there by itself.
    await page.locator(".dm-page-head .dm-badge", { hasText: "Passed" }).waitFor();
    await shot(page, "run");
    await accessible(page);
    const search = page.getByRole("textbox", { name: "Search in the log" });
    await search.fill("test");
    await page.getByRole("status").filter({ hasText: /\d/ }).first().waitFor();
    await page.getByRole("button", { name: "Next match" }).click();
    await page.locator(".dm-log-line[data-hit]").waitFor();
    await page.getByRole("tab", { name: /Tests/ }).click();
    await see(page, "passed");
    await page.locator(".dm-test").first().waitFor();
    await shot(page, "tests");
    await page.getByRole("tab", { name: "Artifacts" }).click();
    await page.getByRole("link", { name: "Download" }).first().waitFor();
  },
  SLOW,
);

test("images are listed with their tags", async () => {
  await page.goto(`${base}/${path}/-/images`);
  await see(page, "latest");
  await accessible(page);
});

test("the application is deployed, answers, and is watched", async () => {
  await page.goto(`${base}/${path}/-/deployments`);
  await page.locator(".dm-env .dm-badge", { hasText: "Healthy" }).waitFor({ timeout: 60_000 });
  const address = await page.locator(".dm-env-url").getAttribute("href");
  const answer = await page.request.get(address ?? "");
  expect(answer.ok()).toBe(true);
  await page.locator(".dm-bars").waitFor({ timeout: 30_000 });
  await shot(page, "deployments");
  await accessible(page);
}, 120_000);

test(
  "a second release is deployed, and rolled back",
  async () => {
    await page.getByRole("button", { name: "Deploy", exact: true }).click();
    await page.getByLabel("Configuration").fill("WALK=second");
    await page.getByRole("dialog").getByRole("button", { name: "Deploy" }).click();
    await page.getByRole("list", { name: "Deployment" }).waitFor();
    await shot(page, "deploy-live");
    await page.locator(".dm-panel .dm-badge", { hasText: "Done" }).waitFor({ timeout: 120_000 });
    await page.getByRole("button", { name: "Roll back" }).first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
    await see(page, /Rollback of release/);
    await page
      .locator(".dm-panel", { hasText: "Rollback of release" })
      .locator(".dm-badge", { hasText: "Done" })
      .waitFor({ timeout: 120_000 });
    await shot(page, "rollback");
    await page.getByRole("tab", { name: "History" }).click();
    await see(page, /^Rollback/);
  },
  SLOW,
);

test("quality, dependencies and activity", async () => {
  for (const [section, text] of [
    ["quality", "lines of code"],
    ["dependencies", /Package|No dependencies/],
    ["activity", /project|push/i],
  ] as const) {
    await page.goto(`${base}/${path}/-/${section}`);
    await see(page, text);
    await shot(page, section);
    await accessible(page);
  }
});

test("settings are saved with their version; a secret is never shown again", async () => {
  await page.goto(`${base}/${path}/-/settings`);
  await page.getByLabel("Description").fill("Changed by the browser test");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await see(page, "Project saved");
  await page.getByRole("tab", { name: "Secrets" }).click();
  await page.getByRole("textbox", { name: "Name" }).fill("api key");
  await page.getByRole("textbox", { name: "Value" }).fill("s3cret-value");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await see(page, "API_KEY");
  await page.reload();
  await see(page, "API_KEY");
  expect(await page.content()).not.toContain("s3cret-value");
});

test("a token with limits: its secret is shown once and works", async () => {
  await page.goto(`${base}/-/account?tab=tokens`);
  await page.getByRole("button", { name: "New token" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("walker");
  await page.getByRole("button", { name: "Read only" }).click();
  await shot(page, "token-new");
  await page.getByRole("button", { name: "Create token" }).click();
  const secret = await page.getByRole("dialog").getByRole("textbox", { name: "Token" }).inputValue();
  expect(secret).toMatch(/^dmp_/);
  await page.getByRole("button", { name: "I have stored it" }).click();
  await see(page, "walker");
  const stranger = await browser.newContext();
  const with_token = await stranger.request.get(`${base}/projects/${encodeURIComponent(path)}`, {
    headers: { authorization: `Bearer ${secret}` },
  });
  expect(with_token.status()).toBe(200);
  await stranger.close();
  await page.getByRole("button", { name: "Revoke walker" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await see(page, "Token revoked");
});

test("the palette and shortcuts lead everywhere", async () => {
  await page.goto(`${base}/`);
  await see(page, name);
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /Search projects/ }).fill(name);
  await page
    .getByRole("option", { name: new RegExp(name) })
    .first()
    .waitFor();
  await shot(page, "palette");
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.pathname === `/${path}`);
  await page.locator(".dm-side").waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("d");
  await page.waitForURL((url) => url.pathname.endsWith("/-/deployments"));
});

test("every page fits a phone, in the dark", async () => {
  const phone = await browser.newContext({
    viewport: { width: 390, height: 844 },
    colorScheme: "dark",
    storageState: await context.storageState(),
  });
  const small = await phone.newPage();
  for (const address of [
    "/",
    "/-/new",
    `/${path}`,
    `/${path}/-/runs`,
    `/${path}/-/runs/1`,
    `/${path}/-/deployments`,
    `/${path}/-/settings`,
    `/${path}/-/quality`,
    `/${path}/-/members`,
    "/-/account",
    "/-/admin",
  ]) {
    await small.goto(base + address);
    await small.locator("main").waitFor();
    await small.waitForTimeout(500);
    await fits(small);
    await shot(small, `phone${address.replace(/\W+/g, "-")}`);
  }
  await phone.close();
}, 120_000);

test("nothing went wrong on the way", () => {
  expect(errors).toEqual([]);
});
