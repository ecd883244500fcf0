/** Server-sent events with the browser's own reconnect and `Last-Event-ID`. */
import { useEffect, useRef } from "react";

export interface StreamHandlers {
  [event: string]: (data: unknown, id: string) => void;
}

/** A page out of sight gives its connection back: a browser has only six to a server without HTTP/2. */
const HIDDEN_MS = 10_000;

/**
 * Opens a stream, closes it while the page is hidden, and opens it again (at the address of that moment) when the
 * page is seen. `end` closes it for good. Returns the closer.
 */
export function openStream(address: () => string, handlers: StreamHandlers): () => void {
  let source: EventSource | null = null;
  let over = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const open = () => {
    if (over || source) return;
    source = new EventSource(address());
    for (const [name, handle] of Object.entries(handlers)) {
      if (name === "end") continue;
      source.addEventListener(name, (event) => {
        const message = event as MessageEvent<string>;
        let data: unknown = null;
        try {
          data = JSON.parse(message.data);
        } catch {
          return; // A half-written event is repeated after the reconnect.
        }
        handle(data, message.lastEventId);
      });
    }
    source.addEventListener("end", () => {
      stop();
      handlers.end?.(null, "");
    });
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const onVisibility = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(close, HIDDEN_MS);
    else open();
  };
  const stop = () => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onVisibility);
    close();
  };
  document.addEventListener("visibilitychange", onVisibility);
  open();
  return stop;
}

/** Keeps a stream open while mounted and `url` is not null. */
export function useStream(url: string | null, handlers: StreamHandlers): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    if (!url) return;
    const relay: StreamHandlers = {};
    for (const name of Object.keys(latest.current))
      relay[name] = (data, id) => latest.current[name]?.(data, id);
    return openStream(() => url, relay);
  }, [url]);
}
