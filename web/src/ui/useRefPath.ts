/** Splits `ref/path` of an address with what is known about the project's refs. */
import { useQuery } from "@tanstack/react-query";
import { queries } from "@/api/queries";
import { splitRef } from "@/app/paths";
import { useProject } from "@/app/project";

export function useRefPath(rest: string): { ref: string; path: string } {
  const project = useProject();
  const first = rest.split("/", 1)[0] ?? "";
  // Only a ref with a slash that was written without encoding needs the list.
  const doubtful =
    rest.includes("/") &&
    !first.includes("%2F") &&
    first !== project.default_branch &&
    !/^[0-9a-f]{40,64}$/.test(first);
  const refs = useQuery({ ...queries.refs(project.id, first), enabled: doubtful }).data;
  if (rest === "") return { ref: project.default_branch, path: "" };
  return splitRef(rest, refs ? [...refs.branches, ...refs.tags].map((r) => r.name) : []);
}
