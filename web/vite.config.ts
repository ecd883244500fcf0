import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin, type ProxyOptions } from "vite";

/** First path words that belong to the API; everything else is a page of the client. */
const API_WORDS = [
  "session",
  "users",
  "tokens",
  "permissions",
  "groups",
  "namespaces",
  "health",
  "metrics",
  "openapi.json",
  "docs",
  "events",
  "instance",
  "templates",
  "projects",
  "operations",
  "runs",
  "jobs",
  "artifacts",
  "search",
  "runners",
  "schedules",
  "pipeline",
  "queue",
  "tests",
  "environments",
  "job-environments",
  "deployments",
  "v2",
];

const server = process.env.DEVMENTOR_URL ?? "http://127.0.0.1:3004";

/** Compresses each file once, at build time; the server sends what the browser takes. */
function compress(): Plugin {
  let out = "";
  return {
    name: "devmentor-compress",
    apply: "build",
    configResolved(config) {
      out = config.build.outDir;
    },
    closeBundle() {
      const files = readdirSync(out, { recursive: true, withFileTypes: true });
      for (const file of files) {
        if (!file.isFile() || !/\.(js|css|html|svg)$/.test(file.name)) continue;
        const path = join(file.parentPath, file.name);
        const body = readFileSync(path);
        if (body.length < 1024) continue;
        writeFileSync(`${path}.gz`, gzipSync(body, { level: 9 }));
        writeFileSync(
          `${path}.br`,
          brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
        );
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), compress()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: {
    port: 5173,
    strictPort: false,
    proxy: Object.fromEntries(
      API_WORDS.map((word): [string, ProxyOptions] => [
        `^/${word.replace(".", "\\.")}(/|\\?|$)`,
        { target: server, changeOrigin: true, headers: { origin: server } },
      ]),
    ),
  },
  build: {
    target: "es2022",
    // With an older target `light-dark()` is rewritten in a way that needs a literal `color-scheme`, and is lost.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    outDir: "dist",
    assetsDir: "assets",
    // Strict CSP: nothing may be inlined as data: URLs except nothing at all.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
});
