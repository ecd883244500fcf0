/** What the run deployed answers; another release takes over; one click leads back. */
import { expect, test } from "vitest";
import { see, shot, sound } from "../browser.ts";
import { base, SLOW, walk } from "./walk.ts";

test("the application is deployed as a process, answers, and is watched", async () => {
  const { page } = walk;
  await page.goto(`${base}/${walk.path}/-/deployments`);
  await page.locator(".dm-env .dm-badge", { hasText: "Healthy" }).waitFor({ timeout: 60_000 });
  await see(page, "process");
  const address = await page.locator(".dm-env-url").getAttribute("href");
  const answer = await page.request.get(`${address}?name=Ada`);
  expect(await answer.text()).toContain("Ada");
  await page.locator(".dm-bars").waitFor({ timeout: 30_000 });
  await shot(page, "deployments");
  await sound(page);
  await page.goto(`${base}/${walk.path}`);
  await page.getByRole("region", { name: "Deployed" }).getByText("production").waitFor();
}, 120_000);

test(
  "a second release is deployed, and rolled back",
  async () => {
    const { page } = walk;
    await page.goto(`${base}/${walk.path}/-/deployments`);
    await page.getByRole("button", { name: "Deploy", exact: true }).click();
    await page.getByRole("dialog").getByRole("textbox", { name: "Configuration" }).fill("WALK=second");
    await sound(page);
    await shot(page, "deploy-dialog");
    await page.getByRole("dialog").getByRole("button", { name: "Deploy" }).click();
    await page.getByRole("list", { name: "Deployment" }).waitFor();
    await shot(page, "deploy-live");
    await page.locator(".dm-panel .dm-badge", { hasText: "Done" }).waitFor({ timeout: 120_000 });
    await sound(page);
    await page.getByRole("button", { name: "Roll back" }).first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
    await see(page, /Rollback of release/);
    await page
      .locator(".dm-panel", { hasText: "Rollback of release" })
      .locator(".dm-badge", { hasText: "Done" })
      .waitFor({ timeout: 120_000 });
    await shot(page, "rollback");
    for (const [tab, text] of [
      ["History", /^Rollback/],
      ["Releases", "#2"],
      ["Configuration", "Environment variables"],
      ["Log", /listening/],
    ] as const) {
      await page.getByRole("tab", { name: tab }).click();
      await see(page, text);
      await sound(page);
    }
  },
  SLOW,
);
