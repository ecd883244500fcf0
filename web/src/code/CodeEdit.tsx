/** Writes code with CodeMirror: history, indentation, and messages of the server about places in the text. */
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import {
  bracketMatching,
  indentOnInput,
  indentUnit,
  LanguageDescription,
  syntaxHighlighting,
} from "@codemirror/language";
import { languages } from "@codemirror/language-data";
import { lintGutter, lintKeymap, type Diagnostic as Mark, setDiagnostics } from "@codemirror/lint";
import { search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension, type Text } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { useEffect, useRef } from "react";
import type { Diagnostic } from "@/api/types";
import { style } from "./CodeView";
import "./code.css";

const base: Extension[] = [
  lineNumbers(),
  lintGutter(),
  history(),
  drawSelection(),
  highlightActiveLine(),
  bracketMatching(),
  indentOnInput(),
  indentUnit.of("  "),
  search({ top: true }),
  syntaxHighlighting(style),
  EditorState.tabSize.of(2),
  // Tab indents; Escape first, then Tab, leaves the editor.
  keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap, ...lintKeymap, indentWithTab]),
];

/** A message of the server as a mark: the word at its place, or the line. */
export function markOf(doc: Text, d: Diagnostic): Mark {
  const line = doc.line(Math.min(Math.max(1, d.line), doc.lines));
  const from = Math.min(line.from + Math.max(0, d.column - 1), line.to);
  const word = /^[\w$.-]+/.exec(line.text.slice(from - line.from))?.[0].length ?? 0;
  const to = d.column > 0 && word > 0 ? from + word : line.to;
  return {
    from: d.column > 0 ? from : line.from,
    to: Math.max(to, from),
    severity: d.severity === "error" ? "error" : d.severity === "warning" ? "warning" : "info",
    message: d.message,
    source: d.code,
  };
}

const NAMES: Record<string, string> = { Jenkinsfile: "a.groovy" };

export default function CodeEdit(props: {
  /** What it begins with; another text begins anew. */
  start: string;
  path: string;
  diagnostics: Diagnostic[];
  /** A place to go to; a new object goes there again. */
  jump: { line: number } | null;
  onChange: (text: string) => void;
}) {
  const { start, path, diagnostics, jump } = props;
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const changed = useRef(props.onChange);
  changed.current = props.onChange;
  useEffect(() => {
    if (!host.current) return;
    const language = new Compartment();
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: start,
        extensions: [
          ...base,
          language.of([]),
          EditorView.contentAttributes.of({ "aria-label": `Text of ${path}` }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) changed.current(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    const name = path.split("/").pop() ?? path;
    const known = LanguageDescription.matchFilename(languages, NAMES[name] ?? name);
    void known?.load().then((support) => {
      if (view.current === editor) editor.dispatch({ effects: language.reconfigure(support) });
    });
    return () => {
      view.current = null;
      editor.destroy();
    };
  }, [start, path]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new editor needs its marks, too
  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const own = diagnostics.filter((d) => !d.file || d.file === path);
    const marks = own.map((d) => markOf(editor.state.doc, d)).sort((a, b) => a.from - b.from);
    editor.dispatch(setDiagnostics(editor.state, marks));
  }, [diagnostics, start, path]);
  useEffect(() => {
    const editor = view.current;
    if (!editor || !jump) return;
    const at = editor.state.doc.line(Math.min(Math.max(1, jump.line), editor.state.doc.lines)).from;
    editor.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
    editor.focus();
  }, [jump]);
  return <div className="dm-code dm-code-edit" ref={host} />;
}
