//! `docker/build-push-action` and `devmentor/build-image`: with a Docker engine when one answers, else with the
//! runner's own builder, which can make images of a static root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::login::registry_of;
use super::{ActionEnd, ActionError, ActionResult, Call, failed, select};
use crate::docker::{self, EngineBuild};
use crate::image::{self, BuildRequest, BuiltImage, Ignore, MANIFEST_TYPE};
use crate::sandbox::read_beneath;

/// Largest Dockerfile.
const DOCKERFILE_MAX: u64 = 1 << 20;

/// What to build and where it goes.
struct Wanted {
    context: PathBuf,
    dockerfile: String,
    ignore: Ignore,
    /// Full references `registry/repository:tag`.
    tags: Vec<String>,
    push: bool,
}

pub(super) async fn build_push(call: &mut Call<'_>) -> ActionResult {
    let tags = call.lines("tags").iter().flat_map(|l| l.split(',')).map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect();
    let push = call.flag("push", false)?;
    let wanted = read(call, tags, push)?;
    make(call, wanted).await
}

pub(super) async fn build_image(call: &mut Call<'_>) -> ActionResult {
    let base = repository(&call.spec.registry_host, &call.spec.project.path, call.input("image"));
    let mut tags: Vec<String> =
        call.lines("tags").iter().flat_map(|l| l.split(',')).map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect();
    if tags.is_empty() {
        tags.push(call.spec.checkout.sha.clone());
    }
    let tags = tags.into_iter().map(|tag| if tag.contains('/') { tag } else { format!("{base}:{tag}") }).collect();
    let push = call.flag("push", true)?;
    let wanted = read(call, tags, push)?;
    make(call, wanted).await
}

/// Registry and repository of the project's image with this name.
fn repository(registry: &str, project: &str, image: Option<&str>) -> String {
    match image {
        None => format!("{registry}/{project}"),
        Some(image) if image.starts_with(&format!("{registry}/")) => image.to_owned(),
        Some(image) if image == project || image.starts_with(&format!("{project}/")) => format!("{registry}/{image}"),
        Some(image) => format!("{registry}/{project}/{image}"),
    }
}

fn read(call: &Call<'_>, tags: Vec<String>, push: bool) -> ActionResult<Wanted> {
    let dirs = call.place.dirs();
    let context = call.input("context").unwrap_or(".");
    if context.contains("://") || context.starts_with("git@") {
        return failed(format!("`context: {context}`: only a directory of the workspace can be the context"));
    }
    let context = select::absolute(dirs, context)?;
    let named = call.input("dockerfile").or_else(|| call.input("file"));
    let file = match named {
        Some(file) => select::absolute(dirs, file)?,
        None => context.join("Dockerfile"),
    };
    let text = |path: &Path| {
        let inside = path.strip_prefix(&dirs.root).unwrap_or(path);
        read_beneath(&dirs.root, inside, DOCKERFILE_MAX, true).map(|b| String::from_utf8_lossy(&b).into_owned())
    };
    let shown = file.strip_prefix(&dirs.workspace).unwrap_or(&file).display().to_string();
    let dockerfile = text(&file).map_err(|e| ActionError::Failed(format!("{shown} cannot be read: {e}")))?;
    let ignore = match text(&context.join(".dockerignore")) {
        Ok(text) => Ignore::parse(&text).map_err(ActionError::Failed)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ignore::default(),
        Err(e) => return failed(format!(".dockerignore cannot be read: {e}")),
    };
    if push && tags.is_empty() {
        return failed("`push: true` needs `tags`");
    }
    if let Some(tag) =
        tags.iter().find(|t| t.chars().any(|c| c.is_whitespace() || c.is_control() || c.is_ascii_uppercase() && !t.contains(':')))
    {
        return failed(format!("`{tag}` is not an image reference"));
    }
    Ok(Wanted { context, dockerfile, ignore, tags, push })
}

fn pairs(lines: &[String], input: &str, env: &BTreeMap<String, String>) -> ActionResult<BTreeMap<String, String>> {
    lines
        .iter()
        .map(|line| match line.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.to_owned())),
            // a name alone takes its value from the environment
            None if env.contains_key(line) => Ok((line.clone(), env[line].clone())),
            None => failed(format!("`{input}` holds `{line}`, which is not NAME=value")),
        })
        .collect()
}

async fn make(call: &mut Call<'_>, wanted: Wanted) -> ActionResult {
    let args = pairs(&call.lines("build-args"), "build-args", &call.env)?;
    let mut labels = pairs(&call.lines("labels"), "labels", &call.env)?;
    labels.entry("org.opencontainers.image.revision".into()).or_insert_with(|| call.spec.checkout.sha.clone());
    let target = call.input("target").map(str::to_owned);
    let (digest, id) = match call.docker.cloned() {
        Some(docker) => with_engine(call, &docker, &wanted, args, labels, target).await?,
        None => {
            call.out.line("No Docker engine answers on this runner; the image is layered by the runner itself.").await?;
            let built = layered(call, &wanted, args, labels, target).await?;
            (wanted.push.then(|| built.digest.clone()), built.config_digest)
        }
    };
    let shown = digest.clone().unwrap_or_default();
    for tag in &wanted.tags {
        call.out.line(&format!("{tag}{}", if wanted.push { format!("@{shown}") } else { " (not pushed)".into() })).await?;
    }
    let first = wanted.tags.first().map(|t| docker::split(t).0.to_owned()).unwrap_or_default();
    let image = match &digest {
        Some(digest) => format!("{first}@{digest}"),
        None => wanted.tags.first().cloned().unwrap_or_default(),
    };
    let end = ActionEnd::default().output("digest", shown).output("imageid", id).output("image", image);
    Ok(end.output("tags", wanted.tags.join("\n")))
}

async fn with_engine(
    call: &mut Call<'_>,
    docker: &bollard::Docker,
    wanted: &Wanted,
    args: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    target: Option<String>,
) -> ActionResult<(Option<String>, String)> {
    let what = EngineBuild {
        root: call.place.dirs().root.clone(),
        context: wanted.context.clone(),
        dockerfile: wanted.dockerfile.clone(),
        ignore: wanted.ignore.clone(),
        tags: wanted.tags.clone(),
        args,
        labels,
        target: target.unwrap_or_default(),
        no_cache: call.flag("no-cache", false)?,
        pull: call.flag("pull", false)?,
    };
    let id = docker::build(docker, what, call.logins, call.out).await?.map_err(ActionError::Failed)?;
    let mut digest = None;
    for tag in wanted.tags.iter().filter(|_| wanted.push) {
        digest = Some(docker::push(docker, tag, call.logins, call.out).await?.map_err(ActionError::Failed)?);
    }
    Ok((digest, id))
}

async fn layered(
    call: &mut Call<'_>,
    wanted: &Wanted,
    args: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    target: Option<String>,
) -> ActionResult<BuiltImage> {
    let registry = call.spec.registry_host.to_ascii_lowercase();
    if let Some(other) = wanted.tags.iter().find(|t| wanted.push && registry_of(t) != registry) {
        return failed(format!("{other}: without a Docker engine images can be pushed to {registry} only"));
    }
    let scratch = call.scratch("layers");
    tokio::fs::create_dir_all(&scratch).await?;
    let root = call.place.dirs().root.clone();
    let (context, text, ignore, directory) = (wanted.context.clone(), wanted.dockerfile.clone(), wanted.ignore.clone(), scratch.clone());
    let built = tokio::task::spawn_blocking(move || {
        let dockerfile = image::parse(&text)?;
        let target = target.as_deref();
        image::build(&BuildRequest {
            dockerfile: &dockerfile,
            root: &root,
            context: &context,
            ignore: &ignore,
            args: &args,
            labels: &labels,
            target,
            scratch: &directory,
        })
    });
    let built = built.await.map_err(std::io::Error::other)?.map_err(|problem| ActionError::Failed(problem.to_string()))?;
    for layer in &built.layers {
        call.out.line(&format!("layer {} {} bytes", layer.digest, layer.size)).await?;
    }
    if wanted.push {
        push(call, wanted, &built, &scratch).await?;
    }
    let _ = tokio::fs::remove_dir_all(&scratch).await;
    Ok(built)
}

async fn push(call: &mut Call<'_>, wanted: &Wanted, built: &BuiltImage, scratch: &Path) -> ActionResult<()> {
    let config = scratch.join("config.json");
    tokio::fs::write(&config, &built.config).await?;
    let mut pushed: Vec<&str> = Vec::new();
    for tag in &wanted.tags {
        let (full, name) = docker::split(tag);
        let repository = full.split_once('/').map_or(full, |(_, repository)| repository);
        if !pushed.contains(&repository) {
            pushed.push(repository);
            let layers = built.layers.iter().map(|l| (l.digest.as_str(), l.file.as_path()));
            for (digest, file) in layers.chain([(built.config_digest.as_str(), config.as_path())]) {
                if !call.host.blob_exists(repository, digest).await? {
                    call.host.blob_put(repository, digest, file).await?;
                }
            }
        }
        let digest = call.host.manifest_put(repository, name, MANIFEST_TYPE, built.manifest.clone()).await?;
        if digest != built.digest {
            return failed(format!("the registry stored {digest} for {tag}, expected {}", built.digest));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_projects_images() {
        for (image, expected) in [
            (None, "r:1/acme/web"),
            (Some("worker"), "r:1/acme/web/worker"),
            (Some("acme/web"), "r:1/acme/web"),
            (Some("acme/web/x"), "r:1/acme/web/x"),
            (Some("r:1/acme/web/x"), "r:1/acme/web/x"),
        ] {
            assert_eq!(repository("r:1", "acme/web", image), expected);
        }
    }
}
