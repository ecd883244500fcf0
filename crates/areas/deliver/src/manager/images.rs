//! Images of releases in a Docker engine.

use kernel::Error;
use kernel::Result;
use store::environment::EnvironmentRow;
use store::environment::environment_list;
use store::release::ReleaseRow;
use store::release::release_before;
use store::release::release_get;
use web_kit::App;

use super::record::Live;
use crate::environment::MOST;
use crate::environment::model::Target;

/// Repository name of the release's image.
pub(super) fn repository(release: &ReleaseRow) -> &str {
    let shown = release.image.as_str();
    let name = shown.split_once('@').map(|(n, _)| n).or_else(|| shown.rsplit_once(':').map(|(n, _)| n));
    name.unwrap_or(shown)
}

/// The repository as an engine on this machine reaches it.
pub(super) fn local_repository(app: &App, release: &ReleaseRow) -> String {
    let config = app.config();
    let at = config.docker_host.clone().or_else(|| std::env::var("DOCKER_HOST").ok()).unwrap_or_default();
    let local = at.is_empty() || at.starts_with("unix:") || at.starts_with('/');
    let host = if local { format!("127.0.0.1:{}", config.listen.port()) } else { config.public_host() };
    format!("{host}/{}", repository(release))
}

/// Removes the images of a project's releases that run nowhere, but of the one before `release`, to which a rollback is likely.
/// Any other is pulled again when it is wanted.
///
/// # Errors
/// The engine's or the database's.
pub(super) async fn tidy(app: &App, environment: &EnvironmentRow, release: &ReleaseRow) -> Result<()> {
    if Target::parse(&environment.target) != Target::Docker {
        return Ok(());
    }
    let Some(engine) = super::docker(app).await else { return Ok(()) };
    let mut keep = vec![release.digest.clone()];
    keep.extend(release_before(app.db(), environment.id, Some(release.id)).await?.map(|r| r.digest));
    for row in environment_list(app.db(), environment.project, "", MOST).await? {
        let live = Live::of(&row);
        for instance in live.current.iter().chain(&live.candidate).chain(&live.retiring) {
            keep.extend(release_get(app.db(), instance.release).await?.map(|r| r.digest));
        }
    }
    engine.prune(&local_repository(app, release), &keep).await.map_err(Error::internal)?;
    Ok(())
}
