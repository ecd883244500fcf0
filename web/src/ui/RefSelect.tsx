/** Chooses a branch or a tag, with search on the server when there are many. */
import { Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconGitBranch } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { queries } from "@/api/queries";
import { useProject } from "@/app/project";
import { refName, short } from "./format";

export function RefSelect({
  value,
  onChange,
  width = 220,
  full,
  placeholder,
}: {
  /** Short name, or a tag's full one where `full`; empty for none where there is a placeholder. */
  value: string;
  onChange: (ref: string) => void;
  width?: number;
  /** Tags go by their full names, so that they are not taken for branches. */
  full?: boolean;
  /** Makes the choice optional. */
  placeholder?: string;
}) {
  const project = useProject();
  const [text, setText] = useState("");
  const [typed] = useDebouncedValue(text === value ? "" : text, 200);
  const refs = useQuery({ ...queries.refs(project.id, typed), placeholderData: keepPreviousData }).data;
  const branches = refs?.branches.map((b) => b.name) ?? [];
  const tags = (refs?.tags.map((t) => t.name) ?? []).filter((t) => !branches.includes(t));
  const prefix = full ? "refs/tags/" : "";
  const known = branches.includes(value) || tags.some((t) => prefix + t === value);
  const other =
    known || !value
      ? []
      : [{ value, label: /^[0-9a-f]{40,64}$/.test(value) ? short(value) : refName(value) }];
  return (
    <Select
      w={width}
      aria-label="Branch or tag"
      leftSection={<IconGitBranch size={15} />}
      searchable
      allowDeselect={false}
      clearable={placeholder !== undefined}
      placeholder={placeholder}
      value={value || null}
      onChange={(next) => (next || placeholder !== undefined) && onChange(next ?? "")}
      searchValue={text}
      onSearchChange={setText}
      nothingFoundMessage="No such branch or tag"
      maxDropdownHeight={320}
      data={[
        ...(branches.length > 0 ? [{ group: "Branches", items: branches }] : []),
        ...(tags.length > 0
          ? [{ group: "Tags", items: tags.map((t) => ({ value: prefix + t, label: t })) }]
          : []),
        ...(other.length > 0 ? [{ group: "Now", items: other }] : []),
      ]}
    />
  );
}
