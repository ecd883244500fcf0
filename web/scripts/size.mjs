// Prints the compressed size of what the first view loads (entry, its static imports, CSS) and fails above 200 kB.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url);
const html = readFileSync(new URL("index.html", dist), "utf8");
const seen = new Set();
const queue = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+\.(?:js|css))"/g)].map((m) => m[1]);
// The list of projects is what a person sees first, so its chunk and styles count too.
for (const name of readdirSync(new URL("assets/", dist)))
  if (/^Home-.*\.(js|css)$/.test(name)) queue.push(`/assets/${name}`);
let total = 0;
while (queue.length > 0) {
  const path = queue.pop();
  if (seen.has(path)) continue;
  seen.add(path);
  const body = readFileSync(new URL(`.${path}`, dist));
  const size = gzipSync(body).length;
  total += size;
  console.log(`${(size / 1000).toFixed(1).padStart(8)} kB  ${path}`);
  if (path.endsWith(".js")) {
    for (const m of body.toString().matchAll(/(?:import|from)\s*"\.\/([^"]+\.js)"/g))
      queue.push(`/assets/${m[1]}`);
  }
}
console.log(`${(total / 1000).toFixed(1).padStart(8)} kB  first view, gzip`);
if (total > 200_000) {
  console.error("the first view is above 200 kB");
  process.exit(1);
}
