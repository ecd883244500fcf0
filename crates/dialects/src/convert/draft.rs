//! What a pipeline says, in no dialect's words: the middle of every conversion.
//!
//! It keeps what the dialects share: jobs with their scripts, conditions over facts of the run, matrices, caches and
//! artifacts. What only one of them knows becomes a difference where it is read, never here.

use indexmap::IndexMap;

use crate::diagnostic::Span;
use crate::plan::{Input, RefFilter};

use super::Target;

/// A fact of a run that each dialect has a name for, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Sha,
    RefName,
    Ref,
    Branch,
    Tag,
    DefaultBranch,
    RunId,
    RunNumber,
    Repository,
    Actor,
    Workspace,
    Token,
    Event,
    BaseRef,
    HeadRef,
    Job,
    Server,
}

/// Expression of GitHub, its environment variable, variable of GitLab, variable of Jenkins. An empty text: there is none.
const FACTS: &[(Fact, [&str; 4])] = &[
    (Fact::Sha, ["github.sha", "GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT"]),
    (Fact::RefName, ["github.ref_name", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME", "BRANCH_NAME"]),
    (Fact::Ref, ["github.ref", "GITHUB_REF", "", ""]),
    (Fact::Branch, ["github.ref_name", "GITHUB_REF_NAME", "CI_COMMIT_BRANCH", "BRANCH_NAME"]),
    (Fact::Tag, ["github.ref_name", "GITHUB_REF_NAME", "CI_COMMIT_TAG", "TAG_NAME"]),
    (Fact::DefaultBranch, ["github.event.repository.default_branch", "", "CI_DEFAULT_BRANCH", ""]),
    (Fact::RunId, ["github.run_id", "GITHUB_RUN_ID", "CI_PIPELINE_ID", "BUILD_ID"]),
    (Fact::RunNumber, ["github.run_number", "GITHUB_RUN_NUMBER", "CI_PIPELINE_IID", "BUILD_NUMBER"]),
    (Fact::Repository, ["github.repository", "GITHUB_REPOSITORY", "CI_PROJECT_PATH", ""]),
    (Fact::Actor, ["github.actor", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", ""]),
    (Fact::Workspace, ["github.workspace", "GITHUB_WORKSPACE", "CI_PROJECT_DIR", "WORKSPACE"]),
    (Fact::Token, ["github.token", "", "CI_JOB_TOKEN", ""]),
    (Fact::Event, ["github.event_name", "GITHUB_EVENT_NAME", "CI_PIPELINE_SOURCE", ""]),
    (Fact::BaseRef, ["github.base_ref", "GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CHANGE_TARGET"]),
    (Fact::HeadRef, ["github.head_ref", "GITHUB_HEAD_REF", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CHANGE_BRANCH"]),
    (Fact::Job, ["github.job", "GITHUB_JOB", "CI_JOB_NAME", "STAGE_NAME"]),
    (Fact::Server, ["github.server_url", "GITHUB_SERVER_URL", "CI_SERVER_URL", ""]),
];

/// Events: the name in GitHub's words, and in GitLab's.
pub(super) const EVENTS: &[(&str, &str)] =
    &[("push", "push"), ("pull_request", "merge_request_event"), ("workflow_dispatch", "web"), ("schedule", "schedule")];

impl Fact {
    fn row(self) -> [&'static str; 4] {
        FACTS.iter().find(|(f, _)| *f == self).map_or([""; 4], |(_, row)| *row)
    }

    /// The expression of GitHub.
    pub(super) fn expression(self) -> &'static str {
        self.row()[0]
    }

    /// The environment variable of a dialect.
    pub(super) fn variable(self, target: Target) -> Option<&'static str> {
        Some(self.row()[column(target)]).filter(|n| !n.is_empty())
    }

    /// The fact that a variable of a dialect holds.
    pub(super) fn of_variable(name: &str, dialect: Target) -> Option<Self> {
        FACTS.iter().find(|(_, row)| row[column(dialect)] == name).map(|(f, _)| *f)
    }

    /// The fact that an expression of GitHub gives.
    pub(super) fn of_expression(path: &str) -> Option<Self> {
        FACTS.iter().find(|(_, row)| row[0] == path).map(|(f, _)| *f)
    }
}

fn column(dialect: Target) -> usize {
    match dialect {
        Target::Github => 1,
        Target::Gitlab => 2,
        Target::Jenkins => 3,
    }
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Lit(String),
    /// A variable of the environment.
    Var(String),
    Fact(Fact),
    Secret(String),
    Matrix(String),
    Input(String),
    /// What a step of the same job gave out.
    Output(String, String),
    /// Digest of files.
    Hash(Vec<String>),
    /// As written; no other dialect has it.
    Foreign(String),
}

/// A text with values in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Text(pub(super) Vec<Piece>);

impl Text {
    pub(super) fn lit(text: impl Into<String>) -> Self {
        Self(vec![Piece::Lit(text.into())])
    }

    /// The text, if nothing in it has to be found out.
    pub(super) fn plain(&self) -> Option<String> {
        self.0.iter().map(|p| if let Piece::Lit(t) = p { Some(t.as_str()) } else { None }).collect()
    }

    /// As a script holds it before anybody replaces anything.
    pub(super) fn literals(&self) -> String {
        self.0.iter().filter_map(|p| if let Piece::Lit(t) = p { Some(t.as_str()) } else { None }).collect()
    }
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Side {
    Text(String),
    Fact(Fact),
    Var(String),
    Input(String),
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cond {
    True,
    Not(Box<Cond>),
    All(Vec<Cond>),
    Any(Vec<Cond>),
    Same(Side, Side),
    /// Set, and not empty.
    Set(Side),
    Starts(Side, String),
    Ends(Side, String),
    Contains(Side, String),
    /// A regular expression.
    Matches(Side, String),
    /// Files that were changed by what was pushed.
    Changed(Vec<String>),
    /// Files that are there.
    Exists(Vec<String>),
    /// As written; no other dialect has it.
    Foreign(String),
}

impl Cond {
    pub(super) fn not(self) -> Self {
        match self {
            Cond::Not(inner) => *inner,
            other => Cond::Not(Box::new(other)),
        }
    }

    pub(super) fn and(self, other: Cond) -> Self {
        match (self, other) {
            (Cond::True, c) | (c, Cond::True) => c,
            (a, b) if a == b => a,
            (a, Cond::All(list)) => list.into_iter().fold(a, Cond::and),
            (Cond::All(mut list), b) => {
                if !list.contains(&b) {
                    list.push(b);
                }
                Cond::All(list)
            }
            (a, b) => Cond::All(vec![a, b]),
        }
    }

    pub(super) fn or(self, other: Cond) -> Self {
        match (self, other) {
            (Cond::True, _) | (_, Cond::True) => Cond::True,
            (Cond::Any(mut list), b) => {
                list.push(b);
                Cond::Any(list)
            }
            (a, b) => Cond::Any(vec![a, b]),
        }
    }
}

/// Which results of what came before let something run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Base {
    #[default]
    Success,
    Failure,
    Always,
}

/// When something runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct When {
    pub(super) base: Base,
    pub(super) cond: Cond,
    /// Also when jobs it needs were left out: as in GitLab and Jenkins.
    pub(super) through: bool,
}

impl Default for When {
    fn default() -> Self {
        Self { base: Base::Success, cond: Cond::True, through: false }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Does {
    Script {
        text: Text,
        shell: Option<String>,
        dir: Option<Text>,
    },
    Checkout,
    /// A tool chain, by its action and version.
    Setup {
        action: String,
        with: IndexMap<String, Text>,
    },
    Cache {
        key: Text,
        restore: Vec<Text>,
        paths: Vec<String>,
        pull: bool,
        push: bool,
    },
    Upload {
        name: Text,
        paths: Vec<String>,
        exclude: Vec<String>,
    },
    /// Files of the artifact of that name; none is all of them.
    Download {
        name: Option<Text>,
        path: Option<String>,
    },
    /// Kind of report to files.
    Report(Vec<(String, Vec<String>)>),
    /// An action of GitHub's kind.
    Action {
        uses: String,
        with: IndexMap<String, Text>,
    },
    /// Starts another pipeline.
    Start(Start),
    /// Code that only Jenkins runs.
    Groovy(String),
}

/// Another pipeline that a job starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Start {
    /// Of which project; none is a child of the same commit.
    pub(super) project: Option<Text>,
    pub(super) branch: Option<Text>,
    /// Files that a child is made of.
    pub(super) files: Vec<String>,
    /// Waits for its end, and ends as it does.
    pub(super) wait: bool,
    /// What it is given, by name.
    pub(super) given: IndexMap<String, Text>,
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) span: Span,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) when: When,
    pub(super) env: IndexMap<String, Text>,
    pub(super) timeout: Option<f64>,
    pub(super) may_fail: bool,
    pub(super) does: Does,
}

impl Step {
    pub(super) fn new(span: &Span, does: Does) -> Self {
        Self { span: span.clone(), id: None, name: None, when: When::default(), env: IndexMap::new(), timeout: None, may_fail: false, does }
    }

    pub(super) fn script(span: &Span, text: Text) -> Self {
        Self::new(span, Does::Script { text, shell: None, dir: None })
    }
}

/// A container of a job, or beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Image {
    pub(super) name: Text,
    pub(super) args: Option<String>,
    pub(super) env: IndexMap<String, Text>,
    pub(super) ports: Vec<String>,
    pub(super) command: Vec<String>,
}

/// The combinations of a matrix.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Matrix {
    pub(super) cells: Vec<IndexMap<String, String>>,
    pub(super) fail_fast: bool,
    pub(super) max_parallel: Option<f64>,
}

/// What holds a job that could start.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Gate {
    Manual { blocking: bool },
    Delay(u64),
    Question(String),
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub(super) key: String,
    pub(super) span: Span,
    pub(super) title: Option<Text>,
    pub(super) stage: Option<String>,
    pub(super) needs: Vec<String>,
    pub(super) when: When,
    pub(super) labels: Vec<Text>,
    pub(super) image: Option<Image>,
    pub(super) services: IndexMap<String, Image>,
    pub(super) env: IndexMap<String, Text>,
    pub(super) matrix: Option<Matrix>,
    pub(super) timeout: Option<f64>,
    pub(super) may_fail: bool,
    pub(super) retry: u8,
    pub(super) environment: Option<(Text, Option<Text>)>,
    /// Jobs of one name do not overlap.
    pub(super) group: Option<Text>,
    pub(super) gate: Option<Gate>,
    pub(super) interruptible: bool,
    pub(super) steps: Vec<Step>,
}

impl Job {
    pub(super) fn new(key: impl Into<String>, span: &Span) -> Self {
        Self {
            key: key.into(),
            span: span.clone(),
            title: None,
            stage: None,
            needs: Vec::new(),
            when: When::default(),
            labels: Vec::new(),
            image: None,
            services: IndexMap::new(),
            env: IndexMap::new(),
            matrix: None,
            timeout: None,
            may_fail: false,
            retry: 0,
            environment: None,
            group: None,
            gate: None,
            interruptible: false,
            steps: Vec::new(),
        }
    }
}

/// A pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Draft {
    pub(super) name: Option<String>,
    /// Pushes that start it; none: no push does.
    pub(super) push: Option<RefFilter>,
    /// Pull requests that start it.
    pub(super) pull_request: Option<RefFilter>,
    pub(super) schedules: Vec<String>,
    pub(super) by_hand: bool,
    pub(super) inputs: IndexMap<String, Input>,
    pub(super) env: IndexMap<String, Text>,
    /// Newer runs take the place of older ones of the same ref, or wait for them.
    pub(super) alone: Option<bool>,
    pub(super) jobs: Vec<Job>,
}

impl Draft {
    pub(super) fn job(&self, key: &str) -> Option<&Job> {
        self.jobs.iter().find(|j| j.key == key)
    }

    /// The artifact that a job leaves under a name, and whose it is.
    pub(super) fn makers(&self, name: Option<&str>) -> Vec<&Job> {
        let makes = |j: &&Job| {
            j.steps
                .iter()
                .any(|s| matches!(&s.does, Does::Upload { name: own, .. } if name.is_none_or(|n| own.plain().as_deref() == Some(n))))
        };
        self.jobs.iter().filter(makes).collect()
    }
}
