import { seg } from "@/api/client";
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
      <MemberList base={`/projects/${seg(project.id)}`} query={queries.members(project.id)} mayEdit={may} />
    </>
  );
}
