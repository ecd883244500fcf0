/** Secrets and variables that jobs get: of a project, of a group for all projects below, of an environment. */
import { ActionIcon, Button, Checkbox, PasswordInput, TextInput, Tooltip } from "@mantine/core";
import { IconKey, IconPencil, IconTrash, IconVariable } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { del, fieldErrors, put } from "@/api/client";
import { queries } from "@/api/queries";
import type { Page, Secret, Variable } from "@/api/types";
import { useOptimistic } from "@/app/optimistic";
import { Empty, FormError, Loaded, Panel } from "@/ui/bits";
import { Confirm } from "@/ui/Confirm";
import { TimeAgo } from "@/ui/TimeAgo";

type Entry = Secret & Partial<Variable>;
type Kind = "secrets" | "variables";

/** Whose they are. */
export interface Owner {
  kind: "project" | "group" | "environment";
  id: string;
}

function listOf({ kind: owner, id }: Owner, kind: Kind) {
  if (owner === "project") return kind === "secrets" ? queries.secrets(id) : queries.variables(id);
  if (owner === "group") return kind === "secrets" ? queries.groupSecrets(id) : queries.groupVariables(id);
  return kind === "secrets" ? queries.environmentSecrets(id) : queries.environmentVariables(id);
}

function set(
  { kind: owner, id }: Owner,
  kind: Kind,
  name: string,
  body: { value: string; protected: boolean },
) {
  if (owner === "project") {
    const at = kind === "secrets" ? "/projects/{id}/secrets/{name}" : "/projects/{id}/variables/{name}";
    return put(at, body, { path: { id, name } });
  }
  if (owner === "group") {
    const at = kind === "secrets" ? "/groups/{id}/secrets/{name}" : "/groups/{id}/variables/{name}";
    return put(at, body, { path: { id, name } });
  }
  const at =
    kind === "secrets" ? "/environments/{env}/secrets/{name}" : "/environments/{env}/variables/{name}";
  return put(at, body, { path: { env: id, name } });
}

function unset({ kind: owner, id }: Owner, kind: Kind, name: string) {
  if (owner === "project") {
    const at = kind === "secrets" ? "/projects/{id}/secrets/{name}" : "/projects/{id}/variables/{name}";
    return del(at, { path: { id, name } });
  }
  if (owner === "group") {
    const at = kind === "secrets" ? "/groups/{id}/secrets/{name}" : "/groups/{id}/variables/{name}";
    return del(at, { path: { id, name } });
  }
  const at =
    kind === "secrets" ? "/environments/{env}/secrets/{name}" : "/environments/{env}/variables/{name}";
  return del(at, { path: { env: id, name } });
}

/** Who else has a say about a name. */
const ABOUT: Record<Owner["kind"], string> = {
  project: "Those of an environment go before these, and these before those of groups.",
  group:
    "All projects below have them, unless a nearer group, the project or the environment has the same name.",
  environment: "Only jobs for this environment have them; they go before all others.",
};

/** Names as the environment of a job wants them. */
const clean = (text: string) =>
  text
    .toUpperCase()
    .replace(/[\s-]+/g, "_")
    .replace(/[^A-Z0-9_]/g, "");

function Entries({ kind, of }: { kind: Kind; of: Owner }) {
  const one = kind === "secrets" ? "secret" : "variable";
  const options = listOf(of, kind);
  const query = useQuery<Page<Entry>>(options as never);
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [guarded, setGuarded] = useState(false);
  const [gone, setGone] = useState<Entry | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const save = useOptimistic<Page<Entry>, { name: string; value: string; protected: boolean }>({
    key: options.queryKey,
    failed: `The ${one} was not saved`,
    quiet: true,
    run: (vars) => set(of, kind, vars.name, { value: vars.value, protected: vars.protected }),
    apply: (old, vars) => {
      const entry: Entry = {
        name: vars.name,
        protected: vars.protected,
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
      setGuarded(false);
    },
  });
  const remove = useOptimistic<Page<Entry>, string>({
    key: options.queryKey,
    failed: `The ${one} was not removed`,
    run: (which) => unset(of, kind, which),
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
            save.mutate({ name, value, protected: guarded });
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
          <Checkbox
            mt="sm"
            label="Only for runs of the default branch and of tags of its history"
            checked={guarded}
            onChange={(e) => setGuarded(e.currentTarget.checked)}
          />
          <p className="dm-dim">{ABOUT[of.kind]}</p>
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
                        {e.protected ? <span>protected</span> : null}
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
                          setGuarded(e.protected);
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

export const Secrets = ({ of }: { of: Owner }) => <Entries kind="secrets" of={of} />;
export const Variables = ({ of }: { of: Owner }) => <Entries kind="variables" of={of} />;
