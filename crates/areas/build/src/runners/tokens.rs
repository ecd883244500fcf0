//! Who stands behind the tokens of jobs and runners.

use std::time::Duration;

use dialects::plan::{ActionPlace, ActionRuns, Level, Permissions, Step, StepKind};
use kernel::{Actor, Grant, Permission, ProjectId, Result, Timestamp};
use store::job::job_by_token;
use store::run::Trust;
use store::runner::{runner_by_token, runner_touch};
use web_kit::{App, secret};

use crate::schedule::plans;

/// The actor of a job's token, while the job runs.
///
/// # Errors
/// The database's.
pub async fn job(app: App, token: String) -> Result<Option<(Actor, Grant)>> {
    let Some((job, by, trust)) = job_by_token(app.db(), &secret::hash(&token)).await? else { return Ok(None) };
    let planned = plans::look(app.db(), job.run).await?;
    let plan = planned.as_ref().map(|p| &*p.plan);
    let asked = plan.and_then(|p| p.job(&job.key).and_then(|j| j.permissions.as_ref()).or(p.permissions.as_ref()));
    let mut projects = vec![job.project];
    if let Some(planned) = plan.and_then(|p| p.job(&job.key)) {
        pinned(&planned.steps, &mut projects);
    }
    let grant = Grant { token: None, permissions: rights(asked, trust).collect(), projects: Some(projects) };
    Ok(Some((Actor::Job { id: job.id, project: job.project, on_behalf_of: by }, grant)))
}

/// Projects whose actions the steps use.
fn pinned(steps: &[Step], into: &mut Vec<ProjectId>) {
    for step in steps {
        let StepKind::Custom { action: Some(action), .. } = &step.kind else { continue };
        if let ActionPlace::Repository { project, .. } = &action.place
            && let Ok(id) = project.parse()
        {
            into.push(id);
        }
        if let ActionRuns::Composite { steps } = &action.runs {
            pinned(steps, into);
        }
    }
}

/// What a job may do: by default read the sources, push images, deploy; else what its `permissions` say. In an untrusted
/// run it only reads, whatever they say.
fn rights(asked: Option<&Permissions>, trust: Trust) -> impl Iterator<Item = Permission> + use<> {
    let most = if trust == Trust::Untrusted { Level::Read } else { Level::Write };
    let level = |scope: &str| match asked {
        Some(p) => p.level(scope).min(most),
        None if scope == "contents" => Level::Read,
        None => most,
    };
    let mut out = vec![Permission::ProjectRead, Permission::PipelineRead];
    for (scope, read, write) in [
        ("contents", Permission::RepositoryRead, Permission::RepositoryWrite),
        ("packages", Permission::RegistryRead, Permission::RegistryWrite),
        ("deployments", Permission::DeploymentRead, Permission::DeploymentWrite),
    ] {
        let level = level(scope);
        if level >= Level::Read {
            out.push(read);
        }
        if level >= Level::Write {
            out.push(write);
        }
    }
    // only who asks for it by name, or for everything, may start runs
    if asked.is_some_and(|p| p.level("actions").min(most) >= Level::Write) {
        out.push(Permission::PipelineWrite);
    }
    out.into_iter()
}

/// The actor of a runner's token.
///
/// # Errors
/// The database's.
pub async fn runner(app: App, token: String) -> Result<Option<(Actor, Grant)>> {
    let Some(row) = runner_by_token(app.db(), &secret::hash(&token)).await? else { return Ok(None) };
    let now = Timestamp::now();
    // not on every call: a hundred runners must not keep the database writing
    if now.since(row.last_seen_at) > Duration::from_secs(15) {
        runner_touch(app.db(), row.id, now).await?;
        if now.since(row.last_seen_at) > super::ONLINE {
            app.db().wake().send("runners");
        }
    }
    Ok(Some((Actor::Runner(row.id), Grant::all())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use indexmap::IndexMap;

    #[test]
    fn permissions_narrow() {
        let has = |p: Option<&Permissions>, right| rights(p, Trust::Member).any(|r| r == right);
        assert!(has(None, Permission::RepositoryRead) && !has(None, Permission::RepositoryWrite) && has(None, Permission::RegistryWrite));
        let read = Permissions::ReadAll;
        assert!(has(Some(&read), Permission::RegistryRead) && !has(Some(&read), Permission::RegistryWrite));
        let only = Permissions::Scopes(IndexMap::from([("packages".to_owned(), Level::Write)]));
        assert!(!has(Some(&only), Permission::RepositoryRead) && has(Some(&only), Permission::RegistryWrite));
        assert!(!rights(Some(&Permissions::WriteAll), Trust::Protected).any(|r| r == Permission::SecretRead));
        let writes = [Permission::RepositoryWrite, Permission::RegistryWrite, Permission::DeploymentWrite, Permission::PipelineWrite];
        assert!(!rights(Some(&Permissions::WriteAll), Trust::Untrusted).any(|r| writes.contains(&r)));
        assert!(rights(None, Trust::Untrusted).any(|r| r == Permission::RepositoryRead));
        // to start runs is asked for
        let actions = Permissions::Scopes(IndexMap::from([("actions".to_owned(), Level::Write)]));
        assert!(!has(None, Permission::PipelineWrite) && !has(Some(&read), Permission::PipelineWrite));
        assert!(has(Some(&actions), Permission::PipelineWrite));
    }
}
