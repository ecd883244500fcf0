/** The person's own account: profile, password, tokens. */
import { Button, PasswordInput, Stack, Tabs, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { fieldErrors, patch, post } from "@/api/client";
import { queries } from "@/api/queries";
import type { User } from "@/api/types";
import { useParam } from "@/app/location";
import { Main, NotFound } from "@/app/Shell";
import { useUser } from "@/app/session";
import { toast } from "@/app/toast";
import { FormError, PageHead, Panel, Rows, useTitle } from "@/ui/bits";
import { TabStrip } from "@/ui/TabStrip";
import { Tokens } from "./Tokens";

function Profile({ user }: { user: User }) {
  const client = useQueryClient();
  const [name, setName] = useState(user.display_name ?? "");
  const [email, setEmail] = useState(user.email ?? "");
  const save = useMutation({
    mutationFn: () =>
      patch("/users/me", { display_name: name, email: email || null }, { version: user.version }),
    onSuccess: (data) => {
      client.setQueryData(queries.session().queryKey, data);
      toast("ok", "Profile saved");
    },
  });
  const fields = fieldErrors(save.error);
  return (
    <Panel title="Profile">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm" maw={440}>
          <TextInput label="Name" value={user.name} readOnly description="In the address of your projects" />
          <TextInput
            label="Display name"
            autoComplete="name"
            value={name}
            error={fields.display_name}
            onChange={(e) => setName(e.currentTarget.value)}
          />
          <TextInput
            label="Email"
            type="email"
            autoComplete="email"
            value={email}
            error={fields.email}
            onChange={(e) => setEmail(e.currentTarget.value)}
          />
          <FormError error={save.error} known={["display_name", "email"]} />
          <div>
            <Button type="submit" loading={save.isPending}>
              Save profile
            </Button>
          </div>
        </Stack>
      </form>
    </Panel>
  );
}

function Password({ user }: { user: User }) {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const save = useMutation({
    mutationFn: () => post("/users/me/password", { current: current || undefined, new: next }),
    onSuccess: () => {
      setCurrent("");
      setNext("");
      toast("ok", "Password changed");
    },
  });
  const fields = fieldErrors(save.error);
  return (
    <Panel title="Password">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <input type="text" autoComplete="username" value={user.name} readOnly hidden />
        <Stack gap="sm" maw={440}>
          <PasswordInput
            label="Current password"
            description="Leave empty if you have none yet"
            autoComplete="current-password"
            value={current}
            error={fields.current}
            onChange={(e) => setCurrent(e.currentTarget.value)}
          />
          <PasswordInput
            label="New password"
            required
            autoComplete="new-password"
            value={next}
            error={fields.new}
            onChange={(e) => setNext(e.currentTarget.value)}
          />
          <FormError error={save.error} known={["current", "new"]} />
          <div>
            <Button type="submit" loading={save.isPending} disabled={!next}>
              Change password
            </Button>
          </div>
        </Stack>
      </form>
    </Panel>
  );
}

export default function Account() {
  useTitle("Account");
  const user = useUser();
  const [tab, setTab] = useParam("tab", "profile");
  if (user === null) return <NotFound />;
  return (
    <Main narrow>
      <PageHead title="Account" />
      <Tabs value={tab} onChange={(v) => setTab(v ?? "profile")}>
        <TabStrip value={tab}>
          <Tabs.Tab value="profile">Profile</Tabs.Tab>
          <Tabs.Tab value="tokens">Tokens</Tabs.Tab>
        </TabStrip>
        <Tabs.Panel value="profile">
          {user ? (
            <div className="dm-gap">
              <Profile user={user} />
              <Password user={user} />
            </div>
          ) : (
            <Rows />
          )}
        </Tabs.Panel>
        <Tabs.Panel value="tokens">
          <Tokens />
        </Tabs.Panel>
      </Tabs>
    </Main>
  );
}
