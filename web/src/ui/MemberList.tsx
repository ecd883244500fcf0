/** Members and their roles, of a project or of a group. */
import { ActionIcon, Button, Select, Tooltip } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconTrash, IconUserPlus, IconUsers } from "@tabler/icons-react";
import { keepPreviousData, type UseQueryOptions, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { del, put } from "@/api/client";
import { flat, queries } from "@/api/queries";
import { type Member, type Page, ROLES, type Role } from "@/api/types";
import { Link } from "@/app/location";
import { useOptimistic } from "@/app/optimistic";
import { paths } from "@/app/paths";
import { useUser } from "@/app/session";
import { Avatar, Empty, Loaded, Panel } from "./bits";
import { Confirm } from "./Confirm";
import { words } from "./format";

const ROLE_TEXT: Record<Role, string> = {
  guest: "Sees the project",
  reporter: "Reads code, runs and deployments",
  developer: "Pushes, builds and deploys",
  maintainer: "Configures, manages secrets and members",
  owner: "Everything",
};

const roles = ROLES.map((role) => ({ value: role, label: words(role) }));

type MembersQuery = UseQueryOptions<Page<Member>, Error, Page<Member>, string[]>;

/** Whose members: a project or a group. */
export interface Owner {
  kind: "project" | "group";
  id: string;
}

export function MemberList({ of, query, mayEdit }: { of: Owner; query: unknown; mayEdit: boolean }) {
  const options = query as MembersQuery;
  const address = of.kind === "project" ? "/projects/{id}/members/{user}" : "/groups/{id}/members/{user}";
  const members = useQuery(options);
  const me = useUser();
  const [adding, setAdding] = useState<string | null>(null);
  const [role, setRole] = useState<Role>("developer");
  const [text, setText] = useState("");
  const [leaving, setLeaving] = useState<Member | null>(null);
  const [debounced] = useDebouncedValue(text, 200);
  const users = useInfiniteQuery({
    ...queries.users(debounced),
    enabled: mayEdit,
    retry: false,
    // names that are about to be chosen do not go away while others are looked for
    placeholderData: keepPreviousData,
  });

  const set = useOptimistic<Page<Member>, { user: string; role: Role }>({
    key: options.queryKey,
    failed: "The role was not changed",
    run: ({ user, role: value }) => put(address, { role: value }, { path: { id: of.id, user } }),
    apply: (old, vars) => ({
      ...old,
      items: old.items.map((m) =>
        m.user.name === vars.user && m.source === "direct" ? { ...m, role: vars.role } : m,
      ),
    }),
  });
  const remove = useOptimistic<Page<Member>, Member>({
    key: options.queryKey,
    failed: "The member was not removed",
    done: "Member removed",
    run: (m) => del(address, { path: { id: of.id, user: m.user.id } }),
    apply: (old, m) => ({ ...old, items: old.items.filter((it) => it !== m && it.user.id !== m.user.id) }),
  });

  return (
    <div className="dm-gap">
      {mayEdit ? (
        <Panel title="Add a member">
          <form
            className="dm-filters"
            style={{ margin: 0 }}
            onSubmit={(event) => {
              event.preventDefault();
              if (adding) set.mutate({ user: adding, role }, { onSuccess: () => setAdding(null) });
            }}
          >
            <Select
              className="dm-grow"
              aria-label="User"
              placeholder="Find a user by name"
              searchable
              clearable
              value={adding}
              onChange={setAdding}
              searchValue={text}
              onSearchChange={setText}
              nothingFoundMessage="No such user"
              data={flat(users.data).map((u) => ({
                value: u.name,
                label: u.display_name && u.display_name !== u.name ? `${u.name} (${u.display_name})` : u.name,
              }))}
            />
            <Select
              aria-label="Role"
              w={150}
              value={role}
              onChange={(value) => setRole((value ?? "developer") as Role)}
              data={roles}
              allowDeselect={false}
            />
            <Button
              type="submit"
              disabled={!adding}
              loading={set.isPending}
              leftSection={<IconUserPlus size={16} />}
            >
              Add
            </Button>
          </form>
        </Panel>
      ) : null}
      <Panel title="Members" flush>
        <Loaded query={members}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty small icon={IconUsers} title="No members yet" />
            ) : (
              <ul className="dm-list">
                {data.items.map((m) => (
                  <li
                    key={m.user.id + m.source}
                    className={mayEdit && m.source === "direct" ? "dm-wrap-phone" : undefined}
                  >
                    <Avatar name={m.user.display_name || m.user.name} size={30} />
                    <div className="dm-grow">
                      <div className="dm-ellipsis">
                        <Link href={paths.project(m.user.name)} className="dm-title-link">
                          {m.user.display_name || m.user.name}
                        </Link>{" "}
                        <span className="dm-dim">{m.user.name}</span>
                        {m.user.id === me?.id ? <span className="dm-dim"> · you</span> : null}
                      </div>
                      <div className="dm-meta">
                        {m.source === "direct"
                          ? ROLE_TEXT[m.role]
                          : `Inherited from ${m.source.replace(/^group:/, "")}`}
                      </div>
                    </div>
                    {mayEdit && m.source === "direct" ? (
                      <>
                        <Select
                          w={140}
                          aria-label={`Role of ${m.user.name}`}
                          value={m.role}
                          data={roles}
                          allowDeselect={false}
                          onChange={(value) =>
                            value && set.mutate({ user: m.user.name, role: value as Role })
                          }
                        />
                        <Tooltip label="Remove">
                          <ActionIcon aria-label={`Remove ${m.user.name}`} onClick={() => setLeaving(m)}>
                            <IconTrash size={16} />
                          </ActionIcon>
                        </Tooltip>
                      </>
                    ) : (
                      <span className="dm-chip">{words(m.role)}</span>
                    )}
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </Panel>
      <Confirm
        opened={leaving !== null}
        onClose={() => setLeaving(null)}
        title={`Remove ${leaving?.user.name ?? ""}?`}
        verb="Remove"
        danger
        onConfirm={() => {
          if (leaving) remove.mutate(leaving);
          setLeaving(null);
        }}
      >
        They lose the access that this membership gives, at once.
      </Confirm>
    </div>
  );
}
