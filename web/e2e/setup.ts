/**
 * The server that the browser tests talk to: the one at `BASE_URL` (sign-in by `LINK`, or by `ADMIN_TOKEN`), else
 * one of their own, started from `TEST_BINARY` or the build in `target/` with an empty data directory.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    baseUrl: string;
    link: string;
    adminToken: string;
  }
}

const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === "object" ? done(address.port) : fail(new Error("no port")),
      );
    });
  });

function binary(): string {
  const root = resolve(import.meta.dirname, "../..");
  const found = [
    process.env.TEST_BINARY,
    `${root}/target/release/devmentor`,
    `${root}/target/debug/devmentor`,
  ].find((path) => path && existsSync(path));
  if (!found) throw new Error("set BASE_URL, or TEST_BINARY, or build the server first");
  return found;
}

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const external = process.env.BASE_URL;
  // Vite sets a BASE_URL of its own ("/") where there is none.
  if (external?.startsWith("http")) {
    project.provide("baseUrl", external.replace(/\/$/, ""));
    project.provide("link", process.env.LINK ?? "");
    project.provide("adminToken", process.env.ADMIN_TOKEN ?? "");
    return;
  }
  const port = await freePort();
  const data = mkdtempSync(join(tmpdir(), "devmentor-e2e-"));
  const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("DEVMENTOR_"));
  const server: ChildProcess = spawn(binary(), ["serve"], {
    env: {
      ...Object.fromEntries(inherited),
      DEVMENTOR_LISTEN: `127.0.0.1:${port}`,
      DEVMENTOR_DATA_DIR: data,
      // an empty PostgreSQL database; SQLite in the data directory without it
      ...(process.env.E2E_DATABASE_URL ? { DEVMENTOR_DATABASE_URL: process.env.E2E_DATABASE_URL } : {}),
    },
    stdio: ["ignore", "pipe", "pipe"],
    cwd: data,
  });
  let output = "";
  const link = await new Promise<string>((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`the server printed no sign-in link:\n${output}`)), 30_000);
    const read = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-100_000);
      const found = /https?:\/\/\S+\/sign-in\?link=[\w-]+/.exec(output)?.[0];
      if (found) {
        clearTimeout(timer);
        done(found);
      }
    };
    server.stdout?.on("data", read);
    server.stderr?.on("data", read);
    server.once("exit", (code) => fail(new Error(`the server ended with ${code}:\n${output}`)));
  });
  project.provide("baseUrl", `http://127.0.0.1:${port}`);
  project.provide("link", link);
  project.provide("adminToken", "");
  return async () => {
    if (server.exitCode === null) {
      const gone = new Promise((done) => server.once("exit", done));
      server.kill("SIGTERM");
      const timer = setTimeout(() => server.kill("SIGKILL"), 15_000);
      await gone;
      clearTimeout(timer);
    }
    if (process.env.E2E_SERVER_LOG) console.log(output);
    rmSync(data, { recursive: true, force: true });
  };
}
