/** Who may do what: users, members, secrets, tokens. */
import { expect, test } from "vitest";
import { see, shot, sound } from "../browser.ts";
import { base, name, password, project, walk } from "./walk.ts";

const friend = `friend-${name}`;

test("the administrator makes a user, who becomes a member, changes role and leaves", async () => {
  const { page } = walk;
  await page.goto(`${base}/-/admin`);
  await page.getByRole("button", { name: "New user" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Name", exact: true }).fill(friend);
  await dialog.getByRole("textbox", { name: "Password" }).fill(password);
  await sound(page);
  await dialog.getByRole("button", { name: "Create user" }).click();
  await see(page, `${friend} can sign in now`);
  await sound(page);

  await page.goto(`${base}/${walk.path}/-/members`);
  await page.getByRole("combobox", { name: "User" }).fill(friend);
  await page.getByRole("option", { name: friend }).click();
  await page.getByRole("button", { name: "Add" }).click();
  const role = page.getByRole("combobox", { name: `Role of ${friend}` });
  await role.waitFor();
  await role.click();
  await page.getByRole("option", { name: "Reporter" }).last().click();
  await shot(page, "members");
  await sound(page);

  // They see the project and may not change it.
  const theirs = await walk.browser.newContext();
  const signed = await theirs.request.post(`${base}/session`, { data: { name: friend, password } });
  expect(signed.status()).toBe(201);
  const seen = await theirs.request.get(base + project());
  expect(((await seen.json()) as { role: string }).role).toBe("reporter");
  const their = await theirs.newPage();
  await their.goto(`${base}/${walk.path}/-/runs`);
  await their.locator(".dm-list .dm-title-link").first().waitFor();
  expect(await their.getByRole("button", { name: "Run a pipeline" }).count()).toBe(0);
  await sound(their);

  await page.getByRole("button", { name: `Remove ${friend}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await see(page, "Member removed");
  expect((await theirs.request.get(base + project())).status()).toBe(404);
  await theirs.close();
});

test("settings are saved with their version; a secret is never shown again", async () => {
  const { page } = walk;
  await page.goto(`${base}/${walk.path}/-/settings`);
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
  const { page } = walk;
  await page.goto(`${base}/-/account?tab=tokens`);
  await page.getByRole("button", { name: "New token" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("walker");
  await page.getByRole("button", { name: "Read only" }).click();
  await shot(page, "token-new");
  await sound(page);
  await page.getByRole("button", { name: "Create token" }).click();
  const secret = await page.getByRole("dialog").getByRole("textbox", { name: "Token" }).inputValue();
  expect(secret).toMatch(/^dmp_/);
  await page.getByRole("button", { name: "I have stored it" }).click();
  await see(page, "walker");
  const stranger = await walk.browser.newContext({ extraHTTPHeaders: { authorization: `Bearer ${secret}` } });
  expect((await stranger.request.get(base + project())).status()).toBe(200);
  const refused = await stranger.request.post(`${base}${project()}/build`, { data: {} });
  expect(refused.status()).toBe(403);
  await stranger.close();
  await page.getByRole("button", { name: "Revoke walker" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await see(page, "Token revoked");
});
