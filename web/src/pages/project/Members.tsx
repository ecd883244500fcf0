import { seg } from "@/api/client";
import { queries } from "@/api/queries";
import { atLeast, can, useProject } from "@/app/project";
import { useUser } from "@/app/session";
import { PageHead, useTitle } from "@/ui/bits";
import { MemberList } from "@/ui/MemberList";

export default function Members() {
  const project = useProject();
  const user = useUser();
  useTitle("Members", project.path);
  const may = atLeast(project, "maintainer") || can(project, "member:write") || user?.admin === true;
  return (
    <>
      <PageHead title="Members" about="Who may do what in this project, directly or through a group." />
      <MemberList base={`/projects/${seg(project.id)}`} query={queries.members(project.id)} mayEdit={may} />
    </>
  );
}
