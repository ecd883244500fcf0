import { fileURLToPath } from "node:url";
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
  "environments",
  "deployments",
  "v2",
];

const server = process.env.DEVMENTOR_URL ?? "http://127.0.0.1:3004";

/** `vite --mode mock`: answers the API from memory. Never part of a build. */
function mock(): Plugin {
  return {
    name: "devmentor-mock",
    apply: "serve",
    async configureServer(vite) {
      const { createMock } = (await vite.ssrLoadModule(
        "/mock/server.ts",
      )) as typeof import("./mock/server.ts");
      const handle = createMock();
      vite.middlewares.use((req, res, next) => handle(req, res, next));
    },
  };
}

export default defineConfig(({ mode }) => ({
  plugins: [react(), ...(mode === "mock" ? [mock()] : [])],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: {
    port: 5173,
    strictPort: false,
    proxy:
      mode === "mock"
        ? {}
        : Object.fromEntries(
            API_WORDS.map((word): [string, ProxyOptions] => [
              `^/${word.replace(".", "\\.")}(/|\\?|$)`,
              { target: server, changeOrigin: true, headers: { origin: server } },
            ]),
          ),
  },
  build: {
    target: "es2022",
    outDir: "dist",
    assetsDir: "assets",
    // Strict CSP: nothing may be inlined as data: URLs except nothing at all.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
}));
