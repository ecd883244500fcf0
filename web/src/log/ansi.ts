/** Terminal colours of one line as spans. Everything else a terminal could do is dropped. */

export interface Span {
  text: string;
  /** Class names; empty for plain text. */
  className: string;
  /** Exact colour of 256-colour and true-colour codes. */
  color?: string;
  background?: string;
}

interface Style {
  fg: number | string | null;
  bg: number | string | null;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
}

const plain = (): Style => ({
  fg: null,
  bg: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
});

/** CSI, OSC and single-character escapes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what escape sequences are made of
const ESCAPE = /\u001b(?:\[([0-9;:?]*)([ -/]*[@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what escape sequences are made of
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/g;

/** What a terminal would show of a line with carriage returns: the last thing written. */
export function afterReturns(line: string): string {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  const at = text.lastIndexOf("\r");
  return at < 0 ? text : text.slice(at + 1) || text.slice(text.lastIndexOf("\r", at - 1) + 1, at);
}

export function stripAnsi(text: string): string {
  return text.includes("\u001b") ? text.replace(ESCAPE, "") : text;
}

function apply(style: Style, codes: number[]): Style {
  let next = { ...style };
  for (let i = 0; i < codes.length; i++) {
    const c = codes[i] ?? 0;
    if (c === 0) next = plain();
    else if (c === 1) next.bold = true;
    else if (c === 2) next.dim = true;
    else if (c === 3) next.italic = true;
    else if (c === 4) next.underline = true;
    else if (c === 7) next.inverse = true;
    else if (c === 22) next.bold = next.dim = false;
    else if (c === 23) next.italic = false;
    else if (c === 24) next.underline = false;
    else if (c === 27) next.inverse = false;
    else if (c >= 30 && c <= 37) next.fg = c - 30;
    else if (c >= 90 && c <= 97) next.fg = c - 82;
    else if (c === 39) next.fg = null;
    else if (c >= 40 && c <= 47) next.bg = c - 40;
    else if (c >= 100 && c <= 107) next.bg = c - 92;
    else if (c === 49) next.bg = null;
    else if (c === 38 || c === 48) {
      let value: number | string | null = null;
      if (codes[i + 1] === 5) {
        value = indexed(codes[i + 2] ?? 0);
        i += 2;
      } else if (codes[i + 1] === 2) {
        value = `rgb(${byte(codes[i + 2])} ${byte(codes[i + 3])} ${byte(codes[i + 4])})`;
        i += 4;
      }
      if (c === 38) next.fg = value;
      else next.bg = value;
    }
  }
  return next;
}

const byte = (n: number | undefined) => Math.min(255, Math.max(0, n ?? 0));

function indexed(n: number): number | string {
  if (n < 16) return n;
  if (n >= 232) {
    const v = 8 + (n - 232) * 10;
    return `rgb(${v} ${v} ${v})`;
  }
  const level = (k: number) => (k === 0 ? 0 : 55 + k * 40);
  const k = n - 16;
  return `rgb(${level(Math.floor(k / 36))} ${level(Math.floor(k / 6) % 6)} ${level(k % 6)})`;
}

function span(text: string, style: Style): Span {
  const fg = style.inverse ? (style.bg ?? "var(--dm-surface)") : style.fg;
  const bg = style.inverse ? (style.fg ?? "currentColor") : style.bg;
  const names: string[] = [];
  if (typeof fg === "number") names.push(`fg${fg}`);
  if (typeof bg === "number") names.push(`bg${bg}`);
  if (style.bold) names.push("bold");
  if (style.dim) names.push("dim");
  if (style.italic) names.push("italic");
  if (style.underline) names.push("underline");
  const out: Span = { text, className: names.map((n) => `a-${n}`).join(" ") };
  if (typeof fg === "string") out.color = fg;
  if (typeof bg === "string") out.background = bg;
  return out;
}

export function parseAnsi(line: string): Span[] {
  const text = line.includes("\r") ? afterReturns(line) : line;
  if (!text.includes("\u001b")) return [{ text: text.replace(CONTROL, ""), className: "" }];
  const out: Span[] = [];
  let style = plain();
  let at = 0;
  for (const match of text.matchAll(ESCAPE)) {
    if (match.index > at) out.push(span(text.slice(at, match.index).replace(CONTROL, ""), style));
    at = match.index + match[0].length;
    if (match[2] === "m") style = apply(style, (match[1] || "0").split(/[;:]/).map(Number));
  }
  if (at < text.length) out.push(span(text.slice(at).replace(CONTROL, ""), style));
  return out.length > 0 ? out : [{ text: "", className: "" }];
}

/** The role of a line that a job wrote for the service rather than for people. */
export function command(
  text: string,
): { kind: "error" | "warning" | "notice" | "debug" | "command"; text: string } | null {
  const first = text.charCodeAt(0);
  if (first !== 58 && first !== 35 && first !== 91) return null; // ':', '#', '['
  const m =
    /^::(error|warning|notice|debug)(?:\s[^:]*)?::(.*)$/.exec(text) ??
    /^##\[(error|warning|notice|debug|command)\](.*)$/.exec(text) ??
    /^\[(command)\](.*)$/.exec(text);
  return m ? { kind: m[1] as "error", text: m[2] ?? "" } : null;
}
