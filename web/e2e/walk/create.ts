/** Making a project from a template, and reading what is in it. */
import { expect, test } from "vitest";
import { see, settled, shot, sound, until } from "../browser.ts";
import { base, name, SLOW, template, walk } from "./walk.ts";

test(
  "a project is created from a template, its steps in sight",
  async () => {
    const { page } = walk;
    await page.goto(`${base}/`);
    await page.getByRole("link", { name: "New project" }).first().click();
    await page.getByRole("radio", { name: new RegExp(template, "i") }).check({ force: true });
    await page.getByRole("textbox", { name: "Name" }).fill(name);
    await page.getByLabel("Description").fill("Made by the browser test");
    await shot(page, "create");
    await sound(page);
    await page.getByRole("button", { name: "Create project" }).click();
    await page.getByRole("list", { name: "Creation" }).waitFor();
    await shot(page, "create-steps");
    await page.waitForURL((url) => url.pathname.endsWith(`/${name}`), { timeout: 120_000 });
    walk.path = new URL(page.url()).pathname.slice(1);
  },
  SLOW,
);

test("it will be deployed as a process, says its environment", async () => {
  const { page } = walk;
  await page.goto(`${base}/${walk.path}/-/deployments`);
  await page.getByRole("button", { name: "New environment" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("production");
  await dialog.getByRole("combobox", { name: "Runs as" }).click();
  await page.getByRole("option", { name: "Process on this machine" }).click();
  await dialog.getByLabel("Health check").fill("/health");
  await dialog.getByRole("button", { name: "Create environment" }).click();
  await page.getByRole("heading", { name: "production" }).waitFor();
  await settled(page);
  await sound(page);
});

test("the same name twice is refused beside its field", async () => {
  await walk.watch.refusing(/409 .*\/projects\/create$/, async () => {
    const other = await walk.context.newPage();
    await other.goto(`${base}/-/new`);
    await other.getByRole("textbox", { name: "Name" }).fill(name);
    await other.getByRole("button", { name: "Create project" }).click();
    await see(other, /exists|taken|already/i);
    await sound(other);
    await other.close();
  });
});

test("its page shows files, README, languages and quality; a file is coloured and its lines have addresses", async () => {
  const { page } = walk;
  await page.goto(`${base}/${walk.path}`);
  const files = page.getByRole("table", { name: "Files" });
  await files.waitFor();
  await files.getByText("README.md").first().waitFor();
  await page.locator(".dm-prose").first().waitFor();
  for (const panel of ["Last runs", "Deployed", "Languages", "Quality"])
    await page.getByRole("region", { name: panel }).waitFor();
  await shot(page, "project");
  await sound(page);
  await files.getByRole("link", { name: "main.go" }).click();
  const keyword = page.locator(".cm-content .c-keyword", { hasText: "package" }).first();
  await keyword.waitFor();
  const colour = (locator: typeof keyword) => locator.evaluate((node) => getComputedStyle(node).color);
  expect(await colour(keyword)).not.toBe(await colour(page.locator(".cm-content")));
  await page.locator(".cm-lineNumbers .cm-gutterElement", { hasText: /^2$/ }).click();
  expect(new URL(page.url()).hash).toBe("#L2");
  await shot(page, "file");
  await sound(page);
});

test("commits and a diff", async () => {
  const { page } = walk;
  await page.goto(`${base}/${walk.path}/-/commits`);
  await page.locator(".dm-day .dm-title-link").first().click();
  await see(page, /files? changed/);
  await page.locator(".dm-diff").first().waitFor();
  await shot(page, "commit");
  await sound(page);
});

test("text search finds a line and leads to it", async () => {
  const { page } = walk;
  await page.goto(`${base}/${walk.path}/-/search?q=listening`);
  await until("a hit", async () => {
    if ((await page.locator(".dm-hit-line").count()) > 0) return true;
    await page.reload();
    await page.waitForTimeout(700);
    return false;
  });
  await sound(page);
  await page.locator(".dm-hit-line").first().click();
  await page.locator(".cm-chosen").first().waitFor();
});
