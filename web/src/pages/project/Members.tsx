import { queries } from "@/api/queries";
import { can, useProject } from "@/app/project";
import { PageHead, useTitle } from "@/ui/bits";
import { MemberList } from "@/ui/MemberList";

export default function Members() {
  const project = useProject();
  useTitle("Members", project.path);
  const may = can(project, "member:write");
  return (
    <>
      <PageHead title="Members" about="Who may do what in this project, directly or through a group." />
      <MemberList
        of={{ kind: "project", id: project.id }}
        query={queries.members(project.id)}
        mayEdit={may}
      />
    </>
  );
}
