/** Chromium, what every page must keep to, and the few helpers that every walk needs. */
import { mkdirSync } from "node:fs";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import { lowContrast } from "./contrast.mjs";

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

/** Everything that went wrong in a context's pages: exceptions, console errors, refused and failed requests. */
export class Watch {
  readonly errors: string[] = [];
  private expected: RegExp[] = [];

  constructor(context: BrowserContext) {
    context.on("page", (page) => this.page(page));
  }

  private page(page: Page): void {
    const note = (text: string) => {
      if (!this.expected.some((e) => e.test(text))) this.errors.push(`${page.url()}: ${text}`);
    };
    page.on("pageerror", (error) => note(`exception: ${error.message}`));
    page.on("console", (message) => {
      // The browser's own line about a bad status says less than the request below.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
        note(`console: ${message.text()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) note(`${response.status()} ${response.url()}`);
    });
    page.on("requestfailed", (request) => {
      // A page that is left gives up what it was reading.
      const reason = request.failure()?.errorText ?? "";
      if (!reason.includes("ERR_ABORTED")) note(`${reason} ${request.url()}`);
    });
  }

  /** Runs a step in which a refusal is the point. */
  async refusing(what: RegExp, step: () => Promise<void>): Promise<void> {
    this.expected.push(what);
    try {
      await step();
    } finally {
      this.expected = this.expected.filter((e) => e !== what);
    }
  }
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

/** The page is there: its code, its data, and nothing that still loads. */
export async function settled(page: Page): Promise<void> {
  await page.locator("main").waitFor();
  await page.waitForFunction(
    () =>
      !document.querySelector("main .mantine-Skeleton-root, main [aria-busy=true]") &&
      (document.querySelector("main")?.textContent ?? "").trim().length > 0,
    undefined,
    { timeout: 30_000 },
  );
}

/** Nothing may make a page scroll sideways. */
async function fits(page: Page): Promise<string[]> {
  const over = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  return over > 0 ? [`scrolls sideways by ${over} px`] : [];
}

/** What assistive technology needs: every control has a name, every page one main region. */
async function nameless(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found = [
      ...document.querySelectorAll("button, a[href], input:not([type=hidden]), select, textarea"),
    ]
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
      .map((node) => `without a name: ${node.outerHTML.slice(0, 160)}`);
    const mains = document.querySelectorAll("main").length;
    return mains === 1 ? found : [...found, `${mains} main regions`];
  });
}

/** What every page keeps to, whatever it shows. What fades in or out is given the time to. */
export async function sound(page: Page): Promise<void> {
  let wrong: string[] = [];
  for (let round = 0; round < 4; round++) {
    if (round > 0) await page.waitForTimeout(400);
    const contrast = (await page.evaluate(lowContrast)).map((line) => `contrast ${line}`);
    wrong = [...(await fits(page)), ...(await nameless(page)), ...contrast];
    if (wrong.length === 0) return;
  }
  expect(wrong, page.url()).toEqual([]);
}

export type { Browser, BrowserContext, Page };
