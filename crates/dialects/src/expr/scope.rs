//! Which contexts and special functions exist for which key: a closed table, so that a wrong name is found when the
//! file is read and not when the job runs.

use super::parse::Expr;
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
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $key:literal, [$($context:literal)*], status $status:literal, hash_files $hash:literal;)*) => {
        $($(#[$doc])* pub const $name: Scope = Scope { key: $key, contexts: &[$($context),*], status: $status, hash_files: $hash };)*
    };
}

scopes! {
    /// `run-name`
    RUN_NAME = "run-name", ["github" "inputs" "vars"], status false, hash_files false;
    /// `concurrency`
    CONCURRENCY = "concurrency", ["github" "inputs" "vars"], status false, hash_files false;
    /// `env`
    WORKFLOW_ENV = "env", ["github" "secrets" "inputs" "vars"], status false, hash_files false;
    /// `jobs.<id>.if`
    JOB_IF = "jobs.<job>.if", ["github" "needs" "vars" "inputs"], status true, hash_files false;
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
    CONTAINER_ENV = "the env of a container", ["github" "needs" "strategy" "matrix" "job" "runner" "env" "vars" "secrets" "inputs"], status false, hash_files false;
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
    /// outputs of a called workflow
    CALL_OUTPUTS = "on.workflow_call.outputs", ["github" "jobs" "vars" "inputs"], status false, hash_files false;
    /// `secrets` given to a called workflow
    CALL_SECRETS = "jobs.<job>.secrets", ["github" "needs" "strategy" "matrix" "secrets" "vars" "inputs"], status false, hash_files false;
    /// `if` of a step
    STEP_IF = "jobs.<job>.steps.if", ["github" "needs" "strategy" "matrix" "job" "runner" "env" "vars" "steps" "inputs"], status true, hash_files true;
}

impl Scope {
    /// Checks that an expression names only what exists here.
    ///
    /// # Errors
    /// The first name that does not.
    pub fn check(&self, expr: &Expr) -> Result<(), ExprError> {
        let mut bad = None;
        expr.walk(&mut |e| {
            let problem = match e {
                Expr::Context(name) if !self.contexts.contains(&name.as_str()) => Some(format!(
                    "Unrecognized named-value: '{name}'. In {} only these contexts are available: {}",
                    self.key,
                    self.contexts.join(", ")
                )),
                Expr::Call(name, _) if functions::is_status(name) && !self.status => {
                    Some(format!("Unrecognized function: '{name}'. Status functions are available in `if` only"))
                }
                Expr::Call(name, _) if name == "hashfiles" && !self.hash_files => {
                    Some("Unrecognized function: 'hashFiles'. It is available in steps only".into())
                }
                _ => None,
            };
            if bad.is_none() {
                bad = problem;
            }
        });
        bad.map_or(Ok(()), |m| Err(ExprError(m)))
    }
}
