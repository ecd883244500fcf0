/** Many projects: filter, order, pages, and the way back for a deleted one. */
import { expect, test } from "vitest";
import { see, settled, shot, sound, until } from "../browser.ts";
import { base, change, name, walk } from "./walk.ts";

const group = `crowd-${name}`;
const MANY = 34;

const rows = () => walk.page.locator(".dm-list .dm-title-link");

test("a crowd of projects comes page by page, in any order, filtered by anything", async () => {
  const { page } = walk;
  await change("POST", "/groups", { path: group, description: "Many projects" });
  for (let n = 0; n < MANY; n++)
    await change("POST", "/projects/create", {
      namespace: group,
      name: `p-${String(n).padStart(2, "0")}`,
      description: n === 7 ? "The needle in the haystack" : "Hay",
      visibility: n % 2 === 0 ? "public" : "private",
      topics: n < 3 ? ["first-three"] : [],
    });
  await page.goto(`${base}/`);
  await settled(page);
  await page.getByLabel("Order").selectOption({ label: "Name" });
  await until("the order", async () => (await rows().first().textContent())?.endsWith("/p-00"));
  // The list grows while it is scrolled.
  await page.mouse.move(700, 600);
  await until("all pages", async () => {
    await page.mouse.wheel(0, 5000);
    return (await rows().count()) === MANY;
  });
  await shot(page, "projects");
  await sound(page);
  await page.getByLabel("Visibility").selectOption("private");
  await until("private ones only", async () => (await rows().count()) === MANY / 2);
  await page.getByRole("textbox", { name: "Search projects" }).fill("needle");
  await until("the needle", async () => (await rows().count()) === 1);
  await see(page, "p-07");
  // What was filtered is in the address, so that it can be sent to somebody.
  expect(page.url()).toContain("needle");
  await page.getByRole("textbox", { name: "Search projects" }).fill("nothing is called so");
  await see(page, "No project matches");
  await sound(page);
  await page.getByRole("link", { name: "Show all projects" }).click();
  await until("all again", async () => (await rows().count()) > 1);
  await page.goto(`${base}/?topic=first-three`);
  await until("the topic", async () => (await rows().count()) === 3);
  await page.goto(`${base}/${group}`);
  await until("the group's", async () => (await rows().count()) > 20);
  await sound(page);
});

test("a deleted project can be had back", async () => {
  const { page } = walk;
  await page.goto(`${base}/${group}/p-01/-/settings`);
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  const dialog = page.getByRole("dialog");
  expect(await dialog.getByRole("button", { name: "Delete project" }).isDisabled()).toBe(true);
  await dialog.getByRole("textbox").fill(`${group}/p-01`);
  await dialog.getByRole("button", { name: "Delete project" }).click();
  await page.waitForURL((url) => url.pathname === "/");
  await page.getByLabel("Whose projects").selectOption("deleted");
  await see(page, `${group}/`);
  await shot(page, "deleted");
  await sound(page);
  await page.getByRole("button", { name: "Restore" }).first().click();
  await see(page, `${group}/p-01 is back`);
  await page.goto(`${base}/${group}/p-01`);
  await page.getByRole("heading", { name: "p-01" }).waitFor();
  await see(page, "This repository is empty");
});
