//! What the holder of an environment records: the instances that run, and how far a deployment is.

use kernel::DeploymentId;
use kernel::ReleaseId;
use kernel::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use store::deployment::DeploymentRow;
use store::environment::EnvironmentRow;
use store::release::ReleaseRow;

use crate::deployment::model::Step;
use crate::deployment::model::StepState;
use crate::environment::model::Target;

/// A running instance as recorded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) deployment: DeploymentId,
    pub(super) release: ReleaseId,
    pub(super) target: Target,
    pub(super) restarts: u32,
    pub(super) started_at: Timestamp,
}

/// What runs in an environment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Live {
    pub(super) current: Option<Instance>,
    /// Being brought up by a deployment.
    pub(super) candidate: Option<Instance>,
    /// Given way, to be stopped.
    #[serde(default)]
    pub(super) retiring: Vec<Instance>,
}

impl Live {
    pub(super) fn of(row: &EnvironmentRow) -> Self {
        row.live.clone().and_then(|l| serde_json::from_value(l).ok()).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current.is_none() && self.candidate.is_none() && self.retiring.is_empty()
    }
}

/// A deployment under way.
pub(super) struct Work {
    pub(super) row: DeploymentRow,
    pub(super) release: ReleaseRow,
    pub(super) steps: Vec<Step>,
}

impl Work {
    fn step(&mut self, name: &str) -> Option<&mut Step> {
        self.steps.iter_mut().find(|s| s.name == name)
    }

    pub(super) fn begin(&mut self, name: &str) {
        if let Some(step) = self.step(name) {
            step.state = StepState::Running;
            step.started_at = step.started_at.or(Some(Timestamp::now()));
        }
    }

    pub(super) fn pass(&mut self, name: &str, detail: &str) {
        if let Some(step) = self.step(name)
            && step.state != StepState::Done
        {
            step.state = StepState::Done;
            step.started_at = step.started_at.or(Some(Timestamp::now()));
            step.finished_at = Some(Timestamp::now());
            step.detail = detail.into();
        }
    }

    /// The running step failed, the rest is not done.
    pub(super) fn break_off(&mut self, why: &str) {
        for step in &mut self.steps {
            match step.state {
                StepState::Running => {
                    step.state = StepState::Failed;
                    step.finished_at = Some(Timestamp::now());
                    step.detail = why.into();
                }
                StepState::Pending => step.state = StepState::Skipped,
                _ => {}
            }
        }
    }
}
