import { Button, Group as Row, Select, Stack, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { del, fieldErrors, patch } from "@/api/client";
import { queries } from "@/api/queries";
import type { Group, Visibility } from "@/api/types";
import { useGo } from "@/app/location";
import { paths } from "@/app/paths";
import { toast } from "@/app/toast";
import { FormError, Panel } from "@/ui/bits";
import { Confirm } from "@/ui/Confirm";

export function GroupSettings({ group }: { group: Group }) {
  const client = useQueryClient();
  const go = useGo();
  const [name, setName] = useState(group.display_name ?? "");
  const [description, setDescription] = useState(group.description ?? "");
  const [visibility, setVisibility] = useState<Visibility>(group.visibility);
  const [asking, setAsking] = useState(false);
  const save = useMutation({
    mutationFn: () =>
      patch(
        "/groups/{id}",
        { display_name: name, description, visibility },
        { path: { id: group.id }, version: group.version },
      ),
    onSuccess: (data) => {
      client.setQueryData(queries.group(group.path).queryKey, data);
      toast("ok", "Group saved");
    },
  });
  const remove = useMutation({
    mutationFn: () => del("/groups/{id}", { path: { id: group.id } }),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["groups"] });
      go(paths.groups());
    },
  });
  const fields = fieldErrors(save.error);
  return (
    <div className="dm-gap">
      <Panel title="General">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            save.mutate();
          }}
        >
          <Stack gap="sm" maw={520}>
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
              onChange={(v) => setVisibility((v ?? "private") as Visibility)}
            />
            <FormError error={save.error} known={["display_name", "description"]} />
            <Row>
              <Button type="submit" loading={save.isPending}>
                Save
              </Button>
            </Row>
          </Stack>
        </form>
      </Panel>
      <Panel title="Delete this group" className="dm-danger">
        <Row justify="space-between">
          <span className="dm-dim">Only an empty group can be deleted.</span>
          <Button variant="outline" color="red" onClick={() => setAsking(true)}>
            Delete group
          </Button>
        </Row>
      </Panel>
      <Confirm
        opened={asking}
        onClose={() => setAsking(false)}
        title="Delete this group?"
        verb="Delete group"
        danger
        type={group.path}
        busy={remove.isPending}
        error={remove.error}
        onConfirm={() => remove.mutate()}
      >
        The group <strong>{group.path}</strong> and its memberships will be gone.
      </Confirm>
    </div>
  );
}
