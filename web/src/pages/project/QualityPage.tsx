/** Size and complexity of the code. */
import { SegmentedControl, Table, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconChartDots3, IconSearch } from "@tabler/icons-react";
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type FunctionSort, flat, queries } from "@/api/queries";
import { Link } from "@/app/location";
import { paths } from "@/app/paths";
import { useProject } from "@/app/project";
import { Empty, Figure, Loaded, More, PageHead, Panel, useTitle } from "@/ui/bits";
import { languageColor, number, percent, short } from "@/ui/format";
import { Meter } from "@/ui/Spark";
import { TimeAgo } from "@/ui/TimeAgo";

const tone = (value: number, fine: number, bad: number) =>
  value > bad ? "bad" : value > fine ? "wait" : "ok";

function Functions() {
  const project = useProject();
  const [sort, setSort] = useState<FunctionSort>("cyclomatic");
  const [text, setText] = useState("");
  const [path] = useDebouncedValue(text.trim(), 250);
  const query = useInfiniteQuery({
    ...queries.functions(project.id, sort, path),
    placeholderData: keepPreviousData,
  });
  return (
    <Panel
      title="Functions"
      flush
      actions={
        <>
          <TextInput
            size="xs"
            aria-label="Only in path"
            placeholder="Path"
            leftSection={<IconSearch size={13} />}
            value={text}
            onChange={(e) => setText(e.currentTarget.value)}
          />
          <SegmentedControl
            size="xs"
            aria-label="Order"
            value={sort}
            onChange={(value) => setSort(value as FunctionSort)}
            data={[
              { value: "cyclomatic", label: "Paths" },
              { value: "cognitive", label: "Cognitive" },
              { value: "lines", label: "Lines" },
            ]}
          />
        </>
      }
    >
      <Loaded query={query}>
        {(data) => (
          <div className="dm-table-wrap">
            <Table highlightOnHover>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Function</Table.Th>
                  <Table.Th ta="right" title="Independent paths through the function">
                    Cyclomatic
                  </Table.Th>
                  <Table.Th ta="right" title="How hard it is to follow">
                    Cognitive
                  </Table.Th>
                  <Table.Th ta="right">Lines</Table.Th>
                  <Table.Th ta="right">Parameters</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {flat(data).map((f) => (
                  <Table.Tr key={`${f.path}:${f.line}:${f.name}`}>
                    <Table.Td>
                      <Link
                        href={`${paths.blob(project.path, project.default_branch, f.path)}#L${f.line}-L${f.end_line}`}
                        className="dm-mono"
                      >
                        {f.name || "(anonymous)"}
                      </Link>
                      <div className="dm-dim" style={{ fontSize: 12 }}>
                        {f.path}:{f.line}
                      </div>
                    </Table.Td>
                    <Table.Td ta="right" className={`dm-num dm-text-${tone(f.cyclomatic, 10, 20)}`}>
                      {f.cyclomatic}
                    </Table.Td>
                    <Table.Td ta="right" className={`dm-num dm-text-${tone(f.cognitive, 15, 30)}`}>
                      {f.cognitive}
                    </Table.Td>
                    <Table.Td ta="right" className="dm-num">
                      {f.lines}
                    </Table.Td>
                    <Table.Td ta="right" className="dm-num">
                      {f.params}
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </div>
        )}
      </Loaded>
      <More query={query} />
    </Panel>
  );
}

export default function QualityPage() {
  const project = useProject();
  useTitle("Quality", project.path);
  const query = useQuery(queries.quality(project.id));
  const languages = useQuery(queries.languages(project.id)).data?.items ?? [];
  const total = languages.reduce((n, l) => n + l.code, 0) || 1;
  return (
    <Loaded query={query}>
      {(q) =>
        !q || q.files === 0 ? (
          <>
            <PageHead title="Quality" />
            <div className="dm-panel">
              <Empty icon={IconChartDots3} title="Not analysed yet">
                Each push is analysed: lines by language and the complexity of every function.
              </Empty>
            </div>
          </>
        ) : (
          <>
            <PageHead
              title="Quality"
              about={
                <>
                  At <span className="dm-mono">{short(q.commit)}</span>, analysed{" "}
                  <TimeAgo at={q.analyzed_at} />
                </>
              }
            />
            <div className="dm-gap">
              <Panel label="Totals">
                <div className="dm-figures">
                  <Figure value={number(q.files)} label="files" />
                  <Figure value={number(q.code)} label="lines of code" />
                  <Figure value={percent(q.comment_ratio)} label="comments" />
                  <Figure value={number(q.functions)} label="functions" />
                  <Figure
                    value={q.functions ? (q.cyclomatic_total / q.functions).toFixed(1) : "–"}
                    label="paths per function"
                  />
                  <Figure value={q.cyclomatic_max} label="most paths" tone={tone(q.cyclomatic_max, 10, 20)} />
                  <Figure
                    value={q.cognitive_max}
                    label="hardest to follow"
                    tone={tone(q.cognitive_max, 15, 30)}
                  />
                </div>
              </Panel>
              {languages.length > 0 ? (
                <Panel title="Languages" flush>
                  <div className="dm-table-wrap">
                    <Table>
                      <Table.Thead>
                        <Table.Tr>
                          <Table.Th>Language</Table.Th>
                          <Table.Th ta="right">Files</Table.Th>
                          <Table.Th ta="right">Code</Table.Th>
                          <Table.Th ta="right">Comments</Table.Th>
                          <Table.Th ta="right">Blank</Table.Th>
                          <Table.Th w="22%" aria-label="Share" />
                        </Table.Tr>
                      </Table.Thead>
                      <Table.Tbody>
                        {languages.map((l) => (
                          <Table.Tr key={l.name}>
                            <Table.Td>
                              <i
                                className="dm-lang-dot"
                                style={{ background: languageColor(l.name), marginRight: 8 }}
                              />
                              {l.name}
                            </Table.Td>
                            <Table.Td ta="right" className="dm-num">
                              {number(l.files)}
                            </Table.Td>
                            <Table.Td ta="right" className="dm-num">
                              {number(l.code)}
                            </Table.Td>
                            <Table.Td ta="right" className="dm-num">
                              {number(l.comments)}
                            </Table.Td>
                            <Table.Td ta="right" className="dm-num">
                              {number(l.blanks)}
                            </Table.Td>
                            <Table.Td>
                              <Meter share={l.code / total} />
                            </Table.Td>
                          </Table.Tr>
                        ))}
                      </Table.Tbody>
                    </Table>
                  </div>
                </Panel>
              ) : null}
              <Functions />
            </div>
          </>
        )
      }
    </Loaded>
  );
}
