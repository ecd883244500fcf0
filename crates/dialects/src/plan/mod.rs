//! The Plan: what every dialect compiles to, and the only thing the scheduler and the executors know.
//!
//! Text fields may hold `${{ }}`; they are interpolated when their context exists (`dialects::expr`): job fields on
//! the server when the job becomes ready, step fields on the runner just before the step.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod job;
mod step;

pub use crate::diagnostic::Span;
pub use job::{
    CallInput, CallInterface, CallResult, CallScope, Cell, Container, Credentials, Downstream, Environment, EnvironmentAction, Follow,
    Gate, Job, Matrix, Retry, Strategy,
};
pub use step::{Action, ActionHook, ActionInput, ActionPlace, ActionRuns, CustomAction, Step, StepKind};

/// Ordered names and texts, as written in the file.
pub type Map = IndexMap<String, String>;

/// A value known when the file was read, or an expression that gives it later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Late<T> {
    /// Written literally.
    Known(T),
    /// A text with `${{ }}`.
    Expr(String),
}

impl<T: Copy> Late<T> {
    /// The literal value, if it is one.
    pub fn known(&self) -> Option<T> {
        match self {
            Late::Known(v) => Some(*v),
            Late::Expr(_) => None,
        }
    }
}

/// Which language the file was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// One workflow, compiled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Where it came from.
    pub dialect: Dialect,
    /// Path of the workflow file; of a detected plan the file that decided.
    pub source: String,
    /// Shown name.
    pub name: String,
    /// Name of each run, may hold expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_name: Option<String>,
    /// What starts it.
    pub triggers: Vec<Trigger>,
    /// Workflow-level environment.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: Map,
    /// Defaults for `run` steps.
    #[serde(default)]
    pub defaults: RunDefaults,
    /// Rights of the job token; none means the project's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// Runs that may not overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Inputs of a manual start.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, Input>,
    /// For other workflows that call it; none when it cannot be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallInterface>,
    /// Jobs in the order of the file.
    pub jobs: Vec<Job>,
    /// Stages in the order they are shown; empty where the dialect has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<String>,
    /// When the service stops it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_cancel: Option<AutoCancel>,
    /// For each job of the file why it is in the plan or not, where that is decided when the run is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
    /// What was fetched from other services to make it, as it was then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<Included>,
}

/// A file that is of no repository of this service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Included {
    /// Its address.
    pub file: String,
    /// `sha256:…` of its bytes.
    pub digest: String,
}

/// When a run is stopped without anybody asking for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoCancel {
    /// When a newer commit of the ref is built.
    pub on_new_commit: OnNewCommit,
    /// All of it, when a job has failed whose failure counts.
    #[serde(default)]
    pub on_job_failure: bool,
}

/// What a newer commit does to a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNewCommit {
    /// Stops it, unless a job that may not be interrupted has begun.
    #[default]
    Conservative,
    /// Stops the jobs that may be interrupted.
    Interruptible,
    /// Nothing.
    None,
}

/// Whether a job of the file is in the plan, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Its key in the file.
    pub job: String,
    /// Is it in?
    pub included: bool,
    /// What decided: the rule, or the job.
    pub span: Span,
    /// In plain words, with the values that were compared.
    pub because: String,
}

/// A text that interpolates to itself, whatever it holds.
pub fn literal(text: &str) -> String {
    text.replace("${{", "${{ '${{' }}")
}

impl Plan {
    /// A plan without triggers and jobs.
    pub fn new(dialect: Dialect, source: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            dialect,
            source: source.into(),
            name: name.into(),
            run_name: None,
            triggers: Vec::new(),
            env: Map::new(),
            defaults: RunDefaults::default(),
            permissions: None,
            concurrency: None,
            inputs: IndexMap::new(),
            call: None,
            jobs: Vec::new(),
            stages: Vec::new(),
            auto_cancel: None,
            decisions: Vec::new(),
            includes: Vec::new(),
        }
    }

    /// When the clock starts it.
    pub fn schedules(&self) -> impl Iterator<Item = &Schedule> {
        self.triggers.iter().flat_map(|t| match t {
            Trigger::Schedule { schedules } => schedules.as_slice(),
            _ => &[],
        })
    }

    /// Which runs of other workflows start it.
    pub fn workflow_run(&self) -> Option<&WorkflowRun> {
        self.triggers.iter().find_map(|t| match t {
            Trigger::WorkflowRun(run) => Some(run),
            _ => None,
        })
    }

    /// The job of that key.
    pub fn job(&self, key: &str) -> Option<&Job> {
        self.jobs.iter().find(|j| j.key == key)
    }
}

/// Why a workflow starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Trigger {
    /// Branches or tags were pushed.
    Push(RefFilter),
    /// A pull request was opened or changed.
    PullRequest {
        /// Which activities; empty means opened, synchronize, reopened.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        types: Vec<String>,
        /// `branches` are those of the base.
        #[serde(flatten)]
        filter: RefFilter,
    },
    /// By hand or by the API.
    WorkflowDispatch,
    /// By the clock.
    Schedule {
        /// The times.
        schedules: Vec<Schedule>,
    },
    /// Another workflow was asked for, started or ended.
    WorkflowRun(WorkflowRun),
    /// A run of another project ended on its default branch.
    Upstream {
        /// Paths of the projects, in lower case.
        projects: Vec<String>,
        /// The worst result that counts: `SUCCESS`, `UNSTABLE`, `FAILURE`.
        threshold: String,
    },
    /// Any other event of the dialect.
    Other {
        /// Its name.
        name: String,
        /// Which activities; empty means all, for a pull request opened, synchronize and reopened.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        types: Vec<String>,
        /// `branches` are those of the base.
        #[serde(flatten)]
        filter: RefFilter,
    },
}

impl Trigger {
    /// The name of the event in the dialect.
    pub fn event(&self) -> &str {
        match self {
            Trigger::Push(_) => "push",
            Trigger::PullRequest { .. } => "pull_request",
            Trigger::WorkflowDispatch => "workflow_dispatch",
            Trigger::Schedule { .. } => "schedule",
            Trigger::WorkflowRun(_) => "workflow_run",
            Trigger::Upstream { .. } => "upstream",
            Trigger::Other { name, .. } => name,
        }
    }
}

/// One line of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Minute, hour, day, month, weekday.
    pub cron: String,
    /// Name of the time zone; none is UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Where it is written.
    pub span: Span,
}

/// Which runs of other workflows start this one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkflowRun {
    /// Names of the workflows; later ones win, `!` negates. Empty means none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workflows: Vec<String>,
    /// `requested`, `in_progress`, `completed`; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// `branches` are those of the other run.
    #[serde(flatten)]
    pub filter: RefFilter,
}

/// Patterns on refs and paths. Absent and empty differ: `branches: []` matches no branch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RefFilter {
    /// Branch patterns, later ones win, `!` negates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches: Option<Vec<String>>,
    /// Branches left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches_ignore: Option<Vec<String>>,
    /// Tag patterns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Tags left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags_ignore: Option<Vec<String>>,
    /// Changed files, at least one must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Changed files that do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths_ignore: Option<Vec<String>>,
}

/// Defaults of `run` steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunDefaults {
    /// Shell, as in [`StepKind::Run`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Directory below the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
}

/// What the job token may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permissions {
    /// `read-all`.
    ReadAll,
    /// `write-all`.
    WriteAll,
    /// Scope to level; scopes left out have none.
    Scopes(IndexMap<String, Level>),
}

/// How much of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing.
    None,
    /// Look.
    Read,
    /// Look and change.
    Write,
}

impl Permissions {
    /// The level of a scope such as `contents`, `packages`, `deployments`.
    pub fn level(&self, scope: &str) -> Level {
        match self {
            Permissions::ReadAll => Level::Read,
            Permissions::WriteAll => Level::Write,
            Permissions::Scopes(map) => map.get(scope).copied().unwrap_or(Level::None),
        }
    }
}

/// At most one running and one pending per group; names are compared without case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Group name, may hold expressions.
    pub group: String,
    /// Cancel what runs instead of waiting for it.
    pub cancel_in_progress: Late<bool>,
    /// All that wait keep their turn, in the order they came; else a newer one takes the place of the one that waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queue: bool,
}

/// One input of `workflow_dispatch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Must be given unless there is a default.
    #[serde(default)]
    pub required: bool,
    /// Used when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Its type.
    pub r#type: InputType,
    /// Allowed values of a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// Type of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputType {
    /// Any text.
    String,
    /// true or false.
    Boolean,
    /// A number.
    Number,
    /// One of `options`.
    Choice,
    /// Name of an environment.
    Environment,
}
