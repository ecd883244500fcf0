import purify from "dompurify";
import { describe, expect, it } from "vitest";
import { fieldErrors, Problem, problemOf, url } from "@/api/client";
import { score } from "@/app/Palette";
import { linesHash, parseLines } from "@/code/CodeView";
import { checkParameter, slug } from "@/pages/Create";
import { parseConfig } from "@/pages/project/DeployDialog";
import { safeNext } from "@/pages/SignIn";
import { BIDI, bidiName } from "./bidi";
import { ago, bytes, duration, usage } from "./format";
import { resolve, sanitise } from "./Html";

describe("format", () => {
  it("writes sizes, times and durations", () => {
    expect([bytes(0), bytes(999), bytes(1500), bytes(37_000_000)]).toEqual([
      "0 B",
      "999 B",
      "1.5 kB",
      "37 MB",
    ]);
    expect([duration(12), duration(4200), duration(62_000), duration(3_725_000)]).toEqual([
      "12 ms",
      "4.2 s",
      "1m 02s",
      "1h 02m",
    ]);
    expect(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T00:05:00Z"))).toBe("5 minutes ago");
  });
});

describe("what a step used", () => {
  it("says what is known, and no zeros for what is not", () => {
    const none = {
      cpu_user_ms: null,
      cpu_system_ms: null,
      memory_peak_bytes: null,
      read_bytes: null,
      written_bytes: null,
    };
    expect([usage(null), usage(none)]).toEqual(["", ""]);
    expect(usage({ ...none, cpu_user_ms: 1200, cpu_system_ms: 300, written_bytes: 2_000_000 })).toBe(
      "CPU 1.5 s · wrote 2.0 MB",
    );
    expect(usage({ ...none, cpu_system_ms: 0, memory_peak_bytes: 45_000_000 })).toBe(
      "CPU 0 ms · memory 45 MB",
    );
  });
});

describe("problems", () => {
  it("reads RFC 9457 and survives anything else", async () => {
    const doc = {
      title: "Invalid",
      status: 422,
      code: "invalid",
      detail: "Two fields",
      errors: [{ field: "name", code: "taken", message: "Taken." }],
    };
    const problem = await problemOf(new Response(JSON.stringify(doc), { status: 422 }));
    expect(problem).toBeInstanceOf(Problem);
    expect(problem.message).toBe("Two fields");
    expect(fieldErrors(problem)).toEqual({ name: "Taken." });
    expect((await problemOf(new Response("<html>", { status: 502 }))).message).toBe(
      "The server answered 502",
    );
  });

  it("leaves empty parameters out of an address", () => {
    expect(url("/projects/list", { q: "", topic: "a&b", limit: 5, archived: undefined })).toBe(
      "/projects/list?topic=a%26b&limit=5",
    );
  });
});

describe("rendered documents", () => {
  const base = { project: "acme/web", ref: "main", dir: "docs" };
  const clean = (html: string) => sanitise(purify, html, base);
  it("removes what could run", () => {
    const out = clean(
      '<p onclick="x()">a</p><script>x()</script><img src="x.png" onerror="x()"><a href="javascript:x()">l</a><iframe src="/"></iframe><form></form><p style="position:fixed">b</p>',
    );
    expect(out).not.toMatch(/script|onerror|onclick|iframe|form|style=/);
  });
  it("makes relative addresses lead into the repository", () => {
    expect(clean('<a href="../src/a.rs#L3">x</a>')).toContain('href="/acme/web/-/blob/main/src/a.rs#L3"');
    expect(clean('<img src="./shot.png">')).toContain("path=docs%2Fshot.png");
    expect(clean('<a href="https://example.org">x</a>')).toContain("noopener");
    expect(resolve("a/b", "../../../../etc/passwd")).toBe("etc/passwd");
  });
});

describe("forms", () => {
  it("checks template parameters as the server does", () => {
    const p = {
      name: "port",
      title: "",
      description: "",
      type: "integer" as const,
      default: null,
      required: true,
      min: 1,
      max: 10,
      max_length: null,
      pattern: null,
      choices: [],
    };
    expect(checkParameter(p, undefined)).toBe("This is needed.");
    expect(checkParameter(p, 11)).toBe("At most 10.");
    expect(checkParameter(p, 5)).toBeNull();
    expect(checkParameter({ ...p, type: "string", pattern: "/[a-z]+" }, "x/y")).toMatch(/Must match/);
    expect(checkParameter({ ...p, type: "choice", choices: ["a"] }, "b")).toMatch(/One of/);
  });
  it("makes names valid while they are typed", () => {
    expect(slug("My Service_2!")).toBe("my-service-2");
  });
  it("reads configuration lines", () => {
    expect(parseConfig("A=1\n# no\n\nB=x=y")).toEqual({ config: { A: "1", B: "x=y" }, error: null });
    expect(parseConfig("A=1\nno way").error).toBe("Line 2: write NAME=value");
  });
  it("goes on only to a page of this site", () => {
    expect(safeNext("/acme/web")).toBe("/acme/web");
    for (const bad of ["//evil.example", "/\\evil.example", "https://evil.example", "/sign-in", null])
      expect(safeNext(bad)).toBe("/");
  });
});

describe("code", () => {
  it("reads and writes line anchors", () => {
    expect(parseLines("#L3-L7")).toEqual({ from: 3, to: 7 });
    expect(parseLines("#L7-3")).toEqual({ from: 3, to: 7 });
    expect(parseLines("#x")).toBeNull();
    expect(linesHash({ from: 4, to: 4 })).toBe("#L4");
  });
  it("names bidirectional controls", () => {
    expect(BIDI.test("a\u202eb")).toBe(true);
    expect(bidiName("\u202e")).toBe("RLO");
  });
  it("ranks commands by the words typed", () => {
    expect(score("New project Create", "proj new")).toBeGreaterThan(0);
    expect(score("New project", "runs")).toBeNull();
  });
});
