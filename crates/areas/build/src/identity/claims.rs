//! What a token says about a job, in the words of GitHub's and of GitLab's tokens.

use kernel::{Error, Result};
use serde_json::{Map, Value, json};
use store::job::JobRow;
use store::run::{Trust, run_get, run_plan};
use web_kit::App;

/// What the control plane knows of a job.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Path of the project.
    pub project: String,
    /// Id of the project.
    pub project_id: String,
    /// `private`, `internal`, `public`.
    pub visibility: String,
    /// Full ref name.
    pub r#ref: String,
    /// Is it a protected ref?
    pub protected: bool,
    /// The commit.
    pub sha: String,
    /// `push`, …
    pub event: String,
    /// Path of the workflow file.
    pub workflow: String,
    /// Name of the workflow.
    pub workflow_name: String,
    /// The run.
    pub run: String,
    /// Its number.
    pub number: i64,
    /// Its attempt.
    pub attempt: i64,
    /// The job.
    pub job: String,
    /// Name of the account that set it off.
    pub actor: String,
    /// Its id.
    pub actor_id: String,
    /// The branch a pull request comes from.
    pub head: String,
    /// The branch it is for.
    pub base: String,
    /// The environment the job names.
    pub environment: Option<String>,
}

/// Gathers the facts about a job.
///
/// # Errors
/// The database's.
pub async fn facts(app: &App, job: &JobRow, environment: Option<&str>) -> Result<Facts> {
    let run = run_get(app.db(), job.run).await?.ok_or_else(|| Error::not_found("run"))?;
    let project = store::project::project_get(app.db(), job.project).await?.ok_or_else(|| Error::not_found("project"))?;
    let contexts = run_plan(app.db(), job.run).await?.map(|(_, contexts)| contexts).unwrap_or_default();
    let actor = match run.actor {
        Some(id) => store::account::account_get(app.db(), id).await?,
        None => None,
    };
    let github = |key: &str| contexts["github"][key].as_str().unwrap_or_default().to_owned();
    Ok(Facts {
        project: project.path,
        project_id: project.id.to_string(),
        visibility: project.visibility.as_str().to_owned(),
        r#ref: run.r#ref,
        protected: run.trust == Trust::Protected,
        sha: run.commit,
        event: run.event,
        workflow: run.workflow,
        workflow_name: run.name,
        run: run.id.to_string(),
        number: run.number,
        attempt: run.attempt,
        job: job.id.to_string(),
        actor: actor.map(|a| a.name).unwrap_or_default(),
        actor_id: run.actor.map(|id| id.to_string()).unwrap_or_default(),
        head: github("head_ref"),
        base: github("base_ref"),
        environment: environment.map(str::to_owned),
    })
}

impl Facts {
    fn about_pull(&self) -> bool {
        self.event.starts_with("pull_request")
    }

    fn short_ref(&self) -> &str {
        let stripped = self.r#ref.strip_prefix("refs/heads/").or_else(|| self.r#ref.strip_prefix("refs/tags/"));
        stripped.unwrap_or(&self.r#ref)
    }

    fn ref_type(&self) -> &'static str {
        if self.r#ref.starts_with("refs/tags/") { "tag" } else { "branch" }
    }

    fn protected(&self) -> String {
        (self.protected && !self.about_pull()).to_string()
    }
}

/// A colon in a name must not look like the next part of the subject.
fn part(text: &str) -> String {
    text.replace('%', "%25").replace(':', "%3A")
}

/// The claims of GitHub's tokens.
pub fn actions(f: &Facts) -> Map<String, Value> {
    let subject = match &f.environment {
        Some(environment) => format!("environment:{}", part(environment)),
        None if f.about_pull() => "pull_request".to_owned(),
        None => format!("ref:{}", f.r#ref),
    };
    let workflow_ref = format!("{}/{}@{}", f.project, f.workflow, f.r#ref);
    let mut claims = Map::new();
    for (name, value) in [
        ("sub", json!(format!("repo:{}:{subject}", f.project))),
        ("repository", json!(f.project)),
        ("repository_owner", json!(f.project.split('/').next().unwrap_or_default())),
        ("repository_id", json!(f.project_id)),
        ("repository_visibility", json!(f.visibility)),
        ("ref", json!(f.r#ref)),
        ("ref_type", json!(f.ref_type())),
        ("ref_protected", json!(f.protected())),
        ("sha", json!(f.sha)),
        ("event_name", json!(f.event)),
        ("head_ref", json!(f.head)),
        ("base_ref", json!(f.base)),
        ("workflow", json!(f.workflow_name)),
        ("workflow_ref", json!(workflow_ref)),
        ("workflow_sha", json!(f.sha)),
        ("job_workflow_ref", json!(workflow_ref)),
        ("job_workflow_sha", json!(f.sha)),
        ("run_id", json!(f.run)),
        ("run_number", json!(f.number.to_string())),
        ("run_attempt", json!(f.attempt.to_string())),
        ("job_id", json!(f.job)),
        ("actor", json!(f.actor)),
        ("actor_id", json!(f.actor_id)),
        ("runner_environment", json!("self-hosted")),
    ] {
        claims.insert(name.into(), value);
    }
    if let Some(environment) = &f.environment {
        claims.insert("environment".into(), json!(environment));
    }
    claims
}

/// The claims of GitLab's tokens.
pub fn gitlab(f: &Facts) -> Map<String, Value> {
    let (namespace, _) = f.project.rsplit_once('/').unwrap_or_default();
    let mut claims = Map::new();
    for (name, value) in [
        ("sub", json!(format!("project_path:{}:ref_type:{}:ref:{}", f.project, f.ref_type(), f.short_ref()))),
        ("namespace_path", json!(namespace)),
        ("project_id", json!(f.project_id)),
        ("project_path", json!(f.project)),
        ("project_visibility", json!(f.visibility)),
        ("user_id", json!(f.actor_id)),
        ("user_login", json!(f.actor)),
        ("pipeline_id", json!(f.run)),
        ("pipeline_source", json!(f.event)),
        ("job_id", json!(f.job)),
        ("ref", json!(f.short_ref())),
        ("ref_type", json!(f.ref_type())),
        ("ref_path", json!(f.r#ref)),
        ("ref_protected", json!(f.protected())),
        ("sha", json!(f.sha)),
        ("ci_config_sha", json!(f.sha)),
        ("runner_environment", json!("self-hosted")),
    ] {
        claims.insert(name.into(), value);
    }
    if let Some(environment) = &f.environment {
        claims.insert("environment".into(), json!(environment));
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(reference: &str, event: &str, environment: Option<&str>) -> Facts {
        Facts {
            project: "ann/web".into(),
            r#ref: reference.into(),
            protected: reference == "refs/heads/main",
            event: event.into(),
            environment: environment.map(str::to_owned),
            ..Facts::default()
        }
    }

    #[test]
    fn the_subject_tells_what_the_job_is() {
        let of = |reference: &str, event: &str, environment: Option<&str>| {
            let claims = actions(&facts(reference, event, environment));
            format!("{} {}", claims["sub"].as_str().unwrap(), claims["ref_protected"].as_str().unwrap())
        };
        assert_eq!(of("refs/heads/main", "push", None), "repo:ann/web:ref:refs/heads/main true");
        assert_eq!(of("refs/tags/v1", "push", None), "repo:ann/web:ref:refs/tags/v1 false");
        assert_eq!(of("refs/pull/1/merge", "pull_request", None), "repo:ann/web:pull_request false");
        assert_eq!(of("refs/heads/main", "push", Some("live")), "repo:ann/web:environment:live true");
        // a name cannot claim to be another subject
        assert_eq!(of("refs/heads/x", "push", Some("a:ref:b")), "repo:ann/web:environment:a%3Aref%3Ab false");
    }

    #[test]
    fn the_subject_of_gitlab() {
        let claims = gitlab(&facts("refs/tags/v1", "push", None));
        assert_eq!(claims["sub"], "project_path:ann/web:ref_type:tag:ref:v1");
        assert_eq!(claims["namespace_path"], "ann");
    }
}
