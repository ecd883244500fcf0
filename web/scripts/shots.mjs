// Takes pictures of pages and says what is wrong with them: node scripts/shots.mjs BASE_URL OUT name=path …
// Environment: LOGIN=name:password, WIDTHS, SCHEMES, WAIT (ms), FULL=1 for whole pages, CONTRAST=1 to measure it.
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";
import { lowContrast } from "../e2e/contrast.mjs";

const [base, out, ...pages] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
const browser = await chromium.launch({
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
let storageState;
if (process.env.LOGIN) {
  const [name, password] = process.env.LOGIN.split(":");
  const context = await browser.newContext();
  const answer = await context.request.post(`${base}/session`, { data: { name, password } });
  if (!answer.ok()) throw new Error(await answer.text());
  storageState = await context.storageState();
}
for (const scheme of (process.env.SCHEMES ?? "light,dark").split(",")) {
  for (const width of (process.env.WIDTHS ?? "1440,390").split(",").map(Number)) {
    const context = await browser.newContext({
      viewport: { width, height: width < 600 ? 844 : 900 },
      colorScheme: scheme,
      storageState,
    });
    for (const entry of pages) {
      const at = entry.indexOf("=");
      const page = await context.newPage();
      const say = (...words) => console.log(entry.slice(0, at), width, scheme, ...words);
      page.on("pageerror", (e) => say("ERROR", e.message));
      page.on("console", (m) => {
        if (m.type() === "error" || m.type() === "warning") say(m.type(), m.text().slice(0, 300));
      });
      page.on("response", (r) => r.status() >= 400 && say(r.status(), r.url()));
      await page.goto(base + entry.slice(at + 1), { waitUntil: "load" });
      await page.waitForTimeout(Number(process.env.WAIT ?? 1200));
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (wide > 0) say("scrolls sideways by", wide);
      if (process.env.CONTRAST) for (const line of await page.evaluate(lowContrast)) say("contrast", line);
      await page.screenshot({
        path: `${out}/${entry.slice(0, at)}-${width}-${scheme}.png`,
        fullPage: process.env.FULL === "1",
      });
      await page.close();
    }
    await context.close();
  }
}
await browser.close();
