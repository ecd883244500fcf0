//! How far a run is trusted: decided by one function when the run is made, from who started it and what it is of.
//!
//! A run of the default branch's own history, on that branch or by a tag, started by somebody who may write here, is
//! *protected*; any other such run is a *member's*. When nobody who may write here stands behind it (the account is
//! blocked, or has lost the project since), or the run that started it was such a one, it is *untrusted* and gets what
//! everybody may have: no secrets, no identity, no trusted cache, and a token that only reads.

use git::{GitError, Oid, Repositories};
use kernel::{Permission, Result, RunId, UserId};
use store::project::ProjectRow;
use store::run::{Trust, run_get};
use web_kit::App;

/// The decision. `member`: who started it may write; `held`: the default branch's history holds what it is of.
fn decide(member: bool, held: bool, above: Option<Trust>) -> Trust {
    match (member, held) {
        _ if above == Some(Trust::Untrusted) => Trust::Untrusted,
        (false, _) => Trust::Untrusted,
        (true, true) => Trust::Protected,
        (true, false) => Trust::Member,
    }
}

/// How far a run of `commit` on `reference` is trusted that `actor` starts; `above` is the run that starts it.
///
/// # Errors
/// The database's, the repository's.
pub async fn trust_of(
    app: &App,
    project: &ProjectRow,
    reference: &str,
    commit: &str,
    actor: Option<UserId>,
    above: Option<RunId>,
) -> Result<Trust> {
    let above = match above {
        Some(id) => run_get(app.db(), id).await?.map(|run| run.trust),
        None => None,
    };
    let member = may_write(app, project, actor).await?;
    let held = member && is_held(app, project, reference, commit).await?;
    Ok(decide(member, held, above))
}

/// What the service starts by itself (a new project's first run) is trusted.
async fn may_write(app: &App, project: &ProjectRow, actor: Option<UserId>) -> Result<bool> {
    let Some(id) = actor else { return Ok(true) };
    let Some(account) = store::account::account_get(app.db(), id).await?.filter(|a| a.state == "active") else { return Ok(false) };
    let access = store::project::project_access(app.db(), project, Some(id)).await?;
    Ok(account.admin || access.role >= Some(Permission::RepositoryWrite.least_role()))
}

/// Only the default branch is protected, and with it the tags of its history: the name alone would not do, as any commit
/// can be tagged, and built by its id.
async fn is_held(app: &App, project: &ProjectRow, reference: &str, commit: &str) -> Result<bool> {
    let branch = format!("refs/heads/{}", project.default_branch);
    if reference != branch && !reference.starts_with("refs/tags/") {
        return Ok(false);
    }
    let (Ok(commit), Some(repositories)) = (Oid::parse(commit), app.find_part::<Repositories>()) else { return Ok(false) };
    let held = repositories
        .get(project.id)?
        .read(move |reader| {
            let tip = reader.resolve(&branch)?.commit;
            Ok(tip == commit || reader.merge_base(tip, commit)? == Some(commit))
        })
        .await;
    match held {
        Err(GitError::NotFound(_)) => Ok(false),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_starts_it_and_what_it_is_of_decide() {
        for (member, held, above, trust) in [
            (true, true, None, Trust::Protected),
            (true, false, None, Trust::Member),
            (false, true, None, Trust::Untrusted),
            (false, false, None, Trust::Untrusted),
            (true, true, Some(Trust::Untrusted), Trust::Untrusted),
            (true, true, Some(Trust::Member), Trust::Protected),
            (false, true, Some(Trust::Protected), Trust::Untrusted),
        ] {
            assert_eq!(decide(member, held, above), trust, "{member} {held} {above:?}");
        }
    }
}
