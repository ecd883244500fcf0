// Takes pictures of pages: node scripts/shots.mjs BASE_URL OUT name=path …  (env: WIDTHS, SCHEMES)
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";

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
for (const scheme of (process.env.SCHEMES ?? "light,dark").split(",")) {
  for (const width of (process.env.WIDTHS ?? "1440,390").split(",").map(Number)) {
    const context = await browser.newContext({
      viewport: { width, height: width < 600 ? 844 : 900 },
      colorScheme: scheme,
    });
    for (const entry of pages) {
      const at = entry.indexOf("=");
      const page = await context.newPage();
      page.on("pageerror", (e) => console.log(entry, "ERROR", e.message));
      page.on("console", (m) => {
        if (m.type() === "error" || m.type() === "warning")
          console.log(entry, m.type(), m.text().slice(0, 300));
      });
      await page.goto(base + entry.slice(at + 1), { waitUntil: "load" });
      await page.waitForTimeout(Number(process.env.WAIT ?? 1200));
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (wide > 0) console.log(entry, width, "scrolls sideways by", wide);
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
