/** The project whose pages are shown. */
import { useQuery } from "@tanstack/react-query";
import { createContext, useContext } from "react";
import { queries } from "@/api/queries";
import type { Project } from "@/api/types";

export const ProjectContext = createContext<Project | null>(null);

export function useProject(): Project {
  const project = useContext(ProjectContext);
  if (!project) throw new Error("used outside of a project");
  return project;
}

/** Does the signed-in person hold a permission here? The server decides again on every request. */
export const can = (project: Project, permission: string): boolean =>
  project.permissions.includes(permission);

/** Is there anything in the repository? Undefined until it is known; an empty one has no tree to ask for. */
export function useHasCommits(): boolean | undefined {
  const project = useProject();
  const refs = useQuery(queries.refs(project.id));
  // Who may not see refs hears from the other reads why.
  if (refs.isError) return true;
  return refs.data ? refs.data.branches.length > 0 || refs.data.tags.length > 0 : undefined;
}
