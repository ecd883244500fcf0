import { afterEach, describe, expect, it, vi } from "vitest";
import { listenForShortcuts, registry } from "./actions";
import { parseProjectPath, paths, splitRef } from "./paths";

describe("paths", () => {
  it.each([
    ["/acme/web", "acme/web", "home", ""],
    ["/acme/web/-/tree/main/src", "acme/web", "tree", "main/src"],
    ["/a/b/c/-/runs/12", "a/b/c", "runs", "12"],
    ["/acme/web/-/blob/feature%2Fx/a%20b.rs", "acme/web", "blob", "feature%2Fx/a%20b.rs"],
    ["/acme/web/-/nowhere", "acme/web", null, ""],
    ["/acme", "acme", "home", ""],
  ])("reads %s", (raw, path, section, rest) => {
    expect(parseProjectPath(raw)).toEqual({ path, section, rest });
  });

  it("splits a ref from a path", () => {
    expect(splitRef("main/src/a.rs", [])).toEqual({ ref: "main", path: "src/a.rs" });
    expect(splitRef("feature%2Fx/src", [])).toEqual({ ref: "feature/x", path: "src" });
    expect(splitRef("feature/x/src", ["feature/x", "feature/x/y"])).toEqual({
      ref: "feature/x",
      path: "src",
    });
    expect(splitRef("feature/x", ["feature/x"])).toEqual({ ref: "feature/x", path: "" });
  });

  it("writes addresses that it can read again", () => {
    const href = paths.blob("acme/web", "feature/ä", "dir/100%.md", 7);
    expect(href).toBe("/acme/web/-/blob/feature%2F%C3%A4/dir/100%25.md#L7");
    const place = parseProjectPath(href.split("#")[0] ?? "");
    expect(splitRef(place.rest, [])).toEqual({ ref: "feature/ä", path: "dir/100%.md" });
  });
});

describe("shortcuts", () => {
  const undo: (() => void)[] = [];
  afterEach(() => {
    for (const call of undo.splice(0)) call();
  });
  const press = (key: string, init: KeyboardEventInit = {}, target: EventTarget = window) =>
    target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...init }));
  const icon = (() => null) as never;

  it("runs single keys, sequences and chords, but not while typing", () => {
    const calls: string[] = [];
    const action = (id: string, shortcut: string) => ({
      id,
      name: id,
      group: "g",
      icon,
      shortcut,
      perform: () => void calls.push(id),
    });
    undo.push(registry.register([action("one", "x"), action("two", "g r"), action("three", "mod+k")]));
    undo.push(listenForShortcuts(window));
    press("x");
    press("g");
    press("r");
    press("k", { ctrlKey: true });
    const input = document.body.appendChild(document.createElement("input"));
    press("x", {}, input);
    press("k", { metaKey: true }, input);
    input.remove();
    expect(calls).toEqual(["one", "two", "three", "three"]);
  });

  it("leaves out what is not visible", () => {
    const perform = vi.fn();
    undo.push(
      registry.register([
        { id: "a", name: "a", group: "g", icon, shortcut: "q", visible: () => false, perform },
      ]),
    );
    undo.push(listenForShortcuts(window));
    press("q");
    expect(perform).not.toHaveBeenCalled();
  });
});
