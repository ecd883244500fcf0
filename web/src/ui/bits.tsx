/** Small pieces every page is made of. */
import { Button, Group, Loader, Skeleton, Stack, Text, Title } from "@mantine/core";
import { type Icon, IconAlertTriangle } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useRef } from "react";
import { messageOf, Problem } from "@/api/client";
import { Link } from "@/app/location";

export function useTitle(...parts: (string | null | undefined | false)[]): void {
  const text = [...parts.filter(Boolean), "DevMentor"].join(" · ");
  useEffect(() => {
    document.title = text;
  }, [text]);
}

/** Head of a page: title, a line about it, and its actions at the right. */
export function PageHead({
  title,
  about,
  children,
}: {
  title: ReactNode;
  about?: ReactNode;
  children?: ReactNode;
}) {
  return (
    <div className="dm-page-head">
      <div className="dm-grow">
        <Title order={1}>{title}</Title>
        {about ? (
          <Text c="dimmed" size="sm" mt={2} component="div">
            {about}
          </Text>
        ) : null}
      </div>
      {children ? (
        <Group gap="xs" className="dm-page-actions">
          {children}
        </Group>
      ) : null}
    </div>
  );
}

/** A titled surface. */
export function Panel(props: {
  title?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  flush?: boolean;
  label?: string;
  className?: string;
}) {
  return (
    <section
      className={`dm-panel ${props.className ?? ""}`}
      aria-label={props.label ?? (typeof props.title === "string" ? props.title : undefined)}
    >
      {props.title || props.actions ? (
        <header className="dm-panel-head">
          <h2>{props.title}</h2>
          {props.actions ? <div className="dm-panel-actions">{props.actions}</div> : null}
        </header>
      ) : null}
      <div className={props.flush ? undefined : "dm-panel-body"}>{props.children}</div>
    </section>
  );
}

export function Empty(props: {
  icon: Icon;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  small?: boolean;
}) {
  const Glyph = props.icon;
  return (
    <div className={`dm-empty ${props.small ? "dm-empty-small" : ""}`}>
      <Glyph size={props.small ? 22 : 32} stroke={1.4} aria-hidden />
      <Text fw={600}>{props.title}</Text>
      {props.children ? (
        <Text c="dimmed" size="sm" maw={460} component="div">
          {props.children}
        </Text>
      ) : null}
      {props.action ? <div className="dm-empty-action">{props.action}</div> : null}
    </div>
  );
}

/** A problem document in the place of what could not be shown. */
export function ProblemView({ error, retry }: { error: unknown; retry?: () => void }) {
  const client = useQueryClient();
  const problem = error instanceof Problem ? error : null;
  return (
    <div className="dm-problem" role="alert">
      <IconAlertTriangle size={18} aria-hidden />
      <div className="dm-grow">
        <Text fw={600} size="sm">
          {problem?.title ?? "This part could not be shown"}
        </Text>
        {problem?.title !== messageOf(error) ? <Text size="sm">{messageOf(error)}</Text> : null}
        {problem?.errors.map((e) => (
          <Text size="sm" key={e.field + e.code}>
            <code>{e.field}</code>: {e.message}
          </Text>
        ))}
        {problem?.requestId && problem.status >= 500 ? (
          <Text size="xs" c="dimmed" mt={2}>
            Request {problem.requestId}
          </Text>
        ) : null}
      </div>
      <Button
        size="xs"
        variant="default"
        onClick={() => (retry ? retry() : void client.refetchQueries({ type: "active" }))}
      >
        Try again
      </Button>
    </div>
  );
}

/** Field-less errors of a form, above its button. */
export function FormError({ error, known = [] }: { error: unknown; known?: string[] }) {
  if (!error) return null;
  const rest = error instanceof Problem ? error.errors.filter((e) => !known.includes(e.field)) : [];
  const shown = error instanceof Problem && error.errors.length > 0 && rest.length === 0;
  return (
    <div className="dm-form-error" role="alert">
      {shown ? "Please correct the fields marked above." : messageOf(error)}
      {rest.map((e) => (
        <div key={e.field + e.code}>
          {e.field}: {e.message}
        </div>
      ))}
    </div>
  );
}

export function Rows({ n = 5, height = 18 }: { n?: number; height?: number }) {
  return (
    <Stack gap={12} p="md" aria-busy="true" aria-label="Loading">
      {Array.from({ length: n }, (_, i) => (
        <Skeleton key={i} height={height} width={`${[92, 70, 84, 60, 78][i % 5]}%`} radius="sm" />
      ))}
    </Stack>
  );
}

/** What a query shows: rows while loading, the problem, or its data. */
export function Loaded<D>(props: {
  query: { data: D | undefined; error: unknown; isPending: boolean; refetch: () => unknown };
  rows?: number;
  children: (data: D) => ReactNode;
}) {
  const { query } = props;
  if (query.data !== undefined) return props.children(query.data);
  if (query.error) return <ProblemView error={query.error} retry={() => void query.refetch()} />;
  return <Rows n={props.rows ?? 5} />;
}

/** Loads the next page when it comes into view. */
export function More({
  query,
}: {
  query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown };
}) {
  const ref = useRef<HTMLDivElement>(null);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  useEffect(() => {
    const node = ref.current;
    if (!node || !hasNextPage || isFetchingNextPage) return;
    const watch = new IntersectionObserver(
      (entries) => {
        if (entries.some((e) => e.isIntersecting)) void fetchNextPage();
      },
      { rootMargin: "400px" },
    );
    watch.observe(node);
    return () => watch.disconnect();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  if (!hasNextPage) return null;
  return (
    <div ref={ref} className="dm-more">
      {isFetchingNextPage ? (
        <Loader size="xs" type="dots" aria-label="Loading more" />
      ) : (
        <Button variant="subtle" color="gray" size="xs" onClick={() => void fetchNextPage()}>
          Show more
        </Button>
      )}
    </div>
  );
}

/** A sentence of the server in which names stand between backticks. */
export const ticks = (text: string): ReactNode =>
  text.split("`").map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : part));

/** A round initial; colour from the name. */
export function Avatar({ name, size = 22 }: { name: string; size?: number }) {
  let hash = 7;
  for (const ch of name) hash = (hash * 31 + (ch.codePointAt(0) ?? 0)) % 360;
  return (
    <span
      className="dm-avatar"
      aria-hidden
      style={{ width: size, height: size, fontSize: size * 0.45, background: `hsl(${hash} 42% 46%)` }}
    >
      {[...name][0]?.toUpperCase() ?? "?"}
    </span>
  );
}

/** A project's own mark: a rounded square with the first letters of its name. */
export function ProjectMark({ name, size = 32 }: { name: string; size?: number }) {
  let hash = 11;
  for (const ch of name) hash = (hash * 33 + (ch.codePointAt(0) ?? 0)) % 360;
  return (
    <span
      className="dm-mark"
      aria-hidden
      style={{
        width: size,
        height: size,
        fontSize: size * 0.42,
        background: `hsl(${hash} 55% 50% / 0.16)`,
        color: `light-dark(hsl(${hash} 50% 36%), hsl(${hash} 60% 74%))`,
      }}
    >
      {[...name][0]?.toUpperCase()}
    </span>
  );
}

export function Dot() {
  return (
    <span className="dm-dim" aria-hidden>
      ·
    </span>
  );
}

export function Topic({ name }: { name: string }) {
  return (
    <Link href={`/?topic=${encodeURIComponent(name)}`} className="dm-topic">
      {name}
    </Link>
  );
}

/** A number with its meaning under it. */
export function Figure({ value, label, tone }: { value: ReactNode; label: string; tone?: string }) {
  return (
    <div className="dm-figure">
      <div className={`dm-figure-value ${tone ? `dm-text-${tone}` : ""}`}>{value}</div>
      <div className="dm-figure-label">{label}</div>
    </div>
  );
}
