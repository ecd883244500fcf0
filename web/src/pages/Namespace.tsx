/** A group or a user: their projects, and the members of a group. */
import { Button, Tabs } from "@mantine/core";
import { IconFolders, IconPlus, IconUsersGroup } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { queries } from "@/api/queries";
import { Link, useParam } from "@/app/location";
import { paths } from "@/app/paths";
import { Main, NotFound } from "@/app/Shell";
import { useUser } from "@/app/session";
import { Avatar, Empty, PageHead, ProblemView, ProjectMark, Rows, useTitle } from "@/ui/bits";
import { MemberList } from "@/ui/MemberList";
import { ProjectList } from "@/ui/ProjectList";
import { HowToRegister, RunnerList } from "@/ui/RunnerList";
import { TabStrip } from "@/ui/TabStrip";
import { GroupSettings } from "./GroupSettings";
import { Secrets, Variables } from "./project/Config";

export default function Namespace({ path }: { path: string }) {
  useTitle(path);
  const group = useQuery(queries.group(path));
  const single = !path.includes("/");
  const user = useQuery({ ...queries.user(path), enabled: single && group.data === null, retry: false });
  const projects = useInfiniteQuery(queries.projects({ namespace: path, sort: "activity", order: "desc" }));
  const me = useUser();
  const [tab, setTab] = useParam("tab", "projects");
  if (group.error) {
    return (
      <Main narrow>
        <ProblemView error={group.error} />
      </Main>
    );
  }
  if (group.data === undefined || (single && group.data === null && user.isPending)) {
    return (
      <Main>
        <Rows />
      </Main>
    );
  }
  if (group.data === null && !user.data) return <NotFound />;
  const name = group.data?.display_name || user.data?.display_name || path;
  const mayCreate = me && (group.data || user.data?.id === me.id);
  const list = (
    <ProjectList
      full={false}
      query={projects}
      empty={
        <Empty icon={IconFolders} title="No projects here yet">
          {mayCreate ? "The first one is a minute away." : "Nothing that you may see."}
        </Empty>
      }
    />
  );
  return (
    <Main>
      <PageHead
        title={
          <span style={{ display: "flex", alignItems: "center", gap: 12 }}>
            {group.data ? <ProjectMark name={path} size={36} /> : <Avatar name={name} size={36} />}
            {name}
          </span>
        }
        about={group.data ? group.data.description || "Group" : `User ${path}`}
      >
        {mayCreate ? (
          <>
            {group.data ? (
              <Button
                variant="default"
                component={Link}
                href={`/-/groups?parent=${encodeURIComponent(path)}`}
                leftSection={<IconUsersGroup size={16} />}
              >
                New subgroup
              </Button>
            ) : null}
            <Button component={Link} href={paths.create(path)} leftSection={<IconPlus size={16} />}>
              New project
            </Button>
          </>
        ) : null}
      </PageHead>
      {group.data ? (
        <Tabs value={tab} onChange={(value) => setTab(value ?? "projects")}>
          <TabStrip value={tab}>
            <Tabs.Tab value="projects">Projects</Tabs.Tab>
            <Tabs.Tab value="members">Members</Tabs.Tab>
            {me ? <Tabs.Tab value="secrets">Secrets</Tabs.Tab> : null}
            {me ? <Tabs.Tab value="variables">Variables</Tabs.Tab> : null}
            {me ? <Tabs.Tab value="runners">Runners</Tabs.Tab> : null}
            {me ? <Tabs.Tab value="settings">Settings</Tabs.Tab> : null}
          </TabStrip>
          <Tabs.Panel value="projects">{list}</Tabs.Panel>
          <Tabs.Panel value="members">
            <MemberList of={{ kind: "group", id: path }} query={queries.groupMembers(path)} mayEdit={!!me} />
          </Tabs.Panel>
          <Tabs.Panel value="secrets">
            {tab === "secrets" ? <Secrets of={{ kind: "group", id: path }} /> : null}
          </Tabs.Panel>
          <Tabs.Panel value="variables">
            {tab === "variables" ? <Variables of={{ kind: "group", id: path }} /> : null}
          </Tabs.Panel>
          <Tabs.Panel value="runners">
            {tab === "runners" ? (
              <div className="dm-gap">
                <RunnerList of={{ group: path }} manage={me?.admin === true} />
                {me?.admin ? null : <HowToRegister />}
              </div>
            ) : null}
          </Tabs.Panel>
          <Tabs.Panel value="settings">
            <GroupSettings group={group.data} />
          </Tabs.Panel>
        </Tabs>
      ) : (
        list
      )}
    </Main>
  );
}
