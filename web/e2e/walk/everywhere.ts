/** The keyboard leads everywhere, and every page is sound at both widths, in light and in dark. */
import { expect, test } from "vitest";
import { settled, shot, sound, Watch } from "../browser.ts";
import { base, name, project, read, SLOW, walk } from "./walk.ts";

test("the palette, the shortcuts and the theme", async () => {
  const { page } = walk;
  const project = walk.path.split("/").pop() ?? "";
  await page.goto(`${base}/`);
  await settled(page);
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /Search projects/ }).fill(project);
  await page
    .getByRole("option", { name: new RegExp(`/${project}`) })
    .first()
    .waitFor();
  await shot(page, "palette");
  await sound(page);
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.pathname.endsWith(`/${project}`));
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await settled(page);
  await page.keyboard.press("g");
  await page.keyboard.press("d");
  await page.waitForURL((url) => url.pathname.endsWith("/-/deployments"));
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await sound(page);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  // The first stop of the keyboard leads past the navigation.
  await page.goto(`${base}/${walk.path}`);
  await settled(page);
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.getAttribute("href"))).toBe("#main");

  const scheme = () => page.evaluate(() => document.documentElement.dataset.mantineColorScheme);
  const before = await scheme();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /Search projects/ }).fill("theme");
  await page
    .getByRole("option", { name: /theme|dark|light/i })
    .first()
    .click();
  await expect.poll(scheme).not.toBe(before);
});

/** Every page there is; `P` is the project. */
const PAGES = [
  "/",
  "/-/new",
  "/-/search?q=listening",
  "/-/groups",
  "/-/account",
  "/-/account?tab=tokens",
  "/-/admin",
  "/-/admin?tab=runners",
  "/-/admin?tab=queue",
  "/-/admin?tab=health",
  `/crowd-${name}`,
  `/crowd-${name}?tab=members`,
  `/crowd-${name}?tab=settings`,
  `/crowd-${name}?tab=secrets`,
  `/crowd-${name}?tab=variables`,
  `/crowd-${name}?tab=runners`,
  ...["", "/-/tree/main", "/-/commits", "/-/runs", "/-/deployments", "/-/quality"].map(
    (page) => `/crowd-${name}/p-00${page}`,
  ),
  "P",
  "P/-/tree/main/internal",
  "P/-/blob/main/main.go",
  "P/-/blob/main/README.md",
  "P/-/commits",
  "P/-/commit/HEAD",
  "P/-/search?q=listening",
  "P/-/runs",
  "P/-/workflows",
  "P/-/workflows/main/.github/workflows/ci.yml",
  "P/-/schedules",
  "P/-/tests",
  "P/-/tests?state=slow",
  "P/-/runners",
  "P/-/queue",
  "P/-/runs/1",
  "P/-/runs?state=cancelled",
  "P/-/runs/1?tab=timeline",
  "P/-/runs/1?tab=why",
  "P/-/runs/1?tab=annotations",
  "P/-/runs/1?tab=tests",
  "P/-/runs/1?tab=coverage",
  "P/-/runs/1?tab=artifacts",
  "P/-/runs/1?tab=summary",
  "P/-/deployments",
  "P/-/deployments?tab=log",
  "P/-/deployments?tab=history",
  "P/-/deployments?tab=releases",
  "P/-/deployments?tab=config",
  "P/-/deployments?tab=secrets",
  "P/-/images",
  "P/-/quality",
  "P/-/dependencies",
  "P/-/activity",
  "P/-/members",
  "P/-/settings",
  "P/-/settings?tab=secrets",
  "P/-/settings?tab=variables",
];

for (const [width, colorScheme] of [
  [1440, "light"],
  [1440, "dark"],
  [390, "light"],
  [390, "dark"],
] as const) {
  test(
    `every page is sound at ${width} px, ${colorScheme}`,
    async () => {
      const head =
        (await read<{ items: { oid: string }[] }>(`${project()}/commits?limit=1`)).items[0]?.oid ?? "";
      const { cookies } = await walk.context.storageState();
      const context = await walk.browser.newContext({
        viewport: { width, height: width < 600 ? 844 : 900 },
        colorScheme,
        storageState: { cookies, origins: [] },
      });
      const watch = new Watch(context);
      const page = await context.newPage();
      for (const address of PAGES) {
        const at = address.replace(/^P/, `/${walk.path}`).replace("HEAD", head);
        await page.goto(base + at);
        await settled(page);
        await page.waitForTimeout(150);
        await sound(page);
        await shot(page, `page${address.replace(/\W+/g, "-").replace(/-$/, "")}-${width}-${colorScheme}`);
      }
      await context.close();
      expect(watch.errors).toEqual([]);
    },
    SLOW,
  );
}

test("nothing went wrong on the way", () => {
  expect(walk.watch.errors).toEqual([]);
});
