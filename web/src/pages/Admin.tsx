/** For administrators: users, runners, health. */
import { Button, Modal, PasswordInput, Stack, Switch, Tabs, TextInput } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { fieldErrors, get, Problem, patch, post } from "@/api/client";
import { flat, queries } from "@/api/queries";
import type { Readiness, User } from "@/api/types";
import { useParam } from "@/app/location";
import { Main, NotFound } from "@/app/Shell";
import { useUser } from "@/app/session";
import { toast, toastError } from "@/app/toast";
import { Avatar, FormError, Loaded, More, PageHead, Panel, useTitle } from "@/ui/bits";
import { RunnerList } from "@/ui/RunnerList";
import { StateBadge } from "@/ui/State";
import { TabStrip } from "@/ui/TabStrip";
import { TimeAgo } from "@/ui/TimeAgo";
import { QueueView } from "./project/Queue";

function NewUser({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [display, setDisplay] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [admin, setAdmin] = useState(false);
  const create = useMutation({
    mutationFn: () =>
      post("/users", {
        name,
        display_name: display || undefined,
        email: email || undefined,
        password: password || undefined,
        admin,
      }),
    onSuccess: (user) => {
      void client.invalidateQueries({ queryKey: ["users"] });
      toast("ok", `${user.name} can sign in now`);
      onClose();
    },
  });
  const fields = fieldErrors(create.error);
  return (
    <Modal opened onClose={onClose} title="New user">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput
            data-autofocus
            label="Name"
            required
            value={name}
            error={fields.name}
            onChange={(e) => setName(e.currentTarget.value)}
            autoComplete="off"
          />
          <TextInput
            label="Display name"
            value={display}
            error={fields.display_name}
            onChange={(e) => setDisplay(e.currentTarget.value)}
            autoComplete="off"
          />
          <TextInput
            label="Email"
            type="email"
            value={email}
            error={fields.email}
            onChange={(e) => setEmail(e.currentTarget.value)}
            autoComplete="off"
          />
          <PasswordInput
            label="Password"
            autoComplete="new-password"
            value={password}
            error={fields.password}
            onChange={(e) => setPassword(e.currentTarget.value)}
          />
          <Switch label="Administrator" checked={admin} onChange={(e) => setAdmin(e.currentTarget.checked)} />
          <FormError error={create.error} known={["name", "display_name", "email", "password"]} />
          <Button type="submit" loading={create.isPending}>
            Create user
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}

function Users() {
  const client = useQueryClient();
  const me = useUser();
  const [text, setText] = useState("");
  const [creating, setCreating] = useState(false);
  const query = useInfiniteQuery(queries.users(text));
  const change = useMutation({
    mutationFn: ({ user, body }: { user: User; body: Partial<Pick<User, "admin" | "state">> }) =>
      patch("/users/{id}", body, { path: { id: user.id }, version: user.version }),
    onError: (error) => toastError("The user was not changed", error),
    onSettled: () => client.invalidateQueries({ queryKey: ["users"] }),
  });
  return (
    <Panel
      title="Users"
      flush
      actions={
        <>
          <TextInput
            size="xs"
            placeholder="Find"
            aria-label="Find users"
            value={text}
            onChange={(e) => setText(e.currentTarget.value)}
          />
          <Button size="xs" leftSection={<IconPlus size={14} />} onClick={() => setCreating(true)}>
            New user
          </Button>
        </>
      }
    >
      <Loaded query={query}>
        {(data) => (
          <ul className="dm-list">
            {flat(data).map((u) => (
              <li key={u.id} className="dm-wrap-phone">
                <Avatar name={u.display_name || u.name} size={30} />
                <div className="dm-grow">
                  <strong>{u.display_name || u.name}</strong> <span className="dm-dim">{u.name}</span>
                  <div className="dm-meta">
                    {u.admin ? <span>administrator</span> : null}
                    {u.email ? <span>{u.email}</span> : null}
                    <span>
                      since <TimeAgo at={u.created_at} />
                    </span>
                  </div>
                </div>
                <StateBadge state={u.state} />
                {u.id !== me?.id ? (
                  <>
                    <Button
                      size="xs"
                      variant="default"
                      onClick={() => change.mutate({ user: u, body: { admin: !u.admin } })}
                    >
                      {u.admin ? "Remove admin" : "Make admin"}
                    </Button>
                    <Button
                      size="xs"
                      variant="default"
                      onClick={() =>
                        change.mutate({
                          user: u,
                          body: { state: u.state === "active" ? "blocked" : "active" },
                        })
                      }
                    >
                      {u.state === "active" ? "Block" : "Unblock"}
                    </Button>
                  </>
                ) : null}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      <More query={query} />
      {creating ? <NewUser onClose={() => setCreating(false)} /> : null}
    </Panel>
  );
}

function Health() {
  const query = useQuery({
    queryKey: ["ready"],
    queryFn: async () => {
      try {
        return await get("/health/ready");
      } catch (error) {
        if (error instanceof Problem && error.status === 503)
          return (await (await fetch("/health/ready")).json()) as Readiness;
        throw error;
      }
    },
    refetchInterval: 10_000,
  });
  return (
    <Panel title="Components" flush>
      <Loaded query={query}>
        {(data) => (
          <ul className="dm-list">
            {data.components.map((c) => (
              <li key={c.name}>
                <div className="dm-grow">
                  <strong>{c.name}</strong>
                  {c.detail ? <div className="dm-meta">{c.detail}</div> : null}
                </div>
                <span className="dm-dim dm-num">{c.latency_ms === null ? "" : `${c.latency_ms} ms`}</span>
                <StateBadge
                  state={c.status === "ok" || c.status === "ready" || c.status === "up" ? "ok" : "failed"}
                  label={c.status}
                />
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}

export default function Admin() {
  useTitle("Administration");
  const user = useUser();
  const [tab, setTab] = useParam("tab", "users");
  if (user === null || user?.admin === false) return <NotFound />;
  return (
    <Main narrow>
      <PageHead title="Administration" />
      <Tabs value={tab} onChange={(v) => setTab(v ?? "users")}>
        <TabStrip value={tab}>
          <Tabs.Tab value="users">Users</Tabs.Tab>
          <Tabs.Tab value="runners">Runners</Tabs.Tab>
          <Tabs.Tab value="queue">Queue</Tabs.Tab>
          <Tabs.Tab value="health">Health</Tabs.Tab>
        </TabStrip>
        <Tabs.Panel value="users">
          <Users />
        </Tabs.Panel>
        <Tabs.Panel value="runners">
          <RunnerList manage />
        </Tabs.Panel>
        <Tabs.Panel value="queue">{tab === "queue" ? <QueueView /> : null}</Tabs.Panel>
        <Tabs.Panel value="health">
          <Health />
        </Tabs.Panel>
      </Tabs>
    </Main>
  );
}
