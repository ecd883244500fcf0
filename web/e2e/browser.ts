/** Chromium, and the few helpers that every walk needs. */
import { mkdirSync } from "node:fs";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { expect } from "vitest";

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });

const SHOTS = new URL("../screenshots-out/", import.meta.url).pathname;

/** A picture of the page as it is, for people to look at. */
export async function shot(page: Page, name: string): Promise<void> {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: `${SHOTS}${name}.png` });
}

/** Errors that a page may not have: exceptions, refused scripts, failed chunks. */
export function watch(page: Page): string[] {
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (
      message.type() === "error" &&
      /Content Security Policy|Uncaught|Failed to fetch dynamically/.test(message.text())
    ) {
      errors.push(message.text());
    }
  });
  return errors;
}

export const see = (page: Page, text: string | RegExp, timeout = 15_000) =>
  page.getByText(text).first().waitFor({ state: "visible", timeout });

export async function until<T>(
  what: string,
  read: () => Promise<T | null | undefined | false>,
  timeout = 30_000,
): Promise<T> {
  const end = Date.now() + timeout;
  for (;;) {
    const value = await read();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${timeout / 1000} s`);
    await new Promise((done) => setTimeout(done, 250));
  }
}

/** Nothing may make a page scroll sideways. */
export async function fits(page: Page): Promise<void> {
  const over = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(over, `${page.url()} scrolls sideways by ${over} px`).toBeLessThanOrEqual(0);
}

/** What assistive technology needs: every control has a name, every page one main heading region. */
export async function accessible(page: Page): Promise<void> {
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, a[href], input:not([type=hidden]), select, textarea")]
      .filter((node) => {
        const element = node as HTMLElement;
        if (
          element.hidden ||
          element.closest("[hidden], [aria-hidden=true]") ||
          element.offsetParent === null
        )
          return false;
        const label =
          element.getAttribute("aria-label") ||
          element.getAttribute("aria-labelledby") ||
          element.textContent?.trim() ||
          element.title;
        const tagged = (element as HTMLInputElement).labels?.length;
        const image = element.querySelector("img[alt]:not([alt='']), [aria-label]");
        return !label && !tagged && !image;
      })
      .map((node) => node.outerHTML.slice(0, 160)),
  );
  expect(nameless, `controls without a name at ${page.url()}`).toEqual([]);
  expect(await page.locator("main").count()).toBe(1);
}

export type { Browser, BrowserContext, Page };
