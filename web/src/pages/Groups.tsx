/** Groups that the person may see, and a form for a new one. */
import { Button, Modal, Select, Stack, Textarea, TextInput } from "@mantine/core";
import { IconPlus, IconUsersGroup } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { fieldErrors, post } from "@/api/client";
import { flat, queries } from "@/api/queries";
import type { Visibility } from "@/api/types";
import { useActions } from "@/app/actions";
import { Link, useGo, usePlace } from "@/app/location";
import { paths } from "@/app/paths";
import { Main } from "@/app/Shell";
import { useUser } from "@/app/session";
import { Empty, FormError, Loaded, More, PageHead, ProjectMark, useTitle } from "@/ui/bits";
import { VisibilityMark } from "@/ui/ProjectList";

function NewGroup({ parent, onClose }: { parent: string; onClose: () => void }) {
  const go = useGo();
  const client = useQueryClient();
  const [path, setPath] = useState(parent ? `${parent}/` : "");
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [visibility, setVisibility] = useState<Visibility>("private");
  const create = useMutation({
    mutationFn: () =>
      post("/groups", {
        path,
        display_name: name || undefined,
        description: description || undefined,
        visibility,
      }),
    onSuccess: (group) => {
      void client.invalidateQueries({ queryKey: ["groups"] });
      void client.invalidateQueries({ queryKey: ["namespaces"] });
      go(paths.project(group.path));
    },
  });
  const fields = fieldErrors(create.error);
  return (
    <Modal opened onClose={onClose} title="New group">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput
            data-autofocus
            label="Path"
            description="In the address of every project in it. A slash makes a subgroup: acme/tools"
            required
            value={path}
            error={fields.path}
            onChange={(e) => setPath(e.currentTarget.value)}
          />
          <TextInput
            label="Display name"
            value={name}
            error={fields.display_name}
            onChange={(e) => setName(e.currentTarget.value)}
          />
          <Textarea
            label="Description"
            autosize
            minRows={2}
            value={description}
            error={fields.description}
            onChange={(e) => setDescription(e.currentTarget.value)}
          />
          <Select
            label="Visibility"
            value={visibility}
            allowDeselect={false}
            data={["private", "internal", "public"]}
            onChange={(v) => setVisibility(v ?? "private")}
          />
          <FormError error={create.error} known={["path", "display_name", "description"]} />
          <Button type="submit" loading={create.isPending}>
            Create group
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}

export default function Groups() {
  useTitle("Groups");
  const user = useUser();
  const place = usePlace();
  const parent = place.search.get("parent") ?? "";
  const groups = useInfiniteQuery(queries.groups());
  const [creating, setCreating] = useState(parent !== "");
  useActions([
    {
      id: "new-group",
      name: "New group",
      group: "Create",
      icon: IconUsersGroup,
      shortcut: "c g",
      visible: () => !!user,
      perform: () => setCreating(true),
    },
  ]);
  return (
    <Main narrow>
      <PageHead
        title="Groups"
        about="Groups hold projects and share members with them and with their subgroups."
      >
        {user ? (
          <Button leftSection={<IconPlus size={16} />} onClick={() => setCreating(true)}>
            New group
          </Button>
        ) : null}
      </PageHead>
      <div className="dm-panel">
        <Loaded query={groups}>
          {(data) => {
            const items = flat(data);
            return items.length === 0 ? (
              <Empty icon={IconUsersGroup} title="No groups yet">
                Projects can also live under your own name.
              </Empty>
            ) : (
              <ul className="dm-list">
                {items.map((g) => (
                  <li key={g.id} className="dm-hover">
                    <ProjectMark name={g.path} size={32} />
                    <div className="dm-grow">
                      <Link href={paths.project(g.path)} className="dm-title-link">
                        {g.display_name || g.path}
                      </Link>
                      <div className="dm-meta">
                        <span className="dm-mono">{g.path}</span>
                        <VisibilityMark visibility={g.visibility} />
                        {g.description ? <span className="dm-ellipsis">{g.description}</span> : null}
                      </div>
                    </div>
                  </li>
                ))}
              </ul>
            );
          }}
        </Loaded>
        <More query={groups} />
      </div>
      {creating ? <NewGroup parent={parent} onClose={() => setCreating(false)} /> : null}
    </Main>
  );
}
