/** What the owner of a project can change: description, secrets, variables, place, archive, deletion. */
import { Button, Select, Stack, Tabs, TagsInput, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { del, fieldErrors, Problem, patch, post } from "@/api/client";
import { queries } from "@/api/queries";
import type { Project, Visibility } from "@/api/types";
import { useGo, useParam } from "@/app/location";
import { paths } from "@/app/paths";
import { can, useProject } from "@/app/project";
import { toast, toastError } from "@/app/toast";
import { FormError, PageHead, Panel, useTitle } from "@/ui/bits";
import { Confirm } from "@/ui/Confirm";
import { TabStrip } from "@/ui/TabStrip";
import { slug } from "../Create";
import { Secrets, Variables } from "./Config";

/** After a change the project's cached copies are of an old version. */
function useProjectChanged(): (project?: Project) => void {
  const client = useQueryClient();
  const old = useProject();
  return (project) => {
    if (project?.path) client.setQueryData(queries.project(project.path).queryKey, project);
    void client.invalidateQueries({ queryKey: queries.project(old.path).queryKey, exact: true });
    void client.invalidateQueries({ queryKey: ["projects"] });
  };
}

function General() {
  const project = useProject();
  const changed = useProjectChanged();
  const [description, setDescription] = useState(project.description ?? "");
  const [visibility, setVisibility] = useState<Visibility>(project.visibility);
  const [topics, setTopics] = useState(project.topics);
  const [branch, setBranch] = useState(project.default_branch);
  const branches = useQuery(queries.refs(project.id)).data?.branches.map((b) => b.name) ?? [];
  const save = useMutation({
    mutationFn: () =>
      patch(
        "/projects/{id}/update",
        {
          description,
          visibility,
          topics,
          default_branch: branch === project.default_branch ? undefined : branch,
        },
        { path: { id: project.id }, version: project.version },
      ),
    onSuccess: (next) => {
      changed(next);
      toast("ok", "Project saved");
    },
    onError: (error) => {
      if (error instanceof Problem && error.status === 412) changed();
    },
  });
  const fields = fieldErrors(save.error);
  const stale = save.error instanceof Problem && save.error.status === 412;
  return (
    <Panel title="General">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm" maw={560}>
          <Textarea
            label="Description"
            autosize
            minRows={2}
            value={description}
            error={fields.description}
            onChange={(e) => setDescription(e.currentTarget.value)}
          />
          <TagsInput
            label="Topics"
            value={topics}
            error={fields.topics}
            onChange={(v) => setTopics(v.map(slug).filter(Boolean))}
          />
          <Select
            label="Visibility"
            value={visibility}
            allowDeselect={false}
            error={fields.visibility}
            onChange={(v) => setVisibility((v ?? "private") as Visibility)}
            data={[
              { value: "private", label: "Private: members only" },
              { value: "internal", label: "Internal: everyone signed in" },
              { value: "public", label: "Public: everyone" },
            ]}
          />
          <Select
            label="Default branch"
            value={branch}
            allowDeselect={false}
            searchable
            error={fields.default_branch}
            onChange={(v) => v && setBranch(v)}
            data={branches.includes(branch) ? branches : [branch, ...branches]}
          />
          {stale ? (
            <div className="dm-form-error" role="alert">
              Somebody else changed the project meanwhile. The newest version is loaded now; save again to
              keep your changes.
            </div>
          ) : (
            <FormError error={save.error} known={["description", "topics", "visibility", "default_branch"]} />
          )}
          <div>
            <Button type="submit" loading={save.isPending}>
              Save
            </Button>
          </div>
        </Stack>
      </form>
    </Panel>
  );
}

function Move() {
  const project = useProject();
  const go = useGo();
  const client = useQueryClient();
  const namespaces = useQuery(queries.namespaces()).data?.items.map((n) => n.path) ?? [];
  const [namespace, setNamespace] = useState(project.namespace);
  const [name, setName] = useState(project.name);
  const move = useMutation({
    mutationFn: () => post("/projects/{id}/move", { namespace, name }, { path: { id: project.id } }),
    onSuccess: (next) => {
      client.setQueryData(queries.project(next.path).queryKey, next);
      void client.invalidateQueries({ queryKey: ["projects"] });
      toast("ok", "Project moved", "Old addresses lead here.");
      go(paths.section(next.path, "settings"));
    },
  });
  const fields = fieldErrors(move.error);
  const same = namespace === project.namespace && name === project.name;
  return (
    <Panel title="Name and place">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          move.mutate();
        }}
      >
        <Stack gap="sm" maw={560}>
          <div className="dm-name-row">
            <Select
              label="Namespace"
              searchable
              allowDeselect={false}
              value={namespace}
              error={fields.namespace}
              onChange={(v) => v && setNamespace(v)}
              data={[...new Set([project.namespace, ...namespaces])]}
            />
            <span aria-hidden className="dm-dim">
              /
            </span>
            <TextInput
              className="dm-grow"
              label="Name"
              value={name}
              error={fields.name}
              onChange={(e) => setName(slug(e.currentTarget.value))}
            />
          </div>
          <FormError error={move.error} known={["namespace", "name"]} />
          <div>
            <Button type="submit" variant="default" loading={move.isPending} disabled={same || !name}>
              Rename or move
            </Button>
          </div>
        </Stack>
      </form>
    </Panel>
  );
}

function Danger() {
  const project = useProject();
  const go = useGo();
  const client = useQueryClient();
  const changed = useProjectChanged();
  const [asking, setAsking] = useState(false);
  const archive = useMutation({
    mutationFn: () =>
      post(project.archived ? "/projects/{id}/unarchive" : "/projects/{id}/archive", undefined, {
        path: { id: project.id },
      }),
    onSuccess: (next) => {
      changed(next);
      toast("ok", project.archived ? "Project is active again" : "Project archived");
    },
    onError: (error) => toastError("The project was not changed", error),
  });
  const remove = useMutation({
    mutationFn: () => del("/projects/{id}", { path: { id: project.id }, version: project.version }),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["projects"] });
      toast("ok", `${project.path} is deleted`, "It can be restored within 30 days.");
      go("/");
    },
  });
  return (
    <Panel title="Archive or delete" className="dm-danger" flush>
      <ul className="dm-list">
        <li>
          <div className="dm-grow">
            <strong>{project.archived ? "Make it active again" : "Archive"}</strong>
            <div className="dm-meta">
              {project.archived
                ? "Pushes and builds are possible again."
                : "Everything can be read, nothing changed, until it is made active again."}
            </div>
          </div>
          <Button variant="default" loading={archive.isPending} onClick={() => archive.mutate()}>
            {project.archived ? "Unarchive" : "Archive"}
          </Button>
        </li>
        {can(project, "project:admin") ? (
          <li>
            <div className="dm-grow">
              <strong>Delete</strong>
              <div className="dm-meta">
                Code, runs, images and deployments disappear. Restoring is possible for 30 days.
              </div>
            </div>
            <Button variant="outline" color="red" onClick={() => setAsking(true)}>
              Delete
            </Button>
          </li>
        ) : null}
      </ul>
      <Confirm
        opened={asking}
        onClose={() => setAsking(false)}
        title="Delete this project?"
        verb="Delete project"
        danger
        type={project.path}
        busy={remove.isPending}
        error={remove.error}
        onConfirm={() => remove.mutate()}
      >
        What it runs is stopped. Within 30 days it can be restored from the list of deleted projects.
      </Confirm>
    </Panel>
  );
}

export default function Settings() {
  const project = useProject();
  useTitle("Settings", project.path);
  const [tab, setTab] = useParam("tab", "general");
  return (
    <>
      <PageHead title="Settings" />
      <Tabs value={tab} onChange={(v) => setTab(v ?? "general")}>
        <TabStrip value={tab}>
          <Tabs.Tab value="general">General</Tabs.Tab>
          <Tabs.Tab value="secrets">Secrets</Tabs.Tab>
          <Tabs.Tab value="variables">Variables</Tabs.Tab>
        </TabStrip>
        <Tabs.Panel value="general">
          <div className="dm-gap">
            <General />
            <Move />
            <Danger />
          </div>
        </Tabs.Panel>
        <Tabs.Panel value="secrets">
          <Secrets of={{ kind: "project", id: project.id }} />
        </Tabs.Panel>
        <Tabs.Panel value="variables">
          <Variables of={{ kind: "project", id: project.id }} />
        </Tabs.Panel>
      </Tabs>
    </>
  );
}
