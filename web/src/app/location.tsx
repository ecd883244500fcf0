/** Where we are and how to go elsewhere. Paths are kept as written (`%2F` in a ref stays), which is why
 *  links go through here and not through the router's own path templates. */
import { useRouter, useRouterState } from "@tanstack/react-router";
import { type AnchorHTMLAttributes, type MouseEvent, type Ref, useCallback, useMemo } from "react";
import { preload } from "./preload";

export interface Place {
  /** Raw path, percent-encoding kept. */
  path: string;
  search: URLSearchParams;
  hash: string;
  href: string;
}

export function parsePlace(href: string): Place {
  const at = href.indexOf("#");
  const hash = at < 0 ? "" : href.slice(at + 1);
  const rest = at < 0 ? href : href.slice(0, at);
  const q = rest.indexOf("?");
  return {
    path: q < 0 ? rest : rest.slice(0, q),
    search: new URLSearchParams(q < 0 ? "" : rest.slice(q + 1)),
    hash,
    href,
  };
}

export function usePlace(): Place {
  const href = useRouterState({ select: (state) => state.location.publicHref });
  return useMemo(() => parsePlace(href), [href]);
}

export type Go = (href: string, options?: { replace?: boolean; keepScroll?: boolean }) => void;

export function useGo(): Go {
  const router = useRouter();
  return useCallback<Go>(
    (href, options) => {
      if (options?.replace) router.history.replace(href);
      else router.history.push(href);
      if (!options?.keepScroll && !href.includes("#")) window.scrollTo(0, 0);
    },
    [router],
  );
}

/** One search parameter as state; an empty value removes it. */
export function useParam(name: string, fallback = ""): [string, (value: string) => void] {
  const place = usePlace();
  const go = useGo();
  const value = place.search.get(name) ?? fallback;
  const set = (next: string) => {
    const here = parsePlace(window.location.pathname + window.location.search);
    if (next === fallback || next === "") here.search.delete(name);
    else here.search.set(name, next);
    const text = here.search.toString();
    go(here.path + (text ? `?${text}` : ""), { replace: true, keepScroll: true });
  };
  return [value, set];
}

export interface LinkProps extends AnchorHTMLAttributes<HTMLAnchorElement> {
  href: string;
  ref?: Ref<HTMLAnchorElement>;
}

/** Should the browser handle this click itself (new tab, other origin, download)? */
function isPlainClick(event: MouseEvent<HTMLAnchorElement>): boolean {
  const anchor = event.currentTarget;
  return (
    event.button === 0 &&
    !event.metaKey &&
    !event.ctrlKey &&
    !event.shiftKey &&
    !event.altKey &&
    !event.defaultPrevented &&
    (!anchor.target || anchor.target === "_self") &&
    !anchor.hasAttribute("download")
  );
}

export function Link({ href, onClick, onPointerEnter, ref, ...rest }: LinkProps) {
  const go = useGo();
  return (
    <a
      ref={ref}
      href={href}
      onPointerEnter={(event) => {
        preload(href);
        onPointerEnter?.(event);
      }}
      onClick={(event) => {
        onClick?.(event);
        if (!href.startsWith("/") || !isPlainClick(event)) return;
        event.preventDefault();
        go(href);
      }}
      {...rest}
    />
  );
}
