//! `uses`: the built-in actions and what their inputs do here.

use crate::plan::{Action, Map, StepKind};
use crate::yaml::Node;

use super::custom;
use super::read::Reader;

/// What becomes of an input.
#[derive(Clone, Copy)]
enum Input {
    /// Read by the executor.
    Used,
    /// Read by the executor, which does not do all of it; the reason is shown.
    Partly(&'static str),
    /// Must be given.
    Required,
    /// Harmless without effect here; the reason is shown.
    NoEffect(&'static str),
    /// Would change what happens, and is not done.
    Unsupported(&'static str),
}

use Input::{NoEffect, Partly, Required, Unsupported, Used};

const TOOL_CHAIN: &str = "the tool chain installed on the runner is used and checked against the version";
const NO_CACHE: &str = "use actions/cache to keep downloads between runs";
const OWN_REGISTRY: &str = "no registry settings are written; write them in a `run` step";
const DAEMON: &str = "not passed on to the builder";

/// The inputs of an action.
fn inputs(action: Action) -> &'static [(&'static str, Input)] {
    match action {
        Action::Checkout => &[
            ("repository", Unsupported("only the repository of the run can be checked out")),
            ("ref", Used),
            ("path", Used),
            ("fetch-depth", Used),
            ("clean", Used),
            ("persist-credentials", Used),
            ("token", NoEffect("the job's own token is used")),
            ("fetch-tags", Used),
            ("show-progress", NoEffect("progress is never written to the log")),
            ("set-safe-directory", NoEffect("the workspace always is safe")),
            ("submodules", Partly("submodules are not fetched; the step fails in a repository that has some")),
            ("lfs", Unsupported("LFS files are not fetched")),
            ("filter", NoEffect("all objects of the commit are fetched")),
            ("sparse-checkout", Unsupported("the whole tree is checked out")),
            ("sparse-checkout-cone-mode", Unsupported("the whole tree is checked out")),
            ("ssh-key", Unsupported("checkout goes over HTTP with the job's token")),
            ("ssh-known-hosts", NoEffect("checkout goes over HTTP")),
            ("ssh-strict", NoEffect("checkout goes over HTTP")),
            ("ssh-user", NoEffect("checkout goes over HTTP")),
            ("github-server-url", Unsupported("only this server is reached")),
        ],
        Action::Cache => &[
            ("path", Required),
            ("key", Required),
            ("restore-keys", Used),
            ("fail-on-cache-miss", Used),
            ("lookup-only", Used),
            ("save-always", NoEffect("the cache is saved when the job succeeds; use actions/cache/save for more")),
            ("enableCrossOsArchive", NoEffect("there is one kind of archive")),
            ("upload-chunk-size", NoEffect("caches are streamed")),
        ],
        Action::CacheRestore => &[
            ("path", Required),
            ("key", Required),
            ("restore-keys", Used),
            ("fail-on-cache-miss", Used),
            ("lookup-only", Used),
            ("enableCrossOsArchive", NoEffect("there is one kind of archive")),
        ],
        Action::CacheSave => &[
            ("path", Required),
            ("key", Required),
            ("upload-chunk-size", NoEffect("caches are streamed")),
            ("enableCrossOsArchive", NoEffect("there is one kind of archive")),
        ],
        Action::UploadArtifact => &[
            ("name", Used),
            ("path", Required),
            ("if-no-files-found", Used),
            ("retention-days", Used),
            ("compression-level", NoEffect("one level is used")),
            ("overwrite", Used),
            ("include-hidden-files", Used),
        ],
        Action::DownloadArtifact => &[
            ("name", Used),
            ("path", Used),
            ("pattern", Used),
            ("merge-multiple", Used),
            ("github-token", NoEffect("the job's own token is used")),
            ("repository", Unsupported("only artifacts of this run can be fetched")),
            ("run-id", Unsupported("only artifacts of this run can be fetched")),
            ("artifact-ids", Unsupported("artifacts are named, not numbered")),
        ],
        Action::SetupNode => &[
            ("node-version", Used),
            ("node-version-file", Used),
            ("cache", NoEffect(NO_CACHE)),
            ("cache-dependency-path", NoEffect(NO_CACHE)),
            ("package-manager-cache", NoEffect(NO_CACHE)),
            ("check-latest", NoEffect(TOOL_CHAIN)),
            ("architecture", NoEffect(TOOL_CHAIN)),
            ("registry-url", Unsupported(OWN_REGISTRY)),
            ("scope", Unsupported(OWN_REGISTRY)),
            ("token", NoEffect("nothing is downloaded")),
            ("always-auth", NoEffect(OWN_REGISTRY)),
        ],
        Action::SetupPython => &[
            ("python-version", Used),
            ("python-version-file", Used),
            ("cache", NoEffect(NO_CACHE)),
            ("cache-dependency-path", NoEffect(NO_CACHE)),
            ("check-latest", NoEffect(TOOL_CHAIN)),
            ("architecture", NoEffect(TOOL_CHAIN)),
            ("token", NoEffect("nothing is downloaded")),
            ("update-environment", NoEffect("the environment is always set")),
            ("allow-prereleases", NoEffect(TOOL_CHAIN)),
        ],
        Action::SetupGo => &[
            ("go-version", Used),
            ("go-version-file", Used),
            ("cache", NoEffect(NO_CACHE)),
            ("cache-dependency-path", NoEffect(NO_CACHE)),
            ("check-latest", NoEffect(TOOL_CHAIN)),
            ("architecture", NoEffect(TOOL_CHAIN)),
            ("token", NoEffect("nothing is downloaded")),
        ],
        Action::SetupJava => &[
            ("java-version", Used),
            ("java-version-file", Used),
            ("distribution", NoEffect(TOOL_CHAIN)),
            ("java-package", NoEffect(TOOL_CHAIN)),
            ("architecture", NoEffect(TOOL_CHAIN)),
            ("check-latest", NoEffect(TOOL_CHAIN)),
            ("cache", NoEffect(NO_CACHE)),
            ("cache-dependency-path", NoEffect(NO_CACHE)),
            ("server-id", Unsupported(OWN_REGISTRY)),
            ("server-username", Unsupported(OWN_REGISTRY)),
            ("server-password", Unsupported(OWN_REGISTRY)),
        ],
        Action::RustToolchain | Action::SetupRustToolchain => &[
            ("toolchain", Used),
            ("components", Used),
            ("target", Used),
            ("targets", Used),
            ("cache", NoEffect(NO_CACHE)),
            ("rustflags", Unsupported("set RUSTFLAGS in `env`")),
            ("override", NoEffect(TOOL_CHAIN)),
        ],
        Action::DockerLogin => &[
            ("registry", Used),
            ("username", Used),
            ("password", Used),
            ("logout", NoEffect("credentials always end with the job")),
            ("ecr", Unsupported("only name and password are supported")),
        ],
        Action::DockerBuildPush => &[
            ("context", Used),
            ("file", Used),
            ("tags", Used),
            ("push", Used),
            ("load", NoEffect("the image is always loaded")),
            ("build-args", Used),
            ("target", Used),
            ("labels", Used),
            ("no-cache", Used),
            ("pull", Used),
            ("platforms", Unsupported("images are built for the platform of the runner")),
            ("cache-from", NoEffect(DAEMON)),
            ("cache-to", NoEffect(DAEMON)),
            ("builder", NoEffect(DAEMON)),
            ("provenance", NoEffect(DAEMON)),
            ("sbom", NoEffect(DAEMON)),
            ("github-token", NoEffect(DAEMON)),
            ("secrets", Unsupported("build secrets are not passed on")),
            ("outputs", Unsupported("only `push` and `load` exist")),
        ],
        Action::BuildImage => &[
            ("image", Used),
            ("tags", Used),
            ("context", Used),
            ("dockerfile", Used),
            ("file", Used),
            ("build-args", Used),
            ("target", Used),
            ("push", Used),
        ],
        Action::Deploy => &[("environment", Required), ("image", Used), ("config", Used), ("wait", Used)],
        Action::Report => &[
            ("junit", Used),
            ("tap", Used),
            ("go", Used),
            ("cargo", Used),
            ("trx", Used),
            ("lcov", Used),
            ("cobertura", Used),
            ("jacoco", Used),
            ("clover", Used),
            ("go_cover", Used),
            ("coverage_py", Used),
            ("llvm_cov", Used),
            ("fail-on-failure", Used),
        ],
        Action::Dotenv => &[("file", Used), ("load", Used), ("keep", Used)],
    }
}

pub(super) fn read(r: &mut Reader<'_>, uses: &Node, with: Option<&Node>) -> Option<StepKind> {
    let text = r.plain_text(uses, "uses")?;
    if text.starts_with("./") || text.starts_with("docker://") {
        return custom::read(r, uses, &text, with);
    }
    if text.starts_with("$/") {
        r.out.error(&uses.span, "unsupported_action", format!("`{text}`: write `./` for an action of this repository"));
        return None;
    }
    let (name, version) = text.split_once('@').unwrap_or((&text, ""));
    let Some(action) = Action::find(name) else {
        return custom::read(r, uses, &text, with);
    };
    let ours = action.as_str().starts_with("devmentor/");
    if version.is_empty() && !ours {
        r.out.error(&uses.span, "missing_version", format!("`{text}` needs a version: {name}@v4"));
        return None;
    }
    let here = r.step_scope();
    let given = with.map(|node| r.env(node, "with", here)).unwrap_or_default();
    let table = inputs(action);
    let mut kept = Map::new();
    for (key, value) in given {
        let span = with.and_then(|w| w.get(&key)).map_or_else(|| uses.span.clone(), |n| n.span.clone());
        // inputs have no case
        let Some((name, input)) = table.iter().find(|(n, _)| n.eq_ignore_ascii_case(&key)) else {
            let known: Vec<&str> = table.iter().map(|(n, _)| *n).collect();
            let message = format!("Unexpected input '{key}', valid inputs are {known:?}; it has no effect");
            r.out.warning(&span, "unknown_input", message);
            continue;
        };
        match input {
            Used | Required => {
                kept.insert((*name).to_owned(), value);
            }
            Partly(why) => {
                if !matches!(value.trim(), "" | "false") {
                    r.out.warning(&span, "partly_supported", format!("`{name}`: {why}"));
                }
                kept.insert((*name).to_owned(), value);
            }
            NoEffect(why) => r.out.warning(&span, "input_without_effect", format!("`{name}` has no effect: {why}")),
            // switched off is what we do anyway
            Unsupported(_) if matches!(value.trim(), "" | "false") => {}
            Unsupported(why) => r.out.error(&span, "unsupported_input", format!("`{name}` is not supported: {why}")),
        }
    }
    for (name, input) in table {
        if matches!(input, Required) && !kept.contains_key(*name) {
            r.out.error(&uses.span, "missing_input", format!("Input required and not supplied: {name}"));
        }
    }
    Some(StepKind::Uses { action, version: version.to_owned(), with: kept })
}
