/** Reads code with CodeMirror: highlighting, line anchors (`#L3-L7`), search, and marked control characters. */
import {
  foldGutter,
  foldKeymap,
  HighlightStyle,
  LanguageDescription,
  syntaxHighlighting,
} from "@codemirror/language";
import { languages } from "@codemirror/language-data";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import {
  Compartment,
  EditorState,
  type Extension,
  RangeSet,
  StateEffect,
  StateField,
} from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  GutterMarker,
  gutterLineClass,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags as t } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import { BIDI, bidiName } from "@/ui/bidi";
import "./code.css";

export const style = HighlightStyle.define([
  { tag: [t.keyword, t.modifier, t.controlKeyword, t.operatorKeyword], class: "c-keyword" },
  { tag: [t.string, t.special(t.string), t.regexp, t.character], class: "c-string" },
  { tag: [t.number, t.bool, t.null, t.atom, t.unit], class: "c-number" },
  { tag: [t.comment, t.meta, t.documentMeta], class: "c-comment" },
  { tag: [t.function(t.variableName), t.function(t.propertyName), t.macroName], class: "c-function" },
  { tag: [t.typeName, t.className, t.namespace, t.tagName], class: "c-type" },
  { tag: [t.propertyName, t.attributeName, t.labelName, t.definition(t.propertyName)], class: "c-property" },
  { tag: [t.heading, t.strong], class: "c-strong" },
  { tag: t.emphasis, class: "c-emphasis" },
  { tag: [t.link, t.url], class: "c-link" },
  { tag: t.inserted, class: "c-inserted" },
  { tag: [t.deleted, t.invalid], class: "c-deleted" },
]);

export interface LineRange {
  from: number;
  to: number;
}

/** `#L3`, `#L3-L7`, `#L3-7`. */
export function parseLines(hash: string): LineRange | null {
  const m = /^#?L(\d+)(?:-L?(\d+))?$/.exec(hash);
  if (!m) return null;
  const a = Number(m[1]);
  const b = Number(m[2] ?? m[1]);
  return a > 0 && b > 0 ? { from: Math.min(a, b), to: Math.max(a, b) } : null;
}

export const linesHash = (range: LineRange): string =>
  range.from === range.to ? `#L${range.from}` : `#L${range.from}-L${range.to}`;

const setRange = StateEffect.define<LineRange | null>();
const lineMark = Decoration.line({ class: "cm-chosen" });
const gutterMark = new (class extends GutterMarker {
  override elementClass = "cm-chosen";
})();

function marksOf(state: EditorState, range: LineRange | null): number[] {
  if (!range) return [];
  const out: number[] = [];
  for (let n = range.from; n <= Math.min(range.to, state.doc.lines); n++) out.push(state.doc.line(n).from);
  return out;
}

const chosen = StateField.define<{
  range: LineRange | null;
  lines: DecorationSet;
  gutter: RangeSet<GutterMarker>;
}>({
  create: () => ({ range: null, lines: Decoration.none, gutter: RangeSet.empty }),
  update(value, tr) {
    for (const effect of tr.effects) {
      if (!effect.is(setRange)) continue;
      const at = marksOf(tr.state, effect.value);
      return {
        range: effect.value,
        lines: Decoration.set(at.map((p) => lineMark.range(p))),
        gutter: RangeSet.of(at.map((p) => gutterMark.range(p))),
      };
    }
    return value;
  },
  provide: (field) => [
    EditorView.decorations.from(field, (v) => v.lines),
    gutterLineClass.from(field, (v) => v.gutter),
  ],
});

const numbers = lineNumbers({
  domEventHandlers: {
    mousedown(view, line, event) {
      const number = view.state.doc.lineAt(line.from).number;
      const old = view.state.field(chosen).range;
      const range =
        (event as MouseEvent).shiftKey && old
          ? { from: Math.min(old.from, number), to: Math.max(old.from, number) }
          : { from: number, to: number };
      view.dispatch({ effects: setRange.of(range) });
      history.replaceState(history.state, "", linesHash(range));
      event.preventDefault();
      return true;
    },
  },
});

const special = highlightSpecialChars({
  addSpecialChars: new RegExp(BIDI.source, "g"),
  render: (code, description, placeholder) => {
    const span = document.createElement("span");
    const ch = String.fromCharCode(code);
    const bidi = BIDI.test(ch);
    span.className = bidi ? "dm-bidi" : "cm-specialChar";
    span.textContent = bidi ? bidiName(ch) : (placeholder ?? "•");
    span.title = description ?? `Character ${code.toString(16)}`;
    span.setAttribute("aria-label", span.title);
    return span;
  },
});

const base: Extension[] = [
  numbers,
  foldGutter(),
  special,
  chosen,
  drawSelection(),
  highlightSelectionMatches(),
  search({ top: true }),
  syntaxHighlighting(style),
  EditorState.readOnly.of(true),
  EditorView.editable.of(false),
  EditorView.contentAttributes.of({
    tabindex: "0",
    "aria-readonly": "true",
    "aria-label": "Content of the file",
  }),
  keymap.of([...searchKeymap, ...foldKeymap]),
];

export default function CodeView({ text, path }: { text: string; path: string }) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!host.current) return;
    const language = new Compartment();
    const view = new EditorView({
      parent: host.current,
      state: EditorState.create({ doc: text, extensions: [...base, language.of([])] }),
    });
    let live = true;
    const name = path.split("/").pop() ?? path;
    const known = LanguageDescription.matchFilename(languages, name);
    void known?.load().then((support) => {
      if (live) view.dispatch({ effects: language.reconfigure(support) });
    });
    const show = () => {
      const range = parseLines(window.location.hash);
      view.dispatch({ effects: setRange.of(range) });
      if (range && range.from <= view.state.doc.lines) {
        const at = view.state.doc.line(range.from).from;
        view.dispatch({ effects: EditorView.scrollIntoView(at, { y: "center" }) });
      }
    };
    show();
    window.addEventListener("hashchange", show);
    return () => {
      live = false;
      window.removeEventListener("hashchange", show);
      view.destroy();
    };
  }, [text, path]);
  return <div className="dm-code" ref={host} />;
}
