/** What the project depends on, as its lock files say. */
import { SegmentedControl, Table, TextInput } from "@mantine/core";
import { IconPackage, IconSearch } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { flat, queries } from "@/api/queries";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { Empty, Loaded, More, PageHead, useTitle } from "@/ui/bits";
import { plural } from "@/ui/format";

export default function Dependencies() {
  const project = useProject();
  useTitle("Dependencies", project.path);
  const query = useInfiniteQuery(queries.dependencies(project.id));
  const [text, setText] = useState("");
  const [which, setWhich] = useState("all");
  const needle = text.trim().toLowerCase();
  const items = flat(query.data);
  const shown = items.filter(
    (d) => (which === "all" || d.direct) && (needle === "" || d.name.toLowerCase().includes(needle)),
  );
  // The filter works on what is here, so a filtered list wants all of it.
  const wantsAll = needle !== "" || which !== "all";
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  useEffect(() => {
    if (wantsAll && hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [wantsAll, hasNextPage, isFetchingNextPage, fetchNextPage]);
  return (
    <>
      <PageHead
        title="Dependencies"
        about={
          query.data && items.length > 0
            ? `${plural(items.length, "package")}${query.hasNextPage ? " and more" : ""}, ${items.filter((d) => d.direct).length} of them direct`
            : undefined
        }
      />
      <div className="dm-filters" hidden={query.isSuccess && items.length === 0}>
        <TextInput
          className="dm-grow"
          aria-label="Find a package"
          placeholder="Find a package"
          leftSection={<IconSearch size={15} />}
          value={text}
          onChange={(e) => setText(e.currentTarget.value)}
        />
        <SegmentedControl
          aria-label="Show"
          value={which}
          onChange={setWhich}
          data={[
            { value: "all", label: "All" },
            { value: "direct", label: "Direct" },
          ]}
        />
      </div>
      <div className="dm-panel">
        <Loaded query={query}>
          {() =>
            shown.length === 0 ? (
              <Empty
                icon={IconPackage}
                title={items.length === 0 ? "No dependencies found" : "No package matches"}
              >
                {items.length === 0 ? "Manifests and lock files are read on each push." : null}
              </Empty>
            ) : (
              <div className="dm-table-wrap">
                <Table highlightOnHover>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th>Package</Table.Th>
                      <Table.Th>Version</Table.Th>
                      <Table.Th className="dm-hide-phone">Ecosystem</Table.Th>
                      <Table.Th>Use</Table.Th>
                      <Table.Th className="dm-hide-phone">From</Table.Th>
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {shown.map((d, i) => (
                      <Table.Tr key={`${d.ecosystem}${d.name}${d.version}${d.path}${i}`}>
                        <Table.Td fw={d.direct ? 600 : undefined}>{d.name}</Table.Td>
                        <Table.Td className="dm-mono">{d.version ?? "–"}</Table.Td>
                        <Table.Td className="dm-hide-phone">{d.ecosystem}</Table.Td>
                        <Table.Td className="dm-dim">
                          {d.direct ? "direct" : "transitive"}
                          {d.scope && d.scope !== "runtime" ? `, ${d.scope}` : ""}
                        </Table.Td>
                        <Table.Td className="dm-hide-phone">
                          <Link
                            href={paths.blob(project.path, project.default_branch, d.path)}
                            className="dm-mono dm-dim"
                          >
                            {d.path}
                          </Link>
                        </Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </div>
            )
          }
        </Loaded>
        <More query={query} />
      </div>
    </>
  );
}
