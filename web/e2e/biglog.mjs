/**
 * Measures the log view on a job with a log of 200 MB (MEGABYTES for another size): first lines, scrolling, search and
 * following, with the times between frames. Prints a table.
 *
 *   BASE_URL=http://127.0.0.1:3004 ADMIN_TOKEN=dmp_... node e2e/biglog.mjs
 */
import { chromium } from "playwright-core";

const base = (process.env.BASE_URL ?? "http://127.0.0.1:3004").replace(/\/$/, "");
const token = process.env.ADMIN_TOKEN;
if (!token) throw new Error("ADMIN_TOKEN is needed");
// The API may answer elsewhere than the pages do, while they are developed.
const api = (process.env.API_URL ?? base).replace(/\/$/, "");
const megabytes = Number(process.env.MEGABYTES ?? 200);
const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };

async function call(method, path, body) {
  const response = await fetch(api + path, { method, headers, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? null : response.json();
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(what, seconds, look) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(300);
  }
}

/** Lines of 96 bytes, as compilers and test runners write them; one of them can be found, the command itself can not. */
const script = (lines) =>
  `awk 'BEGIN{for(i=1;i<=${lines};i++){s=sprintf("%09d",i);m=(i==${Math.floor(lines * 0.97)})?"needle" "-in-the-log":"compiling some/module/with/a/path";printf "%s [\\033[32minfo\\033[0m] %-66s ok\\n",s,m}}'`;

const workflow = (name, run) => `name: ${name}
on: workflow_dispatch
jobs:
  ${name}:
    runs-on: ubuntu-latest
    steps:
      - run: ${JSON.stringify(run)}
`;

const lines = Math.round((megabytes * 1_000_000) / 96);
const me = (await call("GET", "/session").catch(() => null))?.user?.name ?? "admin";
const project = await call("POST", "/projects/create", {
  name: `log-${Date.now().toString(36)}`,
  namespace: me,
});
await call("POST", `/projects/${project.id}/commits`, {
  branch: "main",
  message: "Long logs",
  actions: [
    { action: "create", path: ".github/workflows/big.yml", content: workflow("big", script(lines)) },
    {
      action: "create",
      path: ".github/workflows/live.yml",
      // about 1 MB a second for half a minute
      content: workflow("live", `for r in $(seq 300); do ${script(1000)}; sleep 0.09; done`),
    },
  ],
});

async function start(name) {
  const path = `/projects/${project.id}/build`;
  const built = await until(`the workflow ${name}`, 30, () =>
    call("POST", path, { workflow: `.github/workflows/${name}.yml` }).catch(() => null),
  );
  return built.runs[0];
}

const run = await start("big");
const began = Date.now();
const ended = await until("the end of the long run", 900, async () => {
  const now = await call("GET", `/runs/${run.id}`);
  return now.state === "completed" ? now : null;
});
const [job] = ended.jobs;
if (ended.conclusion !== "success") throw new Error(`the run ended with ${ended.conclusion}: ${job.reason}`);
console.log(
  `log of ${(job.log_length / 1e6).toFixed(1)} MB, ${lines.toLocaleString("en")} lines, written in ${((Date.now() - began) / 1000).toFixed(1)} s`,
);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"],
});
const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
await context.route(
  (url) => url.origin === base,
  (route) =>
    route.continue({ headers: { ...route.request().headers(), authorization: headers.authorization } }),
);
const page = await context.newPage();

const rows = [];
const note = (what, figures) => {
  rows.push([what, figures]);
  console.log(`${what.padEnd(34)} ${figures}`);
};

/** Times between frames while something is done, in the page's own clock. */
async function frames(what, act) {
  await page.evaluate(() => {
    const w = window;
    w.__frames = [];
    w.__long = [];
    w.__on = true;
    w.__watch?.disconnect();
    w.__watch = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) w.__long.push(entry.duration);
    });
    w.__watch.observe({ type: "longtask" });
    let last = performance.now();
    const tick = (now) => {
      w.__frames.push(now - last);
      last = now;
      if (w.__on) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  await act();
  const { gaps, long } = await page.evaluate(() => {
    window.__on = false;
    return { gaps: window.__frames.slice(1), long: window.__long };
  });
  gaps.sort((a, b) => a - b);
  const at = (share) => gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * share))] ?? 0;
  note(
    what,
    `${gaps.length} frames, median ${at(0.5).toFixed(1)} ms, p95 ${at(0.95).toFixed(1)}, p99 ${at(0.99).toFixed(1)}, longest ${at(1).toFixed(1)}; ${long.length} tasks above 50 ms${long.length ? `, longest ${Math.max(...long).toFixed(0)} ms` : ""}`,
  );
}

const address = (it) => `${base}/${project.path}/-/runs/${it.number}`;
const opened = Date.now();
await page.goto(address(run), { waitUntil: "commit" });
// Steps that went well are folded.
await page.getByRole("button", { name: "Unfold all steps" }).click();
await page.locator(".dm-log-line").first().waitFor();
note("page to first lines", `${Date.now() - opened} ms`);
await page.waitForTimeout(1500);

const box = await page.locator(".dm-log-scroll").boundingBox();
await page.mouse.move(box.x + 300, box.y + 300);
await frames("at rest, 3 s", () => page.waitForTimeout(3000));
await frames("wheel, 3 s, line by line", async () => {
  for (let i = 0; i < 90; i++) {
    await page.mouse.wheel(0, 120);
    await page.waitForTimeout(25);
  }
});
await frames("scroll bar, 100 places of all", async () => {
  await page.evaluate(async () => {
    const node = document.querySelector(".dm-log-scroll");
    for (let i = 1; i <= 100; i++) {
      node.scrollTop = (node.scrollHeight * ((i * 37) % 100)) / 100;
      await new Promise((done) => setTimeout(done, 40));
    }
  });
});
await frames("to the end and back, smoothly, 5 s", async () => {
  await page.evaluate(async () => {
    const node = document.querySelector(".dm-log-scroll");
    const start = performance.now();
    await new Promise((done) => {
      const step = (now) => {
        const t = Math.min(1, (now - start) / 5000);
        node.scrollTop = (node.scrollHeight - node.clientHeight) * (1 - Math.abs(2 * t - 1));
        if (t < 1) requestAnimationFrame(step);
        else done();
      };
      requestAnimationFrame(step);
    });
  });
});
await frames("search to a hit at 97 %", async () => {
  const asked = Date.now();
  await page.getByRole("textbox", { name: "Search in the log" }).fill("needle-in-the-log");
  await page.locator('button[aria-label="Next match"]:enabled').waitFor({ timeout: 240_000 });
  note("  found after", `${Date.now() - asked} ms`);
  await page.getByRole("button", { name: "Next match" }).click();
  await page.locator(".dm-log-line[data-hit]").first().waitFor();
  note("  the hit is in sight after", `${Date.now() - asked} ms`);
});
const heap = await page.evaluate(() => performance.memory?.usedJSHeapSize ?? 0);
note("heap of the page after all of it", `${(heap / 1e6).toFixed(0)} MB`);

const live = await start("live");
await until("the live job", 60, async () => {
  const now = await call("GET", `/runs/${live.id}`);
  return now.jobs[0]?.state === "running" && now.jobs[0].log_length > 100_000;
});
await page.goto(address(live));
await page.locator(".dm-log-line").first().waitFor();
await frames("following about 1 MB/s, 10 s", () => page.waitForTimeout(10_000));
const following = await page.evaluate(() => {
  const node = document.querySelector(".dm-log-scroll");
  return node.scrollHeight - node.scrollTop - node.clientHeight < 60;
});
note("  still at the end", following ? "yes" : "NO");
await call("POST", `/runs/${live.id}/cancel`).catch(() => null);
await browser.close();
await call("DELETE", `/projects/${project.id}`).catch(() => null);
if (!following) process.exit(1);
