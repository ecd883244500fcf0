/** Writing a pipeline file in the browser: messages as one types, the plan beside it, another language, and a commit. */
import { expect, test } from "vitest";
import { see, settled, shot, sound, until } from "../browser.ts";
import { base, project, read, walk } from "./walk.ts";

const BROKEN = `stages: [test, ship]
test:
  stage: test
  script: make test
ship:
  stage: ship
  script: make ship
  needs: [tests]
  rules:
    - if: $CI_PIPELINE_SOURCE == "push"
`;

/** Replaces what is in the editor. */
async function write(text: string): Promise<void> {
  const { page } = walk;
  await page.locator(".dm-code-edit .cm-content").click();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(text);
}

test("a workflow is written: mistakes are marked, the plan is drawn", async () => {
  const { page } = walk;
  await page.goto(`${base}/${walk.path}/-/workflows`);
  await page.locator(".dm-list .dm-title-link").first().waitFor();
  await sound(page);
  // That there is no such file yet is what the editor asks.
  await walk.watch.refusing(/404 .*\/files\?/, async () => {
    await page.getByRole("button", { name: "New workflow" }).click();
    await page.getByRole("menuitem", { name: "GitLab CI" }).click();
    await page.locator(".dm-code-edit .cm-content").waitFor();
  });
  await page.locator(".dm-graph-node", { hasText: "test" }).waitFor();
  await see(page, "Nothing is wrong");
  await write(BROKEN);
  await page.locator(".dm-messages button", { hasText: "tests" }).waitFor();
  await page.locator(".dm-code-edit .cm-lintRange-error").first().waitFor();
  await shot(page, "workflow-broken");
  await sound(page);
  // A message leads to its place.
  await page.locator(".dm-messages button").first().click();
  await page.locator(".cm-activeLine", { hasText: "needs" }).waitFor();
  await write(BROKEN.replace("[tests]", "[test]"));
  await see(page, "Nothing is wrong");
  await page.locator(".dm-graph-node", { hasText: "ship" }).waitFor();
  // On another event the second job is left out, with the line that says so.
  await page.getByRole("combobox", { name: "Event" }).click();
  await page.getByRole("option", { name: "merge_request_event" }).click();
  await see(page, "Left out");
  await shot(page, "workflow");
  await sound(page);
  await page.getByRole("combobox", { name: "Event" }).click();
  await page.getByRole("option", { name: "push" }).click();
});

test("it is shown in another language, with what is different", async () => {
  const { page } = walk;
  await page.getByRole("button", { name: "Convert" }).click();
  await page.getByRole("menuitem", { name: "To Jenkinsfile" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.locator(".dm-converted", { hasText: "pipeline {" }).waitFor();
  await dialog.getByRole("heading", { name: /difference|means the same/ }).waitFor();
  await shot(page, "workflow-converted");
  await sound(page);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
});

test("it is committed to a branch, and is there", async () => {
  const { page } = walk;
  await page.locator(".dm-code-edit .cm-content").click();
  await page.keyboard.press("Control+s");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Branch").fill("more-ci");
  await sound(page);
  // What the page shows is read anew, before it goes to the branch: there is still no such file.
  await walk.watch.refusing(/404 .*\/files\?ref=main/, async () => {
    await dialog.getByRole("button", { name: "Commit" }).click();
    await see(page, "Committed to more-ci");
    await page.waitForURL((url) => url.pathname.includes("/workflows/more-ci/"));
  });
  await settled(page);
  const items = await until("the workflow", async () => {
    const found = await read<{ items: { path: string; jobs: unknown[] }[] }>(
      `${project()}/workflows?ref=more-ci`,
    );
    return found.items.find((w) => w.path === ".gitlab-ci.yml");
  });
  expect(items.jobs).toHaveLength(2);
  // Nothing is left to commit.
  expect(await page.getByRole("button", { name: "Commit" }).isDisabled()).toBe(true);
});
