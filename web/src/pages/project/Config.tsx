/** Secrets and variables that jobs and deployments get. */
import { ActionIcon, Button, PasswordInput, TextInput, Tooltip } from "@mantine/core";
import { IconKey, IconPencil, IconTrash, IconVariable } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { del, fieldErrors, put } from "@/api/client";
import { queries } from "@/api/queries";
import type { Page, Secret, Variable } from "@/api/types";
import { useOptimistic } from "@/app/optimistic";
import { useProject } from "@/app/project";
import { Empty, FormError, Loaded, Panel } from "@/ui/bits";
import { Confirm } from "@/ui/Confirm";
import { TimeAgo } from "@/ui/TimeAgo";

type Entry = Secret & Partial<Variable>;

/** Names as the environment of a job wants them. */
const clean = (text: string) =>
  text
    .toUpperCase()
    .replace(/[\s-]+/g, "_")
    .replace(/[^A-Z0-9_]/g, "");

function Entries({ kind }: { kind: "secrets" | "variables" }) {
  const project = useProject();
  const one = kind === "secrets" ? "secret" : "variable";
  const options = kind === "secrets" ? queries.secrets(project.id) : queries.variables(project.id);
  const query = useQuery<Page<Entry>>(options as never);
  const address = kind === "secrets" ? "/projects/{id}/secrets/{name}" : "/projects/{id}/variables/{name}";
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [gone, setGone] = useState<Entry | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const save = useOptimistic<Page<Entry>, { name: string; value: string }>({
    key: options.queryKey,
    failed: `The ${one} was not saved`,
    quiet: true,
    run: (vars) => put(address, { value: vars.value }, { path: { id: project.id, name: vars.name } }),
    apply: (old, vars) => {
      const entry: Entry = {
        name: vars.name,
        protected: old.items.find((e) => e.name === vars.name)?.protected ?? false,
        updated_at: new Date().toISOString(),
        ...(kind === "variables" ? { value: vars.value } : {}),
      };
      return {
        ...old,
        items: [...old.items.filter((e) => e.name !== vars.name), entry].sort((a, b) =>
          a.name < b.name ? -1 : 1,
        ),
      };
    },
    onDone: () => {
      setName("");
      setValue("");
    },
  });
  const remove = useOptimistic<Page<Entry>, string>({
    key: options.queryKey,
    failed: `The ${one} was not removed`,
    run: (which) => del(address, { path: { id: project.id, name: which } }),
    apply: (old, which) => ({ ...old, items: old.items.filter((e) => e.name !== which) }),
  });
  const fields = fieldErrors(save.error);
  const Field = kind === "secrets" ? PasswordInput : TextInput;
  return (
    <div className="dm-gap">
      <Panel title={`Set a ${one}`}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            save.mutate({ name, value });
          }}
        >
          <div className="dm-name-row">
            <TextInput
              label="Name"
              placeholder="API_KEY"
              required
              autoComplete="off"
              value={name}
              error={fields.name}
              onChange={(e) => setName(clean(e.currentTarget.value))}
              classNames={{ input: "dm-mono" }}
            />
            <Field
              ref={input}
              className="dm-grow"
              label="Value"
              required
              autoComplete="off"
              value={value}
              error={fields.value}
              onChange={(e) => setValue(e.currentTarget.value)}
            />
            <Button type="submit" loading={save.isPending} disabled={!name}>
              Save
            </Button>
          </div>
          <FormError error={save.error} known={["name", "value"]} />
        </form>
      </Panel>
      <Panel title={kind === "secrets" ? "Secrets" : "Variables"} flush>
        <Loaded query={query} rows={3}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty small icon={kind === "secrets" ? IconKey : IconVariable} title={`No ${kind} yet`}>
                {kind === "secrets"
                  ? "Values are encrypted, given to jobs that name them, masked in logs, and never shown again."
                  : "Plain values that jobs read as vars.NAME."}
              </Empty>
            ) : (
              <ul className="dm-list">
                {data.items.map((e) => (
                  <li key={e.name}>
                    <div className="dm-grow">
                      <strong className="dm-mono">{e.name}</strong>
                      <div className="dm-meta">
                        {kind === "variables" ? (
                          <span className="dm-mono dm-ellipsis">{e.value}</span>
                        ) : (
                          <span>••••••••</span>
                        )}
                        <span>
                          set <TimeAgo at={e.updated_at} />
                        </span>
                      </div>
                    </div>
                    <Tooltip label="New value">
                      <ActionIcon
                        aria-label={`New value for ${e.name}`}
                        onClick={() => {
                          setName(e.name);
                          setValue(e.value ?? "");
                          input.current?.focus();
                        }}
                      >
                        <IconPencil size={16} />
                      </ActionIcon>
                    </Tooltip>
                    <Tooltip label="Remove">
                      <ActionIcon aria-label={`Remove ${e.name}`} onClick={() => setGone(e)}>
                        <IconTrash size={16} />
                      </ActionIcon>
                    </Tooltip>
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </Panel>
      <Confirm
        opened={gone !== null}
        onClose={() => setGone(null)}
        title={`Remove ${gone?.name ?? ""}?`}
        verb="Remove"
        danger
        onConfirm={() => {
          if (gone) remove.mutate(gone.name);
          setGone(null);
        }}
      >
        Jobs and deployments that need it will fail from now on.
      </Confirm>
    </div>
  );
}

export const Secrets = () => <Entries kind="secrets" />;
export const Variables = () => <Entries kind="variables" />;
