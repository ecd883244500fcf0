//! Which contexts and special functions exist for which key: a closed table, so that a wrong name is found when the
//! file is read and not when the job runs.

use super::lex::lex;
use super::parse::{self, Expr, Names};
use super::{ExprError, functions};

/// What may be named in the expressions of one key.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// The key, for messages.
    pub key: &'static str,
    /// Contexts.
    pub contexts: &'static [&'static str],
    /// `success()` and its kin.
    pub status: bool,
    /// `hashFiles()`.
    pub hash_files: bool,
    /// `success('job')` and `failure('job')`.
    pub named_status: bool,
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $key:literal, [$($context:literal)*], status $status:literal, hash_files $hash:literal;)*) => {
        $($(#[$doc])* pub const $name: Scope = Scope { key: $key, contexts: &[$($context),*], status: $status, hash_files: $hash, named_status: false };)*
    };
}

/// `jobs.<id>.if`
pub const JOB_IF: Scope =
    Scope { key: "jobs.<job>.if", contexts: &["github", "needs", "vars", "inputs"], status: true, hash_files: false, named_status: true };

scopes! {
    /// keys that are read before any context exists
    NOWHERE = "this place", [], status false, hash_files false;
    /// `run-name`
    RUN_NAME = "run-name", ["github" "inputs" "vars"], status false, hash_files false;
    /// `concurrency`
    CONCURRENCY = "concurrency", ["github" "inputs" "vars"], status false, hash_files false;
    /// `env`
    WORKFLOW_ENV = "env", ["github" "secrets" "inputs" "vars"], status false, hash_files false;
    /// `jobs.<id>.strategy`
    STRATEGY = "jobs.<job>.strategy", ["github" "needs" "vars" "inputs"], status false, hash_files false;
    /// name, runs-on, timeout-minutes, continue-on-error, container, services, environment, concurrency of a job
    JOB = "this job key", ["github" "needs" "strategy" "matrix" "vars" "inputs"], status false, hash_files false;
    /// `jobs.<id>.env`
    JOB_ENV = "jobs.<job>.env", ["github" "needs" "strategy" "matrix" "vars" "secrets" "inputs"], status false, hash_files false;
    /// `jobs.<id>.defaults.run`
    JOB_DEFAULTS = "jobs.<job>.defaults.run", ["github" "needs" "strategy" "matrix" "env" "vars" "inputs"], status false, hash_files false;
    /// credentials of containers
    CREDENTIALS = "credentials", ["github" "needs" "strategy" "matrix" "env" "vars" "secrets" "inputs"], status false, hash_files false;
    /// environment of containers
    CONTAINER_ENV = "the env of a container", ["github" "needs" "strategy" "matrix" "job" "runner" "env" "vars" "secrets" "steps" "inputs"], status false, hash_files false;
    /// `jobs.<id>.environment.url`
    ENVIRONMENT_URL = "jobs.<job>.environment.url", ["github" "needs" "strategy" "matrix" "job" "runner" "env" "vars" "steps" "inputs"], status false, hash_files false;
    /// `jobs.<id>.outputs`
    OUTPUTS = "jobs.<job>.outputs", ["github" "needs" "strategy" "matrix" "job" "runner" "env" "vars" "secrets" "steps" "inputs"], status false, hash_files false;
    /// keys of a step
    STEP = "this step key", ["github" "needs" "strategy" "matrix" "job" "runner" "env" "vars" "secrets" "steps" "inputs"], status false, hash_files true;
    /// keys of a step of a composite action
    ACTION_STEP = "this key of an action", ["github" "strategy" "matrix" "job" "runner" "env" "steps" "inputs"], status false, hash_files true;
    /// `if` of a step of a composite action
    ACTION_IF = "runs.steps.if", ["github" "strategy" "matrix" "job" "runner" "env" "steps" "inputs"], status true, hash_files true;
    /// default values of the inputs of an action
    ACTION_DEFAULT = "the default of an input", ["github" "strategy" "matrix" "job" "runner"], status false, hash_files true;
    /// `with` of a job that calls a workflow
    CALL_WITH = "jobs.<job>.with", ["github" "needs" "strategy" "matrix" "vars" "inputs"], status false, hash_files false;
    /// defaults of the inputs of a called workflow
    CALL_DEFAULT = "on.workflow_call.inputs.<input>.default", ["github" "inputs" "vars"], status false, hash_files false;
    /// outputs of a called workflow
    CALL_OUTPUTS = "on.workflow_call.outputs", ["github" "jobs" "vars" "inputs"], status false, hash_files false;
    /// `secrets` given to a called workflow
    CALL_SECRETS = "jobs.<job>.secrets", ["github" "needs" "strategy" "matrix" "secrets" "vars" "inputs"], status false, hash_files false;
    /// `if` of a step
    STEP_IF = "jobs.<job>.steps.if", ["github" "needs" "strategy" "matrix" "job" "runner" "env" "vars" "steps" "inputs"], status true, hash_files true;
}

impl Scope {
    /// Parses an expression that stands here.
    ///
    /// # Errors
    /// Syntax, with GitHub's wording; and the first name that does not exist here, with those that do.
    pub fn parse(&self, text: &str) -> Result<Expr, ExprError> {
        let parsed = parse::parse(text, &lex(text)?, Names::Scope(self))?;
        parsed.ok_or_else(|| ExprError("An expression was expected".into()))
    }

    /// Why a name that exists elsewhere does not exist here.
    pub(super) fn hint(&self, name: &str) -> Option<String> {
        let lower = name.to_ascii_lowercase();
        if parse::CONTEXTS.contains(&lower.as_str()) {
            if self.contexts.is_empty() {
                return Some("It is read before any context exists".into());
            }
            return Some(format!("In {} only these contexts are available: {}", self.key, self.contexts.join(", ")));
        }
        if functions::is_status(&lower) {
            return Some("Status functions are available in `if` only".into());
        }
        (lower == "hashfiles").then(|| "`hashFiles` is available in steps only".into())
    }
}
