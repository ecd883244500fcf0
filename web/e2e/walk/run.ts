/** The run of the first commit, watched live: graph, log, tests, artifacts, image. */
import { expect, test } from "vitest";
import { see, shot, sound, until } from "../browser.ts";
import { base, project, read, SLOW, walk } from "./walk.ts";

interface Run {
  id: string;
  state: string;
  conclusion: string;
  jobs: { name: string; conclusion: string; reason: string }[];
}

test(
  "a run: graph, live log with search and folding, tests, coverage, artifacts",
  async () => {
    const { page } = walk;
    await page.goto(`${base}/${walk.path}/-/runs`);
    const row = page.locator(".dm-list .dm-title-link").first();
    await until("a run", async () => (await row.count()) > 0, 60_000);
    await row.click();
    await page.locator(".dm-graph-node").first().waitFor();
    await page.getByRole("log").waitFor({ timeout: 120_000 });
    await shot(page, "run-live");
    const { id } = await until(
      "the run's id",
      async () => (await read<{ items: Run[] }>(`${project()}/runs`)).items[0],
    );
    const run = await until(
      "the end of the run",
      async () => {
        const now = await read<Run>(`/runs/${id}`);
        return now.state === "completed" ? now : null;
      },
      SLOW - 60_000,
    );
    expect(run.conclusion, JSON.stringify(run.jobs, null, 1)).toBe("success");
    // The page got there by itself.
    await page.locator(".dm-page-head .dm-badge", { hasText: "Passed" }).waitFor();
    await page.locator(".dm-graph-node").first().click();
    await page.locator(".dm-log-line").first().waitFor();
    await shot(page, "run");
    await sound(page);

    const search = page.getByRole("textbox", { name: "Search in the log" });
    await search.fill("run");
    await page.getByRole("status").filter({ hasText: /\d/ }).first().waitFor();
    await page.getByRole("button", { name: "Next match" }).click();
    await page.locator(".dm-log-line[data-hit]").waitFor();
    await search.fill("");
    // A folded step hides its lines.
    const lines = () => page.locator(".dm-log-line").count();
    const before = await lines();
    await page.locator(".dm-log-head").first().click();
    await until("the folded step", async () => (await lines()) !== before);
    await page.locator(".dm-log-head").first().click();

    // The waterfall enlarges the lane that has the focus, and leads to its log.
    await page.getByRole("tab", { name: "Timeline" }).click();
    const lane = page.locator(".dm-tl-lane").first();
    await lane.focus();
    await page.keyboard.press("+");
    await page.getByRole("button", { name: "Show the whole run" }).click();
    await page.locator(".dm-tl-lens li").nth(1).waitFor();
    await sound(page);
    await page.locator(".dm-tl-lens").getByRole("button", { name: "Log" }).click();
    await page.getByRole("log").waitFor();
    await page.getByRole("tab", { name: "Why" }).click();
    await page.locator(".dm-why-verdict").first().waitFor();
    await sound(page);

    await page.getByRole("tab", { name: /Tests/ }).click();
    await see(page, "passed");
    await page.locator(".dm-test").first().waitFor();
    await shot(page, "tests");
    await sound(page);
    await page.getByRole("tab", { name: "Coverage" }).click();
    await see(page, "of lines");
    await sound(page);
    await page.getByRole("tab", { name: "Artifacts" }).click();
    const link = page.getByRole("link", { name: "Download" }).first();
    await link.waitFor();
    await sound(page);
    const zip = await page.request.get(base + (await link.getAttribute("href")));
    expect((await zip.body()).subarray(0, 2).toString()).toBe("PK");
    // It is looked into without downloading it.
    await page.getByRole("button", { name: "Files" }).first().click();
    const inside = page.getByRole("link", { name: /^Download ./ }).first();
    await inside.waitFor();
    await shot(page, "artifact-files");
    await sound(page);
    const one = await page.request.get(base + (await inside.getAttribute("href")));
    expect(one.ok()).toBe(true);
    expect(one.headers()["content-disposition"]).toContain("attachment");
  },
  SLOW,
);

test("the list of runs is narrowed by choices in its address, and walked by keys", async () => {
  const { page } = walk;
  await page.goto(`${base}/${walk.path}/-/runs?state=success&event=push&actor=${walk.user}`);
  await page.locator(".dm-list .dm-title-link").first().waitFor();
  await page.keyboard.press("j");
  await until("the focus on the first run", () =>
    page.evaluate(() => document.activeElement?.classList.contains("dm-title-link") ?? false),
  );
  await page.getByRole("combobox", { name: "State" }).click();
  await page.getByRole("option", { name: "Cancelled" }).click();
  await see(page, "No run matches");
  expect(new URL(page.url()).searchParams.get("state")).toBe("cancelled");
  await sound(page);
  await page.getByRole("button", { name: "Show all" }).click();
  await page.locator(".dm-list .dm-title-link").first().waitFor();
  expect(new URL(page.url()).search).toBe("");
});

test("a schedule is made with its next times in sight, paused, and removed", async () => {
  const { page } = walk;
  await page.goto(`${base}/${walk.path}/-/schedules`);
  await see(page, "No schedules");
  await sound(page);
  await page.getByRole("button", { name: "New schedule" }).click();
  await page.getByRole("textbox", { name: "Description" }).fill("Nightly");
  const times = page.getByRole("textbox", { name: "Times" });
  await times.fill("61 3 * * *");
  await see(page, /no minute/);
  await times.fill("30 3 * * *");
  await page
    .getByLabel(/Time zone/)
    .first()
    .fill("Asia/Kathmandu");
  await page.locator(".dm-cron li").nth(4).waitFor();
  await sound(page);
  await page.getByRole("button", { name: "Make the schedule" }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await see(page, "Asia/Kathmandu");
  await page.getByRole("button", { name: "Pause Nightly" }).click();
  await see(page, "Paused");
  await until("the paused schedule", async () => {
    const { items } = await read<{ items: { active: boolean }[] }>(`${project()}/schedules`);
    return items.length === 1 && items[0]?.active === false;
  });
  await page.getByRole("button", { name: "Remove Nightly" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await see(page, "No schedules");
});

test("images are listed with their tags", async () => {
  const { page } = walk;
  await page.goto(`${base}/${walk.path}/-/images`);
  await see(page, "latest");
  await sound(page);
});
