/** The list of projects, with search, filters and order in the address. */
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconFolders, IconPlus, IconSearch, IconX } from "@tabler/icons-react";
import { keepPreviousData, useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { post } from "@/api/client";
import { queries } from "@/api/queries";
import type { Project } from "@/api/types";
import { Link, useParam } from "@/app/location";
import { paths } from "@/app/paths";
import { Main } from "@/app/Shell";
import { useUser } from "@/app/session";
import { toast, toastError } from "@/app/toast";
import { Empty, PageHead, useTitle } from "@/ui/bits";
import { ProjectList } from "@/ui/ProjectList";

const LANGUAGES = ["Rust", "TypeScript", "JavaScript", "Python", "Go", "Java", "HTML", "Shell"];
const SORTS = [
  { value: "activity", label: "Last activity" },
  { value: "name", label: "Name" },
  { value: "created", label: "Newest" },
];

export default function Home() {
  useTitle("Projects");
  const user = useUser();
  const [q, setQ] = useParam("q");
  const [topic, setTopic] = useParam("topic");
  const [language, setLanguage] = useParam("language");
  const [visibility, setVisibility] = useParam("visibility");
  const [sort, setSort] = useParam("sort", "activity");
  const [whose, setWhose] = useParam("whose", "all");
  const [text, setText] = useState(q);
  const [debounced] = useDebouncedValue(text, 250);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only typing moves the address
  useEffect(() => {
    if (debounced !== q) setQ(debounced);
  }, [debounced]);
  const query = useInfiniteQuery({
    ...queries.projects({
      q,
      topic,
      language,
      visibility,
      sort,
      order: sort === "name" ? "asc" : "desc",
      member: whose === "mine" ? (user?.name ?? "") : "",
      archived: whose === "archived" ? true : undefined,
      deleted: whose === "deleted" ? true : undefined,
    }),
    placeholderData: keepPreviousData,
  });
  const client = useQueryClient();
  const restore = useMutation({
    mutationFn: (p: Project) => post("/projects/{id}/restore", undefined, { path: { id: p.id } }),
    onSuccess: (_, p) => toast("ok", `${p.path} is back`),
    onError: (error) => toastError("The project was not restored", error),
    onSettled: () => client.invalidateQueries({ queryKey: ["projects"] }),
  });
  const filtered = !!(q || topic || language || visibility || whose !== "all");
  return (
    <Main>
      <PageHead title="Projects">
        {user ? (
          <Button component={Link} href={paths.create()} leftSection={<IconPlus size={16} />}>
            New project
          </Button>
        ) : null}
      </PageHead>
      <search className="dm-filters">
        <TextInput
          className="dm-grow"
          aria-label="Search projects"
          placeholder="Search by name or description"
          leftSection={<IconSearch size={15} />}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        {user ? (
          <NativeSelect
            aria-label="Whose projects"
            value={whose}
            onChange={(event) => setWhose(event.currentTarget.value)}
            data={[
              { value: "all", label: "All projects" },
              { value: "mine", label: "My projects" },
              { value: "archived", label: "Archived" },
              { value: "deleted", label: "Deleted" },
            ]}
          />
        ) : null}
        <NativeSelect
          aria-label="Visibility"
          value={visibility}
          onChange={(event) => setVisibility(event.currentTarget.value)}
          data={[
            { value: "", label: "Any visibility" },
            { value: "public", label: "Public" },
            { value: "internal", label: "Internal" },
            { value: "private", label: "Private" },
          ]}
        />
        <NativeSelect
          aria-label="Language"
          value={language}
          onChange={(event) => setLanguage(event.currentTarget.value)}
          data={[
            { value: "", label: "Any language" },
            ...[...new Set([...LANGUAGES, ...(language ? [language] : [])])].map((value) => ({
              value,
              label: value,
            })),
          ]}
        />
        <NativeSelect
          aria-label="Order"
          value={sort}
          onChange={(event) => setSort(event.currentTarget.value)}
          data={SORTS}
        />
      </search>
      {topic ? (
        <div style={{ marginBottom: 12 }}>
          <Button
            size="compact-sm"
            variant="light"
            rightSection={<IconX size={13} />}
            onClick={() => setTopic("")}
          >
            Topic: {topic}
          </Button>
        </div>
      ) : null}
      <ProjectList
        query={query}
        action={
          whose === "deleted"
            ? (p) => (
                <Button
                  size="xs"
                  variant="default"
                  loading={restore.isPending && restore.variables === p}
                  onClick={() => restore.mutate(p)}
                >
                  Restore
                </Button>
              )
            : undefined
        }
        empty={
          <Empty
            icon={IconFolders}
            title={filtered ? "No project matches" : "No projects yet"}
            action={
              filtered ? (
                <Button component={Link} href="/" variant="default" onClick={() => setText("")}>
                  Show all projects
                </Button>
              ) : user ? (
                <Button component={Link} href={paths.create()}>
                  Create the first one
                </Button>
              ) : null
            }
          >
            {filtered
              ? "Try other words or fewer filters."
              : "Start from a template: the code, tests, pipeline and container come with it."}
          </Empty>
        }
      />
    </Main>
  );
}
