/** Chooses a branch or a tag, with search on the server when there are many. */
import { Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconGitBranch } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { queries } from "@/api/queries";
import { useProject } from "@/app/project";
import { short } from "./format";

export function RefSelect({
  value,
  onChange,
  width = 220,
}: {
  value: string;
  onChange: (ref: string) => void;
  width?: number;
}) {
  const project = useProject();
  const [text, setText] = useState("");
  const [typed] = useDebouncedValue(text === value ? "" : text, 200);
  const refs = useQuery({ ...queries.refs(project.id, typed), placeholderData: keepPreviousData }).data;
  const branches = refs?.branches.map((b) => b.name) ?? [];
  const tags = (refs?.tags.map((t) => t.name) ?? []).filter((t) => !branches.includes(t));
  const known = branches.includes(value) || tags.includes(value);
  const other =
    known || !value ? [] : [{ value, label: /^[0-9a-f]{40,64}$/.test(value) ? short(value) : value }];
  return (
    <Select
      w={width}
      aria-label="Branch or tag"
      leftSection={<IconGitBranch size={15} />}
      searchable
      allowDeselect={false}
      value={value}
      onChange={(next) => next && onChange(next)}
      searchValue={text}
      onSearchChange={setText}
      nothingFoundMessage="No such branch or tag"
      maxDropdownHeight={320}
      data={[
        ...(branches.length > 0 ? [{ group: "Branches", items: branches }] : []),
        ...(tags.length > 0 ? [{ group: "Tags", items: tags }] : []),
        ...(other.length > 0 ? [{ group: "Now", items: other }] : []),
      ]}
    />
  );
}
