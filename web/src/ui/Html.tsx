/** HTML that the server rendered and sanitised, cleaned once more before it is shown. */
import { useEffect, useMemo, useState } from "react";
import { useGo } from "@/app/location";
import { paths } from "@/app/paths";
import { Rows } from "./bits";

type Purify = typeof import("dompurify").default;
let loaded: Purify | null = null;

export interface HtmlProps {
  html: string;
  /** Where relative links of the document lead. */
  base?: { project: string; ref: string; dir: string };
}

export function Html({ html, base }: HtmlProps) {
  const [purify, setPurify] = useState<Purify | null>(() => loaded);
  const go = useGo();
  useEffect(() => {
    if (purify) return;
    let live = true;
    void import("dompurify").then((module) => {
      loaded = module.default;
      if (live) setPurify(() => module.default);
    });
    return () => {
      live = false;
    };
  }, [purify]);
  const clean = useMemo(() => (purify ? sanitise(purify, html, base) : null), [purify, html, base]);
  if (clean === null) return <Rows n={3} />;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents lint/a11y/noStaticElementInteractions: clicks bubble from real links, which have the keyboard already
    <div
      className="dm-prose"
      onClick={(event) => {
        const anchor = (event.target as HTMLElement).closest("a");
        const href = anchor?.getAttribute("href");
        if (!anchor || !href?.startsWith("/") || href.includes("/raw?") || event.metaKey || event.ctrlKey)
          return;
        event.preventDefault();
        go(href);
      }}
      // biome-ignore lint/security/noDangerouslySetInnerHtml: sanitised by the server and by DOMPurify
      dangerouslySetInnerHTML={{ __html: clean }}
    />
  );
}

export function sanitise(purify: Purify, html: string, base?: HtmlProps["base"]): string {
  const fragment = purify.sanitize(html, {
    USE_PROFILES: { html: true },
    FORBID_TAGS: ["style", "form", "button", "textarea", "select", "video", "audio", "iframe"],
    FORBID_ATTR: ["style", "name"],
    ADD_ATTR: ["target"],
    RETURN_DOM_FRAGMENT: true,
  });
  for (const anchor of fragment.querySelectorAll("a[href]")) {
    const href = anchor.getAttribute("href") ?? "";
    if (/^(https?:|mailto:)/i.test(href)) {
      anchor.setAttribute("rel", "noopener noreferrer nofollow");
    } else if (base && !href.startsWith("/") && !href.startsWith("#")) {
      const [file = "", hash = ""] = href.split("#");
      anchor.setAttribute(
        "href",
        paths.blob(base.project, base.ref, resolve(base.dir, file)) + (hash ? `#${hash}` : ""),
      );
    }
  }
  for (const image of fragment.querySelectorAll("img[src]")) {
    const src = image.getAttribute("src") ?? "";
    image.setAttribute("loading", "lazy");
    if (base && !/^(https?:|\/|data:)/i.test(src)) {
      image.setAttribute("src", paths.raw(base.project, base.ref, resolve(base.dir, src)));
    }
  }
  for (const block of fragment.querySelectorAll("pre, table")) block.setAttribute("tabindex", "0");
  const holder = document.createElement("div");
  holder.append(fragment);
  return holder.innerHTML;
}

/** Joins a relative path to a directory, never leaving the root. */
export function resolve(dir: string, path: string): string {
  const out = dir ? dir.split("/") : [];
  for (const part of decodeURI(path).split("/")) {
    if (part === "..") out.pop();
    else if (part !== "." && part !== "") out.push(part);
  }
  return out.join("/");
}
