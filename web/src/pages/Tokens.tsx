/** Access tokens: what they may do, where, and until when. The secret is shown once. */
import { Button, Checkbox, Modal, MultiSelect, Select, Stack, Switch, Text, TextInput } from "@mantine/core";
import { IconKey, IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { del, fieldErrors, post } from "@/api/client";
import { flat, queries } from "@/api/queries";
import type { Page, Permission, Token } from "@/api/types";
import { useActions } from "@/app/actions";
import { useOptimistic } from "@/app/optimistic";
import { Empty, FormError, Loaded, Panel } from "@/ui/bits";
import { Confirm } from "@/ui/Confirm";
import { CopyField } from "@/ui/Copy";
import { words } from "@/ui/format";
import { TimeAgo } from "@/ui/TimeAgo";

const EXPIRY = [
  { value: "7", label: "7 days" },
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "1 year" },
  { value: "", label: "Never" },
];

/** `project:read`, `project:update` -> under `project`. */
export function byResource(permissions: Permission[]): [string, string[]][] {
  const map = new Map<string, string[]>();
  for (const { name } of permissions) {
    const [resource = name] = name.split(":");
    map.set(resource, [...(map.get(resource) ?? []), name]);
  }
  return [...map];
}

function NewToken({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const permissions = useQuery(queries.permissions());
  const [text, setText] = useState("");
  const projects = useInfiniteQuery(
    queries.projects({ q: text, sort: "activity", order: "desc", limit: 50 }),
  );
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState<string[]>([]);
  const [limited, setLimited] = useState(false);
  const [where, setWhere] = useState<string[]>([]);
  const [names, setNames] = useState<Record<string, string>>({});
  const [days, setDays] = useState("30");
  const create = useMutation({
    mutationFn: () =>
      post("/tokens", {
        name,
        permissions: chosen,
        projects: limited ? where : undefined,
        expires_at: days ? new Date(Date.now() + Number(days) * 86_400_000).toISOString() : null,
      }),
    onSuccess: () => client.invalidateQueries({ queryKey: queries.tokens().queryKey }),
  });
  const fields = fieldErrors(create.error);
  if (create.data) {
    return (
      <Modal opened onClose={onClose} title="Your new token" closeOnClickOutside={false}>
        <Stack gap="sm">
          <Text size="sm">Copy it now. It is stored only as a hash and can't be shown again.</Text>
          <CopyField text={create.data.secret} label="Token" />
          <Text size="xs" c="dimmed">
            Use it as <code>Authorization: Bearer …</code>, as the password of git over HTTP, or for{" "}
            <code>docker login</code>.
          </Text>
          <Button onClick={onClose}>I have stored it</Button>
        </Stack>
      </Modal>
    );
  }
  const options = new Map(Object.entries(names));
  for (const p of flat(projects.data)) options.set(p.id, p.path);
  const all = permissions.data?.items.map((p) => p.name) ?? [];
  return (
    <Modal opened onClose={onClose} title="New token" size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        <Stack gap="md">
          <div className="dm-name-row">
            <TextInput
              className="dm-grow"
              data-autofocus
              label="Name"
              placeholder="laptop, deploy script…"
              required
              value={name}
              error={fields.name}
              onChange={(e) => setName(e.currentTarget.value)}
            />
            <Select
              w={140}
              label="Expires in"
              value={days}
              allowDeselect={false}
              data={EXPIRY}
              error={fields.expires_at}
              onChange={(v) => setDays(v ?? "")}
            />
          </div>
          <div>
            <div style={{ display: "flex", alignItems: "baseline" }}>
              <Text size="sm" fw={500} className="dm-grow">
                Permissions
              </Text>
              <Button
                size="compact-xs"
                variant="subtle"
                onClick={() => setChosen(all.filter((p) => p.endsWith(":read")))}
              >
                Read only
              </Button>
              <Button
                size="compact-xs"
                variant="subtle"
                onClick={() => setChosen(chosen.length === all.length ? [] : all)}
              >
                {chosen.length === all.length ? "None" : "All"}
              </Button>
            </div>
            <Loaded query={permissions}>
              {(data) => (
                <Checkbox.Group value={chosen} onChange={setChosen}>
                  <div className="dm-permissions">
                    {byResource(data.items).map(([resource, list]) => (
                      <fieldset key={resource}>
                        <legend>{words(resource)}</legend>
                        {list.map((p) => (
                          <Checkbox key={p} size="xs" value={p} label={p.split(":")[1] ?? p} aria-label={p} />
                        ))}
                      </fieldset>
                    ))}
                  </div>
                </Checkbox.Group>
              )}
            </Loaded>
            {fields.permissions ? (
              <Text size="xs" c="var(--dm-bad)">
                {fields.permissions}
              </Text>
            ) : null}
          </div>
          <Switch
            label="Only for some projects"
            checked={limited}
            onChange={(e) => setLimited(e.currentTarget.checked)}
          />
          {limited ? (
            <MultiSelect
              aria-label="Projects"
              placeholder="Choose projects"
              searchable
              searchValue={text}
              onSearchChange={setText}
              value={where}
              error={fields.projects}
              onChange={(ids) => {
                setNames(Object.fromEntries(ids.map((id) => [id, options.get(id) ?? id])));
                setWhere(ids);
              }}
              data={[...options].map(([value, label]) => ({ value, label }))}
            />
          ) : null}
          <FormError error={create.error} known={["name", "permissions", "projects", "expires_at"]} />
          <Button
            type="submit"
            loading={create.isPending}
            disabled={!name || chosen.length === 0 || (limited && where.length === 0)}
          >
            Create token
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}

export function Tokens() {
  const query = useQuery(queries.tokens());
  const [creating, setCreating] = useState(false);
  const [gone, setGone] = useState<Token | null>(null);
  useActions([
    {
      id: "new-token",
      name: "New token",
      group: "Create",
      icon: IconKey,
      shortcut: "c t",
      perform: () => setCreating(true),
    },
  ]);
  const revoke = useOptimistic<Page<Token>, Token>({
    key: queries.tokens().queryKey,
    failed: "The token was not revoked",
    done: "Token revoked",
    run: (token) => del("/tokens/{id}", { path: { id: token.id } }),
    apply: (old, token) => ({ ...old, items: old.items.filter((t) => t.id !== token.id) }),
  });
  return (
    <>
      <Panel
        title="Access tokens"
        flush
        actions={
          <Button size="xs" leftSection={<IconPlus size={14} />} onClick={() => setCreating(true)}>
            New token
          </Button>
        }
      >
        <Loaded query={query} rows={3}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty small icon={IconKey} title="No tokens">
                A token lets a script, git or docker act for you, within the limits that you set.
              </Empty>
            ) : (
              <ul className="dm-list">
                {data.items.map((t) => (
                  <li key={t.id}>
                    <IconKey size={18} className="dm-dim" aria-hidden />
                    <div className="dm-grow">
                      <strong>{t.name}</strong>
                      <div className="dm-meta">
                        <span title={t.permissions.join(", ")}>
                          {t.permissions.length <= 2
                            ? t.permissions.join(", ")
                            : `${t.permissions.length} permissions`}
                        </span>
                        <span>
                          {t.projects === null
                            ? "all projects"
                            : `${t.projects.length} project${t.projects.length === 1 ? "" : "s"}`}
                        </span>
                        <span>
                          {t.expires_at ? (
                            Date.parse(t.expires_at) < Date.now() ? (
                              <span className="dm-text-bad">expired</span>
                            ) : (
                              <>
                                expires <TimeAgo at={t.expires_at} />
                              </>
                            )
                          ) : (
                            "never expires"
                          )}
                        </span>
                        <span>
                          {t.last_used_at ? (
                            <>
                              used <TimeAgo at={t.last_used_at} />
                            </>
                          ) : (
                            "never used"
                          )}
                        </span>
                      </div>
                    </div>
                    <Button
                      size="xs"
                      variant="default"
                      onClick={() => setGone(t)}
                      aria-label={`Revoke ${t.name}`}
                    >
                      Revoke
                    </Button>
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </Panel>
      {creating ? <NewToken onClose={() => setCreating(false)} /> : null}
      <Confirm
        opened={gone !== null}
        onClose={() => setGone(null)}
        title="Revoke this token?"
        verb="Revoke"
        danger
        onConfirm={() => {
          if (gone) revoke.mutate(gone);
          setGone(null);
        }}
      >
        Whatever uses <strong>{gone?.name}</strong> is refused from now on.
      </Confirm>
    </>
  );
}
