/** Sign-in by name and password, or by a one-time link. */
import { Anchor, Button, Loader, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { fieldErrors, messageOf, post } from "@/api/client";
import { queries } from "@/api/queries";
import { useGo, usePlace } from "@/app/location";
import { toast } from "@/app/toast";
import { FormError, useTitle } from "@/ui/bits";

/** Only a path of this site may be the way on after signing in. */
export const safeNext = (next: string | null): string =>
  next && /^\/(?![/\\])/.test(next) && !next.startsWith("/sign-in") ? next : "/";

export default function SignIn() {
  useTitle("Sign in");
  const place = usePlace();
  const go = useGo();
  const client = useQueryClient();
  const instance = useQuery(queries.instance()).data;
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [creating, setCreating] = useState(false);
  const link = place.search.get("link");
  const next = safeNext(place.search.get("next"));

  const signIn = useMutation({
    mutationFn: async (body: { name: string; password: string } | { link: string }) => {
      if (creating && "name" in body) await post("/users", body);
      return (await post("/session", body)).user;
    },
    onSuccess: (user, body) => {
      if ("link" in body)
        toast(
          "ok",
          `Signed in as ${user.name}`,
          "The link is used up: set a password in your account to come back.",
        );
      client.clear();
      client.setQueryData(queries.session().queryKey, user);
      go(next, { replace: true });
    },
  });

  // The link is used once, also when React mounts the page twice while developing.
  const used = useRef(false);
  useEffect(() => {
    if (!link || used.current) return;
    used.current = true;
    signIn.mutate({ link });
  }, [link, signIn.mutate]);

  const fields = fieldErrors(signIn.error);
  return (
    <main id="main" className="dm-sign-in">
      <div className="dm-sign-in-card">
        <img src="/assets/favicon.svg" alt="" width={44} height={44} />
        <Title order={1}>
          {creating ? "Create your account" : `Sign in to ${instance?.name ?? "DevMentor"}`}
        </Title>
        {link && !signIn.error ? (
          <Stack align="center" py="lg" role="status">
            <Loader size="sm" />
            <Text size="sm">Signing in with your link…</Text>
          </Stack>
        ) : (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              signIn.mutate({ name: name.trim(), password });
            }}
          >
            <Stack gap="sm">
              {link && signIn.error && signIn.variables && "link" in signIn.variables ? (
                <div className="dm-form-error" role="alert">
                  {messageOf(signIn.error)} A link works once; ask the administrator for a new one, or use
                  your password.
                </div>
              ) : null}
              <TextInput
                label="Name"
                name="username"
                autoComplete="username"
                autoFocus
                required
                value={name}
                error={fields.name}
                onChange={(event) => setName(event.currentTarget.value)}
              />
              <PasswordInput
                label="Password"
                name="password"
                autoComplete={creating ? "new-password" : "current-password"}
                required
                value={password}
                error={fields.password}
                onChange={(event) => setPassword(event.currentTarget.value)}
              />
              {signIn.error && !(signIn.variables && "link" in signIn.variables) ? (
                <FormError error={signIn.error} known={["name", "password"]} />
              ) : null}
              <Button type="submit" fullWidth loading={signIn.isPending} mt={4}>
                {creating ? "Create account" : "Sign in"}
              </Button>
              {instance?.sign_up ? (
                <Anchor
                  component="button"
                  type="button"
                  size="sm"
                  ta="center"
                  onClick={() => setCreating(!creating)}
                >
                  {creating ? "I have an account" : "Create an account"}
                </Anchor>
              ) : (
                <Text size="xs" c="dimmed" ta="center">
                  Accounts are made by the administrator of this instance.
                </Text>
              )}
            </Stack>
          </form>
        )}
      </div>
      <Text size="xs" c="dimmed">
        {instance ? `Version ${instance.version}` : " "}
      </Text>
    </main>
  );
}
