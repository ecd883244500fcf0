/** Characters that reorder or hide text are shown by name, so that code reads as it runs. */
import type { ReactNode } from "react";

const NAMES: Record<string, string> = {
  "\u061c": "ALM",
  "\u200e": "LRM",
  "\u200f": "RLM",
  "\u202a": "LRE",
  "\u202b": "RLE",
  "\u202c": "PDF",
  "\u202d": "LRO",
  "\u202e": "RLO",
  "\u2066": "LRI",
  "\u2067": "RLI",
  "\u2068": "FSI",
  "\u2069": "PDI",
};
/** The bidirectional controls; zero-width and other specials are the editor's own affair. */
export const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const ALL = /([\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])/;

export const bidiName = (ch: string): string =>
  NAMES[ch] ?? `U+${ch.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** Text with each control replaced by its marked name. */
export function visible(text: string): ReactNode {
  if (!BIDI.test(text)) return text;
  return text.split(ALL).map((part, i) =>
    part.length === 1 && BIDI.test(part) ? (
      <span key={i} className="dm-bidi" title={`Bidirectional control ${bidiName(part)}`}>
        {bidiName(part)}
      </span>
    ) : (
      part
    ),
  );
}
