/** Text search in the files of a project. */
import { Button, Checkbox, TextInput } from "@mantine/core";
import { IconCode, IconSearch } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { flat, queries } from "@/api/queries";
import { useParam } from "@/app/location";
import { useProject } from "@/app/project";
import { Empty, Loaded, More, PageHead, useTitle } from "@/ui/bits";
import { Hit } from "@/ui/Hit";

export default function Search() {
  const project = useProject();
  const [q, setQ] = useParam("q");
  const [regex, setRegex] = useParam("regex");
  const [exact, setExact] = useParam("case");
  useTitle(q && `“${q}”`, "Search", project.path);
  const [text, setText] = useState(q);
  const query = useInfiniteQuery({
    ...queries.search(project.id, { q, regex: regex === "true", case: exact === "true" }),
    enabled: q !== "",
  });
  return (
    <>
      <PageHead title="Search" about={`In the files of ${project.default_branch}`} />
      <form
        className="dm-filters"
        style={{ alignItems: "center" }}
        onSubmit={(event) => {
          event.preventDefault();
          setQ(text);
        }}
      >
        <TextInput
          className="dm-grow"
          autoFocus
          aria-label="Text to find"
          placeholder="Text to find"
          leftSection={<IconSearch size={15} />}
          value={text}
          onChange={(e) => setText(e.currentTarget.value)}
        />
        <Checkbox
          label="Match case"
          checked={exact === "true"}
          onChange={(e) => setExact(e.currentTarget.checked ? "true" : "")}
        />
        <Checkbox
          label="Regular expression"
          checked={regex === "true"}
          onChange={(e) => setRegex(e.currentTarget.checked ? "true" : "")}
        />
        <Button type="submit">Search</Button>
      </form>
      {q === "" ? (
        <Empty icon={IconCode} title="Find any text in this project" />
      ) : (
        <Loaded query={query}>
          {(data) => {
            const hits = flat(data);
            return hits.length === 0 ? (
              <Empty icon={IconSearch} title={`Nothing found for “${q}”`} />
            ) : (
              <div className="dm-gap">
                {hits.map((hit) => (
                  <Hit key={hit.path} hit={hit} project={project.path} gitRef={project.default_branch} />
                ))}
              </div>
            );
          }}
        </Loaded>
      )}
      <More query={query} />
    </>
  );
}
