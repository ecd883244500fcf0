/** Signing in by the one-time link and by password, and being refused. */
import { expect, inject, test } from "vitest";
import { see, shot, sound } from "../browser.ts";
import { base, password, read, walk } from "./walk.ts";

async function withPassword(name: string, secret: string): Promise<void> {
  const { page } = walk;
  await page.getByLabel("Name").fill(name);
  await page.getByRole("textbox", { name: "Password" }).fill(secret);
  await page.getByRole("button", { name: "Sign in" }).click();
}

// Who is not signed in is told so by 401, and the page asks.
const nobody = /401 .*\/session$/;

test("a stranger is asked to sign in, and a wrong password is refused in words", async () => {
  const { page } = walk;
  await walk.watch.refusing(nobody, async () => {
    await page.goto(`${base}/-/account`);
    await page.getByRole("main").getByRole("link", { name: "Sign in" }).click();
    await sound(page);
    await withPassword("nobody-here", "not the password");
    await page.getByRole("alert").first().waitFor();
    await shot(page, "sign-in");
    await sound(page);
  });
});

test("the one-time link signs in, once", async () => {
  const { page } = walk;
  const link = inject("link");
  await walk.watch.refusing(nobody, async () => {
    if (link) {
      await page.goto(link.startsWith("http") ? link : `${base}/sign-in?link=${link}`);
    } else {
      await page.goto(`${base}/sign-in`);
      await withPassword("admin", inject("adminToken"));
    }
    await page.getByRole("heading", { name: "Projects" }).waitFor();
    walk.user = (await read<{ user: { name: string } }>("/session")).user.name;
    if (!link) return;
    const other = await walk.context.browser()?.newContext();
    const again = await other?.request.post(`${base}/session`, {
      data: { link: new URL(link, base).searchParams.get("link") },
    });
    expect(again?.status()).toBe(401);
    await other?.close();
  });
});

test("with a password of their own they come back", async () => {
  const { page } = walk;
  if (inject("link")) {
    await page.goto(`${base}/-/account`);
    await page.getByRole("textbox", { name: "New password" }).fill(password);
    await page.getByRole("button", { name: "Change password" }).click();
    await see(page, "Password changed");
    await walk.watch.refusing(nobody, async () => {
      await page.getByRole("button", { name: /^Menu of/ }).click();
      await page.getByRole("menuitem", { name: "Sign out" }).click();
      await page.waitForURL((url) => url.pathname === "/sign-in");
      await withPassword(walk.user, password);
      await page.getByRole("heading", { name: "Projects" }).waitFor();
    });
  }
  await sound(page);
});
