/** What an administrator does with a runner, and what a group gives to its projects. */
import { expect, test } from "vitest";
import { see, shot, sound, until } from "../browser.ts";
import { base, change, name, read, walk } from "./walk.ts";

test("a runner is drained and takes jobs again", async () => {
  const { page } = walk;
  await page.goto(`${base}/-/admin?tab=runners`);
  const drain = page.getByRole("button", { name: /^Drain / }).first();
  await drain.waitFor();
  await drain.click();
  const resume = page.getByRole("button", { name: /^Resume / }).first();
  await resume.waitFor();
  const draining = async () => {
    const runners = await read<{ items: { state: string }[] }>("/runners");
    return runners.items.some((r) => r.state === "draining");
  };
  await until("the drained runner", draining);
  await shot(page, "runner-draining");
  await sound(page);
  await resume.click();
  await page
    .getByRole("button", { name: /^Drain / })
    .first()
    .waitFor();
  await until("a runner that takes jobs", async () => !(await draining()));
});

test("a group has secrets and variables for all its projects", async () => {
  const { page } = walk;
  const path = `values-${name}`;
  await change("POST", "/groups", { path });
  await page.goto(`${base}/${path}?tab=variables`);
  await page.getByRole("textbox", { name: "Name" }).fill("REGION");
  await page.getByRole("textbox", { name: "Value" }).fill("north");
  await page.getByRole("checkbox", { name: /default branch/ }).check();
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await see(page, "REGION");
  await page.reload();
  await see(page, "north");
  await see(page, "protected");
  await shot(page, "group-variables");
  await sound(page);
  const of = await read<{ items: { name: string; value: string; protected: boolean }[] }>(
    `/groups/${path}/variables`,
  );
  expect(of.items).toMatchObject([{ name: "REGION", value: "north", protected: true }]);
  await page.getByRole("tab", { name: "Secrets" }).click();
  await page.getByRole("textbox", { name: "Name" }).fill("KEY");
  await page.getByRole("textbox", { name: "Value" }).fill("s3cret-of-group");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await see(page, "KEY");
  await page.reload();
  await see(page, "KEY");
  expect(await page.content()).not.toContain("s3cret-of-group");
});
