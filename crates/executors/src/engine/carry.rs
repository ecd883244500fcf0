//! What a try takes over from an earlier one of the same job, when it goes on from the step that failed there.
//!
//! The files come back as that try left them. This is the rest: what steps before the failed one wrote to `GITHUB_ENV`,
//! `GITHUB_PATH` and their outputs, their rows, masks, matchers, logins, and the post steps that were not run.
//! Tokens of the earlier try are dead; where they stand in all this, those of the new one are put.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use kernel::{JobId, RunId};
use serde::{Deserialize, Serialize};

use super::contexts::{Contexts, Written};
use super::{Post, PostWork, Run, Where, custom};
use crate::actions::{self, Logins};
use crate::host::{HostError, HostResult};
use crate::protocol::{Conclusion, JobSpec, Resume, StepUpdate};
use crate::sandbox::Place as _;
use dialects::plan::StepKind;

/// All that is carried over, beside the files.
#[derive(Serialize, Deserialize)]
pub(super) struct Carry {
    job: JobId,
    run: RunId,
    /// Row of the step that failed.
    pub(super) row: usize,
    /// Its place in the plan.
    pub(super) position: usize,
    tokens: Vec<String>,
    written: Written,
    /// Rows of the steps before it.
    rows: Vec<StepUpdate>,
    masks: Vec<String>,
    fetched: BTreeMap<String, PathBuf>,
    matchers: Vec<(bool, String)>,
    logins: Logins,
    coverage: Option<String>,
    posts: Vec<CarriedPost>,
    /// Names of post steps that were run.
    undone: Vec<String>,
}

/// A post step that was not run.
#[derive(Serialize, Deserialize)]
struct CarriedPost {
    of: usize,
    name: String,
    work: CarriedWork,
}

#[derive(Serialize, Deserialize)]
enum CarriedWork {
    BuiltIn(actions::PostWork),
    Program { file: PathBuf, condition: Option<String>, env: BTreeMap<String, String> },
}

/// In the order of their use, so that each has its counterpart.
fn tokens(spec: &JobSpec) -> Vec<String> {
    let services = spec.services.as_ref().map(|s| s.token.clone());
    [Some(spec.job_token.clone()), Some(spec.checkout.token.clone()), services].into_iter().map(Option::unwrap_or_default).collect()
}

impl Run<'_> {
    /// Notes what is there before a step whose failure is the job's first.
    pub(super) fn note_failure(&mut self, row: usize, position: usize, before: Written) {
        if self.carry.is_some() {
            return;
        }
        let coverage = self.coverage.as_ref().and_then(|c| c.found());
        self.carry = Some(Carry {
            job: self.spec.job_id,
            run: self.spec.run_id,
            row,
            position,
            tokens: tokens(self.spec),
            written: before,
            rows: self.rows[1..row].to_vec(),
            masks: Vec::new(),
            fetched: BTreeMap::new(),
            matchers: self.matchers.history(),
            logins: self.logins.clone(),
            coverage,
            posts: Vec::new(),
            undone: Vec::new(),
        });
    }

    /// A post step that is not run may be run at the end of the next try.
    pub(super) fn post_skipped(&mut self, of: usize, name: &str, work: PostWork) {
        let Some(carry) = self.carry.as_mut().filter(|c| of < c.row) else { return };
        let work = match work {
            PostWork::BuiltIn { work, .. } => CarriedWork::BuiltIn(work),
            PostWork::Program(program) => {
                let custom::PostProgram { file, condition, mut env } = *program;
                env.retain(|name, _| name.starts_with("INPUT_") || name.starts_with("STATE_") || name == "GITHUB_ACTION_PATH");
                CarriedWork::Program { file, condition, env }
            }
        };
        carry.posts.push(CarriedPost { of, name: name.to_owned(), work });
    }

    /// A post step is run, and does not come again.
    pub(super) fn post_ran(&mut self, of: usize, name: &str) {
        if let Some(carry) = self.carry.as_mut().filter(|c| of < c.row) {
            carry.undone.push(name.to_owned());
        }
    }

    /// What is to be kept with the files of the job, and the row that failed; none for a job that cannot be gone on with.
    pub(super) async fn carried(&mut self, place: &Where) -> Option<(u32, String)> {
        let on_host = matches!(place, Where::Host(_)) && !self.spec.job.steps.iter().any(|s| matches!(s.kind, StepKind::Jenkins { .. }));
        let failed = self.status == Conclusion::Failure && !self.control.cancelled && !self.control.killed;
        if !on_host || !failed || !self.executor.machine.keeps() {
            return None;
        }
        let mut carry = self.carry.take()?;
        carry.fetched = self.fetched.clone();
        let text = serde_json::to_string(&(&carry.written, &carry.logins)).ok()?;
        let spelled = |secret: &String| serde_json::to_string(secret).is_ok_and(|s| text.contains(s.trim_matches('"')));
        // a secret may have changed until the next try: what was written of the old one stays hidden
        carry.masks = self.log.asked().await;
        carry.masks.extend(self.spec.secrets.values().filter(|s| !s.is_empty() && spelled(s)).cloned());
        let row = u32::try_from(carry.row).ok()?;
        Some((row, serde_json::to_string(&carry).ok()?))
    }

    /// Reads what an earlier try left.
    pub(super) fn read_carry(&self, resume: &Resume, state: &str) -> HostResult<Carry> {
        let broken = |why: String| HostError::Refused(format!("what the earlier try left cannot be used: {why}"));
        let old: Carry = serde_json::from_str(state).map_err(|e| broken(e.to_string()))?;
        let mut text = state.to_owned();
        for (old, new) in old.tokens.iter().zip(tokens(self.spec)).filter(|(old, _)| !old.is_empty()) {
            text = text.replace(old.as_str(), &new);
        }
        let carry: Carry = serde_json::from_str(&text).map_err(|e| broken(e.to_string()))?;
        if (carry.run, carry.job) != (self.spec.run_id, resume.job) || carry.position >= self.spec.job.steps.len() {
            return Err(broken("it is of another job".into()));
        }
        Ok(carry)
    }

    /// Takes over what an earlier try left.
    pub(super) async fn take_over(&mut self, mut carry: Carry, place: &Where, contexts: &mut Contexts) -> HostResult<()> {
        self.log.mask_asked(carry.masks.iter().map(String::as_str)).await;
        for mut row in std::mem::take(&mut carry.rows) {
            row.taken_from = row.taken_from.or(Some(carry.job));
            // its lines are in the log of the try that ran it
            (row.log_from, row.log_to) = (None, None);
            if let Some(mine) = self.rows.get_mut(row.index as usize) {
                *mine = row.clone();
                self.host.step(row).await?;
            }
        }
        self.log
            .line(&format!("The steps before `{}` are taken over from {}, with the files it left.", self.rows[carry.row].name, carry.job))
            .await?;
        for name in &carry.undone {
            self.log.line(&format!("`{name}` was run at the end of that try: what it undid stays undone.")).await?;
        }
        contexts.restore(&carry.written);
        self.matchers.replay(&carry.matchers);
        self.logins.extend(std::mem::take(&mut carry.logins));
        self.logins.add(&self.spec.registry_host, "job", &self.spec.job_token);
        self.fetched = std::mem::take(&mut carry.fetched);
        if let (Some(coverage), Some(found)) = (&self.coverage, carry.coverage.take()) {
            coverage.set(found);
        }
        let dirs = place.place().dirs();
        if dirs.engine.join("git-token").exists() {
            dirs.job_file("git-token", self.spec.checkout.token.as_bytes())?;
        }
        let none = IndexMap::new();
        // they were noted as they were come to, the last one first
        for post in std::mem::take(&mut carry.posts).into_iter().rev() {
            let env = contexts.process_env(place.place().base_env(), &none);
            let work = match post.work {
                CarriedWork::BuiltIn(work) => {
                    PostWork::BuiltIn { work, env, helper_env: contexts.process_env(place.host().base_env(), &none) }
                }
                CarriedWork::Program { file, condition, env: own } => {
                    PostWork::Program(Box::new(custom::PostProgram { file, condition, env: env.into_iter().chain(own).collect() }))
                }
            };
            self.posts.push(Post { of: post.of, name: post.name, work });
        }
        self.resumed = Some(carry);
        Ok(())
    }

    /// Is the step one that is taken over?
    pub(super) fn is_taken_over(&self, position: usize) -> bool {
        self.resumed.as_ref().is_some_and(|carry| position < carry.position)
    }
}

/// The files of an earlier try are not there.
pub(super) fn gone(root: &Path) -> HostError {
    tracing::warn!(root = %root.display(), "the files of an earlier try are gone");
    HostError::Refused("the files of the earlier try are no longer on this machine; run the whole job again".into())
}
