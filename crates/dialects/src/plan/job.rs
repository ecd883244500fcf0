//! A job of the Plan: when it runs, where, and with what around it.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Concurrency, Input, InputType, Late, Map, Permissions, RunDefaults, Span, Step};

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
    /// Variables that hold an identity token when it starts, each with the audiences it is for.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub id_tokens: IndexMap<String, Vec<String>>,
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
    /// Finds the percentage that its log states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<String>,
    /// It runs nothing: it starts another pipeline, to which `env` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downstream: Option<Box<Downstream>>,
}

/// A pipeline that a job starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Downstream {
    /// Path of the project whose pipeline it is, may hold expressions; none means a child pipeline of the same commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Its branch or tag, may hold expressions; none means its default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What makes up a child pipeline: the entries of its `include`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub include: Value,
    /// Names of the artifacts of jobs that `include` takes files from, by job.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub artifacts: Map,
    /// Inputs of the pipeline of another project; texts may hold expressions.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, Value>,
    /// What its end means for the job.
    #[serde(default)]
    pub follow: Follow,
    /// It also gets what a person gave to this pipeline.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_given: bool,
}

/// What the end of a pipeline means for the job that started it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follow {
    /// Nothing: the job has ended once the pipeline is made.
    #[default]
    Never,
    /// The job waits for it and succeeds only if it did.
    Depend,
    /// The job waits for it and ends as it did.
    Mirror,
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
    /// The `matrix` context of the calling job.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub matrix: IndexMap<String, Value>,
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
            id_tokens: IndexMap::new(),
            steps: Vec::new(),
            stage: None,
            gate: None,
            retry: None,
            allow_exit_codes: Vec::new(),
            interruptible: false,
            scope: None,
            result_of: None,
            coverage: None,
            downstream: None,
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Name, may hold expressions.
    pub name: String,
    /// Shown address, may hold expressions; evaluated at the end of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the job does with it.
    #[serde(default, skip_serializing_if = "EnvironmentAction::is_start")]
    pub action: EnvironmentAction,
    /// What it is for: `production`, `staging`, `testing`, `development`, `other`; none is told from its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Key of the job that stops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_stop: Option<String>,
    /// Stopped so many seconds after the job; 0 takes back what an earlier job said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_stop_seconds: Option<u64>,
}

impl Environment {
    /// What an environment of this name is for.
    pub fn tier_of(name: &str) -> &'static str {
        const WORDS: &[(&str, &[&str])] = &[
            ("development", &["dev", "review", "trunk"]),
            ("testing", &["test", "tst", "int", "accept", "acpt", "qa", "qc", "control", "quality"]),
            ("staging", &["stg", "stag", "model", "modl", "pre", "demo", "non"]),
            ("production", &["prd", "prod", "live"]),
        ];
        let name = name.to_lowercase();
        WORDS.iter().find(|(_, words)| words.iter().any(|w| name.contains(w))).map_or("other", |(tier, _)| tier)
    }
}

/// What a job does with its environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentAction {
    /// Deploys to it.
    #[default]
    Start,
    /// Takes it down.
    Stop,
    /// Makes it ready for a deployment.
    Prepare,
    /// Looks whether it is well.
    Verify,
    /// Uses it.
    Access,
}

impl EnvironmentAction {
    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Prepare => "prepare",
            Self::Verify => "verify",
            Self::Access => "access",
        }
    }

    /// From the text form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Start, Self::Stop, Self::Prepare, Self::Verify, Self::Access].into_iter().find(|a| a.as_str() == text)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    fn is_start(&self) -> bool {
        *self == Self::Start
    }
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
