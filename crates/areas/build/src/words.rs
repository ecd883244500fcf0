//! The closed sets of words in this area's answers, as types, so that the API's description lists them. The values
//! themselves are text: they come from the database as they are shown.

use serde_json::Value;
use utoipa::ToSchema;

/// Where a run is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum RunState {
    /// Nothing of it has begun.
    Queued,
    /// Some job has begun.
    Running,
    /// It has a conclusion.
    Completed,
}

/// Where a schedule comes from.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ScheduleSource {
    /// A workflow file of the default branch.
    File,
    /// Somebody made it.
    User,
}

/// What an environment is for.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum EnvironmentTier {
    /// People use it.
    Production,
    /// Like production, for a last look.
    Staging,
    /// For tests.
    Testing,
    /// For those who write it.
    Development,
    /// Anything else.
    Other,
}

/// Does an environment of jobs stand?
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum JobEnvironmentState {
    /// It does.
    Available,
    /// A job takes it down.
    Stopping,
    /// It does not.
    Stopped,
}

/// In which order the jobs of a resource group take their turns.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ProcessMode {
    /// As they became ready.
    Unordered,
    /// Those of older runs first, also when they are not ready yet.
    OldestFirst,
    /// Those of newer runs first, also when they are not ready yet.
    NewestFirst,
    /// Of those that are ready those of newer runs first.
    NewestReadyFirst,
}

/// What happens with times of a schedule that passed while the service was down.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum MissedTimes {
    /// One run for all of them.
    Once,
    /// Nothing.
    Skip,
}

/// Where a job is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum JobState {
    /// For the jobs that it needs.
    Waiting,
    /// For a runner.
    Queued,
    /// No runner could take it; the reason says why.
    Unschedulable,
    /// A runner has it.
    Running,
    /// It has a conclusion.
    Completed,
}

/// Where a step is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum StepState {
    /// Its turn has not come.
    Pending,
    /// It runs.
    Running,
    /// It has a conclusion.
    Completed,
}

/// How a run, a job or a step ended.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Conclusion {
    /// It passed.
    Success,
    /// It failed.
    Failure,
    /// Somebody, or a later run, stopped it.
    Cancelled,
    /// Its condition did not hold.
    Skipped,
}

/// What holds a job that could start.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum GateKind {
    /// Somebody starts it.
    Manual,
    /// Time.
    Delay,
    /// Somebody answers.
    Input,
}

/// How a test case ended.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum TestStatus {
    /// As it should.
    Passed,
    /// An assertion did not hold.
    Failed,
    /// It did not run.
    Skipped,
    /// It broke.
    Error,
}

/// Is a runner there?
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum RunnerState {
    /// It was seen lately.
    Online,
    /// It was seen lately, and takes no more jobs.
    Draining,
    /// It was not.
    Offline,
}

/// How bad something is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Severity {
    /// It stops the run.
    Error,
    /// It may surprise.
    Warning,
    /// Good to know.
    Notice,
}

/// A message about a place in a workflow file; line 0 is the file as a whole.
#[derive(ToSchema)]
pub struct Diagnostic {
    /// Path in the repository.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Does it stop the run?
    pub severity: Severity,
    /// Stable code to match on.
    pub code: String,
    /// What is wrong, and what happens instead.
    pub message: String,
}

/// A remark of a step, possibly about a place in a file.
#[derive(ToSchema)]
pub struct Annotation {
    /// How grave.
    pub severity: Severity,
    /// The text.
    pub message: String,
    /// A short title.
    pub title: Option<String>,
    /// Path in the repository.
    pub file: Option<String>,
    /// First line, from 1.
    pub line: Option<u32>,
    /// Last line.
    pub end_line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
    /// Index of the step.
    pub step: Option<u32>,
}

/// An input of a manual start.
#[derive(ToSchema)]
pub struct WorkflowInput {
    /// For people.
    pub description: String,
    /// Must be given unless there is a default.
    pub required: bool,
    /// Used when not given.
    pub default: Option<Value>,
    /// Its type.
    pub r#type: InputType,
    /// What a choice allows.
    pub options: Option<Vec<String>>,
}

/// Type of an input.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum InputType {
    /// Any text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// One of the options.
    Choice,
    /// Name of an environment.
    Environment,
}

/// How far a run is trusted.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Trust {
    /// It is of the default branch's history: it gets all that there is for it.
    Protected,
    /// A member started it: it gets what is not protected.
    Member,
    /// Nobody who may write stands behind it: no secrets, no identity, a token that only reads.
    Untrusted,
}

/// The language of a pipeline file.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Dialect {
    /// `.github/workflows/*.yml`.
    GithubActions,
    /// `.gitlab-ci.yml`.
    GitlabCi,
    /// `Jenkinsfile`.
    Jenkinsfile,
    /// No file: made from what lies in the repository.
    Detected,
}

/// The word for the language of a pipeline file, by its path.
pub fn dialect(path: &str, detected: bool) -> &'static str {
    if detected {
        "detected"
    } else if dialects::github::is_workflow(path) {
        "github_actions"
    } else if path.ends_with(".yml") || path.ends_with(".yaml") {
        // the files of child pipelines have any name
        "gitlab_ci"
    } else {
        "jenkinsfile"
    }
}
