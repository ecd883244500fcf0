/** Chooses what to deploy: an image of the registry, or an earlier release. */
import { Button, Modal, SegmentedControl, Select, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { IconRocket } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { fieldErrors, post } from "@/api/client";
import { flat, queries } from "@/api/queries";
import type { Deployment, Environment, Release } from "@/api/types";
import { useProject } from "@/app/project";
import { FormError } from "@/ui/bits";
import { ago, short } from "@/ui/format";

/** `KEY=value` lines to an object; empty lines and comments are skipped. */
export function parseConfig(text: string): { config: Record<string, string>; error: string | null } {
  const config: Record<string, string> = {};
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (!line || line.startsWith("#")) continue;
    const at = line.indexOf("=");
    const key = at < 0 ? line : line.slice(0, at).trim();
    if (at < 1 || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(key))
      return { config, error: `Line ${i + 1}: write NAME=value` };
    config[key] = line.slice(at + 1);
  }
  return { config, error: null };
}

export const formatConfig = (config: Record<string, string> | null | undefined): string =>
  Object.entries(config ?? {})
    .map(([k, v]) => `${k}=${v}`)
    .join("\n");

export function DeployDialog(props: {
  env: Environment;
  releases: Release[];
  onClose: () => void;
  onStarted: (deployment: Deployment) => void;
}) {
  const { env, releases } = props;
  const project = useProject();
  const [how, setHow] = useState("image");
  const [image, setImage] = useState<string | null>(null);
  const [free, setFree] = useState("");
  const [release, setRelease] = useState<string | null>(releases[0]?.id ?? null);
  const [config, setConfig] = useState(formatConfig(env.config));
  const images = useQuery(queries.images(project.id)).data?.items ?? [];
  const [repository, setRepository] = useState<string | null>(null);
  const name = repository ?? images[0]?.name ?? "";
  const tags = flat(useInfiniteQuery({ ...queries.imageTags(project.id, name), enabled: name !== "" }).data);
  const tag = image ?? tags[0]?.tag ?? null;
  const parsed = parseConfig(config);
  const changed = formatConfig(env.config) !== config;
  // The registry's own repository is meant when only a tag is given.
  const reference = name === project.path ? (tag ?? "") : `${name}:${tag ?? ""}`;
  const deploy = useMutation({
    mutationFn: () =>
      post(
        "/projects/{id}/deploy",
        {
          environment: env.name,
          image: how === "release" ? undefined : free || reference,
          release: how === "release" ? release : undefined,
          config: changed ? parsed.config : undefined,
        },
        { path: { id: project.id } },
      ),
    onSuccess: props.onStarted,
  });
  const fields = fieldErrors(deploy.error);
  const ready = parsed.error === null && (how === "release" ? release !== null : free !== "" || !!tag);
  return (
    <Modal opened onClose={props.onClose} title={`Deploy to ${env.name}`} size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) deploy.mutate();
        }}
      >
        <Stack gap="sm">
          <SegmentedControl
            value={how}
            onChange={setHow}
            data={[
              { value: "image", label: "An image" },
              { value: "release", label: "An earlier release", disabled: releases.length === 0 },
            ]}
          />
          {how === "image" ? (
            images.length > 0 ? (
              <>
                {images.length > 1 ? (
                  <Select
                    label="Image"
                    value={name}
                    allowDeselect={false}
                    onChange={(v) => {
                      setRepository(v);
                      setImage(null);
                    }}
                    data={images.map((i) => i.name)}
                  />
                ) : null}
                <Select
                  label="Tag"
                  value={tag}
                  allowDeselect={false}
                  searchable
                  error={fields.image}
                  onChange={setImage}
                  data={[...new Set(tags.map((t) => t.tag).filter(Boolean))]}
                  renderOption={({ option }) => {
                    const it = tags.find((t) => t.tag === option.value);
                    return (
                      <span className="dm-option">
                        <span className="dm-mono">{option.value}</span>
                        <span className="dm-dim">
                          {short(it?.digest)} · {it ? ago(it.pushed_at) : ""}
                        </span>
                      </span>
                    );
                  }}
                />
              </>
            ) : (
              <TextInput
                label="Tag or digest"
                description="No image has been pushed yet; a run usually does that."
                value={free}
                error={fields.image}
                onChange={(e) => setFree(e.currentTarget.value)}
              />
            )
          ) : (
            <Select
              label="Release"
              value={release}
              allowDeselect={false}
              error={fields.release}
              onChange={setRelease}
              data={releases.map((r) => ({
                value: r.id,
                label: `#${r.number} — ${r.image} — ${ago(r.created_at)}`,
              }))}
            />
          )}
          <Textarea
            label="Configuration"
            description="Environment variables, one NAME=value per line"
            autosize
            minRows={3}
            maxRows={12}
            value={config}
            error={parsed.error ?? fields.config}
            classNames={{ input: "dm-mono" }}
            onChange={(e) => setConfig(e.currentTarget.value)}
          />
          <Text size="xs" c="dimmed">
            The new release starts beside the present one, must pass{" "}
            {env.health?.path ? `the health check at ${env.health.path}` : "its health check"}, and only then
            takes over. If it fails, nothing changes.
          </Text>
          <FormError error={deploy.error} known={["image", "release", "config"]} />
          <Button
            type="submit"
            loading={deploy.isPending}
            disabled={!ready}
            leftSection={<IconRocket size={16} />}
          >
            Deploy
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}
