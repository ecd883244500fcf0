/** Code search over every project that the person may read. */
import { Button, TextInput } from "@mantine/core";
import { IconCode, IconSearch } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { flat, queries } from "@/api/queries";
import { useParam } from "@/app/location";
import { Main } from "@/app/Shell";
import { Empty, Loaded, More, PageHead, useTitle } from "@/ui/bits";
import { Hit } from "@/ui/Hit";

export default function SearchAll() {
  const [q, setQ] = useParam("q");
  useTitle(q && `“${q}”`, "Search");
  const [text, setText] = useState(q);
  const query = useInfiniteQuery({ ...queries.searchAll(q), enabled: q !== "" });
  return (
    <Main>
      <PageHead title="Search code" />
      <form
        className="dm-filters"
        onSubmit={(event) => {
          event.preventDefault();
          setQ(text);
        }}
      >
        <TextInput
          className="dm-grow"
          autoFocus
          aria-label="Words to find"
          leftSection={<IconSearch size={15} />}
          value={text}
          onChange={(e) => setText(e.currentTarget.value)}
        />
        <Button type="submit">Search</Button>
      </form>
      {q === "" ? (
        <Empty icon={IconCode} title="Find any text in any project">
          Only projects that you may read are searched.
        </Empty>
      ) : (
        <Loaded query={query}>
          {(data) => {
            const hits = flat(data);
            return hits.length === 0 ? (
              <Empty icon={IconSearch} title="Nothing found" />
            ) : (
              <div className="dm-gap">
                {hits.map((hit) => (
                  <Hit
                    key={(hit.project?.id ?? "") + hit.path}
                    hit={hit}
                    project={hit.project?.path ?? ""}
                    gitRef="HEAD"
                    withProject
                  />
                ))}
              </div>
            );
          }}
        </Loaded>
      )}
      <More query={query} />
    </Main>
  );
}
