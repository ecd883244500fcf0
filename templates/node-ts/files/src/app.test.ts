import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";

import { createApp, greet, greeting, route } from "./app.js";
import { defaultPort, portFrom } from "./port.js";

describe("greet", () => {
  const cases: [string, string][] = [
    ["", "world"],
    ["  ", "world"],
    ["Ada", "Ada"],
    [" Grace ", "Grace"],
  ];
  for (const [name, want] of cases) {
    it(`takes '${name}' for ${want}`, () => {
      assert.equal(greet(name), `${greeting}, ${want}!`);
    });
  }
});

describe("route", () => {
  const cases: [string, string, number, Record<string, string>][] = [
    ["GET", "/?name=Zo%C3%AB+K", 200, { message: greet("Zoë K") }],
    ["GET", `/?name=${"x".repeat(101)}`, 400, { error: "name is too long" }],
    ["GET", "/nowhere", 404, { error: "not found" }],
    ["POST", "/", 405, { error: "method not allowed" }],
  ];
  for (const [method, target, status, body] of cases) {
    it(`answers ${method} ${target.slice(0, 20)} with ${status}`, () => {
      const answer = route(method, target);
      assert.equal(answer.status, status);
      assert.deepEqual(answer.body, body);
    });
  }
});

describe("portFrom", () => {
  it("reads the environment", () => {
    assert.equal(portFrom(undefined), defaultPort);
    assert.equal(portFrom("9999"), 9999);
    assert.throws(() => portFrom("many"), /not a port number/);
  });
});

describe("the server", () => {
  const app = createApp();
  let base = "";

  before(async () => {
    await new Promise<void>((done) => app.listen(0, "127.0.0.1", done));
    base = `http://127.0.0.1:${(app.address() as AddressInfo).port}`;
  });
  after(() => {
    app.close();
    app.closeAllConnections();
  });

  it("is healthy", async () => {
    const answer = await fetch(`${base}/health`);
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), { status: "ok" });
  });

  it("greets", async () => {
    const answer = await fetch(`${base}/?name=Ada`);
    assert.equal(answer.headers.get("content-type"), "application/json");
    assert.deepEqual(await answer.json(), { message: greet("Ada") });
  });
});
