//! Releases and deployments as they are asked for and shown.

use std::collections::BTreeMap;

use kernel::DeploymentId;
use kernel::EnvironmentId;
use kernel::ProjectId;
use kernel::ReleaseId;
use kernel::RunId;
use kernel::Timestamp;
use kernel::UserId;
use serde::Deserialize;
use serde::Serialize;
use store::release::ReleaseRow;
use utoipa::IntoParams;
use utoipa::ToSchema;

use crate::environment::model::Config;

/// An image by its digest with the configuration and secrets it runs with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Release {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ReleaseId,
    /// Counts the project's releases.
    pub number: i64,
    /// The image as it was asked for.
    pub image: String,
    /// The manifest's digest.
    pub digest: String,
    /// The commit it was built from, where the image tells.
    pub commit: Option<String>,
    /// Variables; null for readers who could not deploy.
    pub config: Option<Config>,
    /// Names of its secrets and when each had been set.
    #[schema(value_type = BTreeMap<String, String>)]
    pub secrets: BTreeMap<String, Timestamp>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// Who made it.
    pub actor: Option<ActorView>,
}

/// A secret as a release keeps it: sealed, with the time that tells its version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SealedSecret {
    /// When it had been set.
    pub updated_at: Timestamp,
    /// The sealed value in base64.
    pub sealed: String,
    /// What it is sealed for when that is not the project: the environment or the group whose secret it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Sealed secrets by name.
pub type SealedSecrets = BTreeMap<String, SealedSecret>;

impl Release {
    /// As it is shown; `whole` to those who may see its variables.
    pub fn new(row: ReleaseRow, whole: bool) -> Self {
        let secrets: SealedSecrets = serde_json::from_value(row.secrets).unwrap_or_default();
        Self {
            id: row.id,
            number: row.number,
            image: row.image,
            digest: row.digest,
            commit: row.commit,
            config: whole.then(|| serde_json::from_value(row.config).unwrap_or_default()),
            secrets: secrets.into_iter().map(|(name, secret)| (name, secret.updated_at)).collect(),
            created_at: row.created_at,
            actor: row.account.map(|id| ActorView { id, name: None }),
        }
    }
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ActorView {
    /// The account.
    #[schema(value_type = String)]
    pub id: UserId,
    /// Its name.
    pub name: Option<String>,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DeploymentStepState)]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Under way.
    Running,
    /// Ended well.
    Done,
    /// Ended badly.
    Failed,
    /// Not needed.
    Skipped,
}

/// A step of a deployment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentStep)]
pub struct Step {
    /// `prepare`, `start`, `health_check`, `switch` or `retire`.
    pub name: String,
    /// How it stands.
    pub state: StepState,
    /// More about it.
    pub detail: String,
    /// When it began.
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    pub finished_at: Option<Timestamp>,
}

/// The steps in their order.
pub const STEPS: [&str; 5] = ["prepare", "start", "health_check", "switch", "retire"];

/// All steps, not begun.
pub fn steps() -> Vec<Step> {
    STEPS
        .iter()
        .map(|name| Step { name: (*name).into(), state: StepState::Pending, detail: String::new(), started_at: None, finished_at: None })
        .collect()
}

/// The environment of a deployment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EnvironmentName {
    /// Its id.
    #[schema(value_type = String)]
    pub id: EnvironmentId,
    /// Its name.
    pub name: String,
}

/// An attempt to bring a release to an environment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Deployment {
    /// Its id.
    #[schema(value_type = String)]
    pub id: DeploymentId,
    /// Whose it is.
    #[schema(value_type = String)]
    pub project_id: ProjectId,
    /// Where to.
    pub environment: EnvironmentName,
    /// What.
    pub release: Release,
    /// `deploy`, `rollback` or `automatic_rollback`.
    #[schema(value_type = crate::words::DeploymentKind)]
    pub kind: String,
    /// `queued`, `running` or `completed`.
    #[schema(value_type = crate::words::DeploymentState)]
    pub state: String,
    /// `success`, `failure`, `rolled_back` or `superseded`.
    #[schema(value_type = Option<crate::words::DeploymentConclusion>)]
    pub conclusion: Option<String>,
    /// The steps.
    pub steps: Vec<Step>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// Who asked.
    pub actor: Option<ActorView>,
    /// The pipeline run it belongs to.
    #[schema(value_type = Option<String>)]
    pub run_id: Option<RunId>,
    /// Where the environment answers.
    pub url: String,
    /// When it was asked for.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// When work on it began.
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    pub finished_at: Option<Timestamp>,
}

/// What to deploy where.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployNew {
    /// Name or id of the environment; made with defaults when the project has none of the name.
    pub environment: String,
    /// A tag, a digest, or `name:tag` of an image of the project; `latest` when neither this nor `release` is given.
    pub image: Option<String>,
    /// A release that was made before, as it was.
    #[schema(value_type = Option<String>)]
    pub release: Option<ReleaseId>,
    /// Variables over those of the environment, for this release.
    #[serde(default)]
    pub config: Config,
    /// Names the request, within the pipeline run when a job makes it: made again, it finds the deployment it made.
    pub key: Option<String>,
}

/// Where to roll back to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackNew {
    /// The release; the one that ran before the current one when not given.
    #[schema(value_type = Option<String>)]
    pub release: Option<ReleaseId>,
}

/// Of which environment.
#[derive(Debug, Deserialize, IntoParams)]
pub struct EnvironmentQuery {
    /// Name or id of an environment; all when not given.
    pub environment: Option<String>,
}

/// What an image text asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A tag, or else the name of an image whose `latest` is wanted.
    Word(String),
    /// A digest in any image.
    Digest(String),
    /// A tag or digest of an image.
    Named {
        /// Repository or image name.
        name: String,
        /// Tag or digest.
        reference: String,
    },
}

/// Reads an image text; a registry's host in front is taken off.
pub fn wanted(text: &str, host: &str) -> Wanted {
    let text = text.trim().strip_prefix(host).and_then(|rest| rest.strip_prefix('/')).unwrap_or_else(|| text.trim());
    if text.starts_with("sha256:") {
        return Wanted::Digest(text.into());
    }
    let split = text.split_once('@').or_else(|| text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')));
    match split {
        Some((name, reference)) => Wanted::Named { name: name.into(), reference: reference.into() },
        None => Wanted::Word(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_texts() {
        let named = |name: &str, reference: &str| Wanted::Named { name: name.into(), reference: reference.into() };
        for (text, meaning) in [
            ("v1", Wanted::Word("v1".into())),
            ("sha256:ab", Wanted::Digest("sha256:ab".into())),
            ("acme/web:v1", named("acme/web", "v1")),
            ("api:v1", named("api", "v1")),
            ("reg.test:3004/acme/web:v1", named("acme/web", "v1")),
            ("reg.test:3004/acme/web@sha256:ab", named("acme/web", "sha256:ab")),
            ("acme/web", Wanted::Word("acme/web".into())),
        ] {
            assert_eq!(wanted(text, "reg.test:3004"), meaning, "{text}");
        }
    }
}
