//! The Plan: what every dialect compiles to, and the only thing the scheduler and the executors know.
//!
//! Text fields may hold `${{ }}`; they are interpolated when their context exists (`dialects::expr`): job fields on
//! the server when the job becomes ready, step fields on the runner just before the step.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::diagnostic::Span;

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
    /// For each job of the file why it is in the plan or not, where that is decided when the run is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
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
            decisions: Vec::new(),
        }
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
}

impl Trigger {
    /// The name of the event in the dialect.
    pub fn event(&self) -> &'static str {
        match self {
            Trigger::Push(_) => "push",
            Trigger::PullRequest { .. } => "pull_request",
            Trigger::WorkflowDispatch => "workflow_dispatch",
        }
    }
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

/// A job before expansion: with a matrix it becomes several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Key in the file, unique in the plan.
    pub key: String,
    /// Shown name, may hold expressions; none means the key and the matrix label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is written.
    pub span: Span,
    /// Keys of the jobs it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// `if`, without the surrounding `${{ }}`; evaluated before the matrix is expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Labels a runner must have, all of them.
    pub runs_on: Vec<String>,
    /// Environment of all its steps.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: Map,
    /// Name to expression, evaluated on the runner at the end of the job.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: Map,
    /// Matrix and how its jobs run together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Minutes until it is stopped; none means 360.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_minutes: Option<Late<f64>>,
    /// Its failure does not fail the run.
    pub continue_on_error: Late<bool>,
    /// Run the steps in this container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Containers beside it, by network name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub services: IndexMap<String, Container>,
    /// Defaults of its `run` steps, over those of the plan.
    #[serde(default)]
    pub defaults: RunDefaults,
    /// The environment it deploys to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Rights of its token, instead of those of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// Jobs that may not overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// What it does.
    pub steps: Vec<Step>,
    /// The stage it is shown in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What must happen before it may start, besides the jobs it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Tried again when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Exit codes of its script that do not fail the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_exit_codes: Vec<i32>,
    /// May be stopped when a newer run makes its own superfluous.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interruptible: bool,
    /// The called workflow that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Box<CallScope>>,
    /// It runs nothing: it ends when the jobs of the called workflow have, and gives out their outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_of: Option<CallResult>,
}

/// What surrounds the jobs of a called workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallScope {
    /// Begins the keys of its jobs: `caller/`.
    pub prefix: String,
    /// Keys of the jobs that the calling job waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// `if` of the calling job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The `inputs` context of its jobs; texts may hold expressions of the calling job.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, CallInput>,
    /// Its secrets by name, texts with expressions; none means all of the caller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Map>,
    /// Its `env`, instead of that of the plan.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: Map,
    /// Its `defaults`, instead of those of the plan.
    #[serde(default)]
    pub defaults: RunDefaults,
    /// Of the call that the calling job itself belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer: Option<Box<CallScope>>,
}

/// A value given to a called workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallInput {
    /// Literally, or a text with expressions.
    pub value: Value,
    /// Its type.
    pub r#type: InputType,
}

/// What a called workflow gives out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// Begins the keys of its jobs.
    pub prefix: String,
    /// Name to text with expressions over the `jobs` context.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: Map,
}

/// What a workflow that can be called asks for and gives out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallInterface {
    /// By name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, Input>,
    /// Name to whether it must be given.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub secrets: IndexMap<String, bool>,
    /// Name to text with expressions over the `jobs` context.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: Map,
}

impl Job {
    /// A job without steps that asks for no labels.
    pub fn new(key: impl Into<String>, span: Span) -> Self {
        Self {
            key: key.into(),
            name: None,
            span,
            needs: Vec::new(),
            condition: None,
            runs_on: Vec::new(),
            env: Map::new(),
            outputs: Map::new(),
            strategy: None,
            timeout_minutes: None,
            continue_on_error: Late::Known(false),
            container: None,
            services: IndexMap::new(),
            defaults: RunDefaults::default(),
            environment: None,
            permissions: None,
            concurrency: None,
            steps: Vec::new(),
            stage: None,
            gate: None,
            retry: None,
            allow_exit_codes: Vec::new(),
            interruptible: false,
            scope: None,
            result_of: None,
        }
    }
}

/// What holds a job that could start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Gate {
    /// Somebody starts it by hand.
    Manual {
        /// The jobs behind it wait; else it counts as skipped until somebody starts it.
        blocking: bool,
    },
    /// Time.
    Delay {
        /// Seconds from the moment it could have started.
        seconds: u64,
    },
    /// Somebody answers a question.
    Input {
        /// The question.
        message: String,
        /// Label of the button that goes on.
        ok: String,
        /// Names of those who may answer; empty means everybody who may start runs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        submitters: Vec<String>,
    },
}

/// When a failed job is tried again by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// How often at most.
    pub max: u8,
    /// Kinds of failure: `script_failure`, `runner_system_failure`, `job_execution_timeout`; empty means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<String>,
    /// Exit codes of the script; empty means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exit_codes: Vec<i32>,
}

/// The environment a job names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Name, may hold expressions.
    pub name: String,
    /// Shown address, may hold expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// How the jobs of a matrix run together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
    /// The combinations; none when only the other keys are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Matrix>,
    /// Cancel the others when one fails.
    pub fail_fast: Late<bool>,
    /// Most at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<Late<f64>>,
}

/// A matrix whose combinations are known, or one that needs a context first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matrix {
    /// Expanded when the file was read.
    Static(Vec<Cell>),
    /// The matrix as written (a text, or a mapping that holds texts with `${{ }}`), expanded by
    /// `dialects::matrix::expand` once its expressions are evaluated.
    Dynamic(Value),
}

/// One combination of a matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The `matrix` context.
    pub values: IndexMap<String, Value>,
    /// `a, b`: the scalar values of the vectors, as in the shown name `job (a, b)`; empty when there are none.
    pub label: String,
}

/// A job's container or a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// Image reference, may hold expressions; empty after evaluation means no container.
    pub image: String,
    /// Its environment.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: Map,
    /// `8080:80`, `80`, `53:53/udp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// `name:/path` or `/host:/path`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Options of `docker create`; the executor refuses those it does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// For a private registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Program of a service, instead of the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Its arguments, instead of the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Where it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
}

/// Name and password for a registry; both may hold expressions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credentials {
    /// Who.
    pub username: String,
    /// Usually `${{ secrets.X }}`.
    pub password: String,
}

/// One step of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// For `steps.<id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Shown name, may hold expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `if`, without the surrounding `${{ }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Over the job's environment.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: Map,
    /// Minutes until it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_minutes: Option<Late<f64>>,
    /// Its failure does not fail the job.
    pub continue_on_error: Late<bool>,
    /// Where it is written.
    pub span: Span,
    /// What it does.
    pub kind: StepKind,
}

impl Step {
    /// The name to show before (or without) interpolation: given, first line of the script, or the action.
    pub fn title(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        match &self.kind {
            StepKind::Run { script, .. } => format!("Run {}", script.trim().lines().next().unwrap_or_default()),
            StepKind::Uses { action, version, .. } if version.is_empty() => format!("Run {}", action.as_str()),
            StepKind::Uses { action, version, .. } => format!("Run {}@{version}", action.as_str()),
            StepKind::Custom { uses, .. } => format!("Run {uses}"),
            StepKind::Jenkins { file, .. } => format!("Run {file}"),
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StepKind {
    /// A script.
    Run {
        /// Its text.
        script: String,
        /// `bash`, `sh`, `python`, `pwsh`, or a command line that holds `{0}`; none is the default shell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shell: Option<String>,
        /// Below the workspace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        working_directory: Option<String>,
    },
    /// A declarative pipeline, which the runner interprets.
    Jenkins {
        /// Path of the file.
        file: String,
        /// Its text.
        text: String,
    },
    /// A built-in action.
    Uses {
        /// Which.
        action: Action,
        /// What was written after `@`; informs only, the built-in is the same for every version.
        version: String,
        /// Its inputs.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        with: Map,
    },
    /// An action whose files lie in a repository, or an image.
    Custom {
        /// As written: `./path`, `owner/name/path@ref`, `docker://image`.
        uses: String,
        /// Its inputs.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        with: Map,
        /// What it was found to be; none where nobody could look.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<Box<CustomAction>>,
    },
}

/// An action of a repository, read when the run was planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustomAction {
    /// Where its files are.
    pub place: ActionPlace,
    /// The name it gives itself.
    pub name: String,
    /// Its inputs with their defaults, which may hold expressions.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, ActionInput>,
    /// Outputs of a composite action: name to text with expressions.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: Map,
    /// What it does.
    pub runs: ActionRuns,
}

/// Where the files of an action are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ActionPlace {
    /// In the workspace, where the job has checked them out.
    Workspace {
        /// Directory below it; empty for the top.
        path: String,
    },
    /// In a repository of this instance.
    Repository {
        /// Path of its project.
        repository: String,
        /// Id of the project.
        project: String,
        /// The commit that the ref was when the run was planned.
        commit: String,
        /// Directory in it; empty for the top.
        path: String,
    },
    /// Nowhere: it is an image.
    Image,
}

/// One input of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionInput {
    /// Used when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Must be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// How an action runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "using", rename_all = "snake_case")]
pub enum ActionRuns {
    /// Steps of its own.
    Composite {
        /// Them.
        steps: Vec<Step>,
    },
    /// A program for Node.
    Node {
        /// Path of its file.
        main: String,
        /// Run before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pre: Option<ActionHook>,
        /// Run at the end of the job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post: Option<ActionHook>,
    },
    /// A container.
    Docker {
        /// `docker://image`, or the path of a Dockerfile.
        image: String,
        /// Program instead of the image's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entrypoint: Option<String>,
        /// Arguments, may hold expressions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        args: Vec<String>,
        /// Environment, may hold expressions.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        env: Map,
    },
}

/// A program of an action beside its main one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionHook {
    /// Path of its file.
    pub file: String,
    /// `pre-if` or `post-if`; `always()` when not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The actions the executors carry out themselves.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Action { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl Action {
            /// All of them.
            pub const ALL: &'static [Action] = &[$(Action::$name,)*];
            /// `owner/name[/path]` as written in `uses`.
            pub fn as_str(self) -> &'static str { match self { $(Action::$name => $text,)* } }
        }
    };
}

actions! {
    /// Clone the commit of the run into the workspace.
    Checkout = "actions/checkout";
    /// Restore now, save at the end of the job.
    Cache = "actions/cache";
    /// Restore only.
    CacheRestore = "actions/cache/restore";
    /// Save only.
    CacheSave = "actions/cache/save";
    /// Store files with the run.
    UploadArtifact = "actions/upload-artifact";
    /// Fetch files of the run.
    DownloadArtifact = "actions/download-artifact";
    /// Choose an installed Node.
    SetupNode = "actions/setup-node";
    /// Choose an installed Python.
    SetupPython = "actions/setup-python";
    /// Choose an installed Go.
    SetupGo = "actions/setup-go";
    /// Choose an installed JDK.
    SetupJava = "actions/setup-java";
    /// Choose an installed Rust.
    RustToolchain = "dtolnay/rust-toolchain";
    /// Choose an installed Rust.
    SetupRustToolchain = "actions-rust-lang/setup-rust-toolchain";
    /// Sign in to a registry.
    DockerLogin = "docker/login-action";
    /// Build an image and push it.
    DockerBuildPush = "docker/build-push-action";
    /// Build an image with Docker or, without it, by layering a static root; push it to the project's registry path.
    BuildImage = "devmentor/build-image";
    /// Deploy an image to an environment.
    Deploy = "devmentor/deploy";
    /// Read test and coverage reports.
    Report = "devmentor/report";
    /// Read variables from files for later jobs, or take those of earlier ones.
    Dotenv = "devmentor/dotenv";
}

impl Action {
    /// Finds a built-in by its `owner/name[/path]`; owners and names are compared without case.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|a| a.as_str().eq_ignore_ascii_case(name))
    }
}
