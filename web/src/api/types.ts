/**
 * The shapes of the API by the names that the pages use. All of them come from `openapi.d.ts`, which is generated from
 * the description that the server prints; nothing is written by hand, so that a change there is an error here.
 */
import type { components } from "./openapi";

type Schemas = components["schemas"];

/** An answer holds every field: what may be missing in the description is `null` on the wire. */
export type Answer<T> = T extends (infer Item)[]
  ? Answer<Item>[]
  : T extends object
    ? { [Key in keyof T]-?: Answer<Exclude<T[Key], undefined>> }
    : T;

type Read<Name extends keyof Schemas> = Answer<Schemas[Name]>;

export interface Page<T> {
  items: T[];
  next: string | null;
}

/** A problem as the pages know it; one made without a server's answer lacks most fields. */
export type ProblemDoc = Pick<Schemas["ProblemBody"], "title" | "status" | "code"> &
  Partial<Schemas["ProblemBody"]>;
export type FieldError = Schemas["ProblemField"];

export type Instance = Read<"Instance">;
export type Readiness = Read<"Readiness">;
export type User = Read<"User">;
export type Token = Omit<Read<"Token">, "projects"> & { projects: string[] | null };
export type TokenMade = Read<"TokenMade">;
export type Permission = Read<"PermissionView">;
export type Role = Schemas["Role"];
export const ROLES: readonly Role[] = ["guest", "reporter", "developer", "maintainer", "owner"];
export type Visibility = Schemas["Visibility"];
export type Group = Read<"Group">;
export type Member = Read<"Member">;
export type Namespace = Read<"Namespace">;

export type Project = Read<"Project">;
export type ProjectCreate = Schemas["ProjectNew"];
export type Template = Read<"Template">;
export type TemplateParameter = Template["parameters"][number];
export type Operation = Read<"Operation">;
export type OperationStepState = Schemas["OperationStepState"];
export type Activity = Read<"Activity">;
export type Dependency = Read<"ProjectDependency">;

export type Refs = Read<"RefPage">;
export type RefItem = Read<"RefView">;
export type Tree = Read<"TreeView">;
export type TreeEntry = Read<"TreeEntryView">;
export type FileView = Read<"FileView">;
export type Readme = Read<"ReadmeView">;
export type Signature = Read<"SignatureView">;
export type Commit = Read<"CommitView">;
export type CommitDetail = Read<"CommitDetail">;
export type CommitStatus = Read<"CommitStatusView">;
export type DiffFile = Read<"FileDiffView">;

export type Language = Read<"ProjectLanguage">;
export type Quality = Read<"Quality">;
export type FunctionFacts = Read<"ProjectFunction">;
export type SearchMatch = Read<"SearchLine">;
export type SearchHit = Read<"FoundFile">;

export type Conclusion = Schemas["Conclusion"];
export type Diagnostic = Read<"Diagnostic">;
export type Workflow = Read<"WorkflowItem">;
export type Run = Read<"Run">;
export type RunDetail = Read<"RunWithJobs">;
export type Linked = Read<"Linked">;
export type Job = Read<"Job">;
export type JobQuestion = Read<"JobQuestion">;
export type Step = Read<"Step">;
export type Annotation = Read<"Annotation">;
export type Artifact = Read<"Artifact">;
export type TestCase = Read<"TestCase">;
export type TestReport = Read<"Tests">;
export type Coverage = Read<"Coverage">;
export type RunSummary = Read<"List_Summary">;
export type Schedule = Read<"Schedule">;
export type Secret = Read<"Secret">;
export type Variable = Read<"Variable">;
export type WhyJob = Read<"WhyJob">;
export type Test = Read<"Test">;
export type TestResult = Read<"TestResult">;
export type Queue = Read<"Queue">;
export type QueuedJob = Read<"QueuedJob">;
export type JobEnvironment = Read<"JobEnvironment">;
export type Runner = Read<"Runner">;

export type ImageRepository = Read<"Image">;
export type ImageTag = Read<"ImageTag">;
export type Release = Read<"Release">;
export type Environment = Read<"Environment">;
export type DeploymentStep = Read<"DeploymentStep">;
export type Deployment = Read<"Deployment">;
export type Watch = Read<"Watch">;
