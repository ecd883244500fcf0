/** The project whose pages are shown. */
import { createContext, useContext } from "react";
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
