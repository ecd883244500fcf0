/** What the steps of the walk share: one person's browser, and the project that they take through its life. */
import { afterAll, beforeAll, expect, inject } from "vitest";
import { type Browser, type BrowserContext, launch, type Page, shot, Watch } from "../browser.ts";

export const base = inject("baseUrl");
export const template = process.env.E2E_TEMPLATE ?? "Go HTTP service";
export const name = `walk-${Date.now().toString(36)}`;
export const password = "a long enough passphrase";
/** For steps that wait for a compiler on a busy machine. */
export const SLOW = 900_000;

interface Walk {
  browser: Browser;
  context: BrowserContext;
  page: Page;
  watch: Watch;
  /** Of the person. */
  user: string;
  /** Of the project, once it exists. */
  path: string;
}

export const walk = { user: "", path: "" } as Walk;

beforeAll(async () => {
  walk.browser = await launch();
  walk.context = await walk.browser.newContext({
    viewport: { width: 1440, height: 900 },
    colorScheme: "light",
  });
  walk.watch = new Watch(walk.context);
  walk.page = await walk.context.newPage();
  walk.page.setDefaultTimeout(20_000);
});

afterAll(async () => {
  if (walk.page && !walk.page.isClosed()) await shot(walk.page, "last");
  await walk.browser?.close();
});

/** A read of the API as the person. */
export async function read<T>(address: string): Promise<T> {
  const response = await walk.page.request.get(base + address, { headers: { accept: "application/json" } });
  expect(response.ok(), `${address}: ${response.status()}`).toBe(true);
  return (await response.json()) as T;
}

/** A change through the API as the person, where clicking would show nothing new. */
export async function change<T>(method: "POST" | "PUT", address: string, data: unknown): Promise<T> {
  const response = await walk.page.request.fetch(base + address, { method, data, headers: { origin: base } });
  expect(response.ok(), `${method} ${address}: ${response.status()} ${await response.text()}`).toBe(true);
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export const project = (): string => `/projects/${encodeURIComponent(walk.path)}`;
