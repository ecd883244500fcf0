/** The tabs of a page. On a phone they are a strip that scrolls, and the present one is in sight. */
import { Tabs } from "@mantine/core";
import { type ReactNode, useEffect, useRef } from "react";

export function TabStrip({ value, children }: { value: string; children: ReactNode }) {
  const strip = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the value moves the mark
  useEffect(() => {
    const mark = strip.current?.querySelector<HTMLElement>('[aria-selected="true"]');
    if (strip.current && mark)
      strip.current.scrollLeft = mark.offsetLeft - strip.current.clientWidth / 2 + mark.offsetWidth / 2;
  }, [value]);
  return (
    <Tabs.List mb="md" ref={strip}>
      {children}
    </Tabs.List>
  );
}
