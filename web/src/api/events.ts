/** Server-sent events with the browser's own reconnect and `Last-Event-ID`. */
import { useEffect, useRef } from "react";

export interface StreamHandlers {
  [event: string]: (data: unknown, id: string) => void;
}

/** Opens a stream; `end` closes it for good. Returns the closer. */
export function openStream(url: string, handlers: StreamHandlers, onLost?: () => void): () => void {
  const source = new EventSource(url);
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
    source.close();
    handlers.end?.(null, "");
  });
  source.onerror = () => onLost?.();
  return () => source.close();
}

/** Keeps a stream open while mounted and `url` is not null. */
export function useStream(url: string | null, handlers: StreamHandlers): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    if (!url) return;
    const names = Object.keys(latest.current);
    const relay: StreamHandlers = {};
    for (const name of names) relay[name] = (data, id) => latest.current[name]?.(data, id);
    return openStream(url, relay);
  }, [url]);
}
