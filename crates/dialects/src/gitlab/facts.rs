//! What is known when a pipeline is made, and the predefined variables that follow from it.

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::vars::{Var, Vars};

/// Which repository a file is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The commit that is built.
    Here,
    /// Another project of this instance.
    Project {
        /// Its path.
        path: String,
        /// Branch, tag or commit; the default branch for none.
        reference: Option<String>,
    },
    /// A project of this instance, for a component of it.
    Component {
        /// Its path.
        path: String,
        /// Commit, tag, branch, `~latest`, or the first numbers of a version.
        version: String,
    },
    /// An artifact that a job of the pipeline above has made.
    Artifact {
        /// Name of the job.
        job: String,
    },
    /// An address; the path is all of it.
    Remote,
}

impl Origin {
    /// How a file of it is called in messages.
    pub(super) fn label(&self, file: &str) -> String {
        match self {
            Origin::Here => file.to_owned(),
            Origin::Project { path, reference } => format!("{path}@{}:{file}", reference.as_deref().unwrap_or("HEAD")),
            Origin::Component { path, version } => format!("{path}@{version}:{file}"),
            Origin::Artifact { job } => format!("artifact of {job}:{file}"),
            Origin::Remote => file.to_owned(),
        }
    }
}

/// What a pipeline may ask about repositories.
pub trait World {
    /// The bytes of a file.
    ///
    /// # Errors
    /// Why it cannot be read, in plain words.
    fn file(&self, origin: &Origin, path: &str) -> Result<Vec<u8>, String>;

    /// All paths of a repository; none when there are too many to list, which `exists` takes as a match.
    fn paths(&self, origin: &Origin) -> Option<Vec<String>>;

    /// Paths that changed, against another ref or what was there before; none when not known, which `changes` takes as a match.
    ///
    /// # Errors
    /// Why the ref to compare with cannot be found.
    fn changed(&self, compare_to: Option<&str>) -> Result<Option<Vec<String>>, String>;
}

/// A world without repositories.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl World for Nothing {
    fn file(&self, _: &Origin, _: &str) -> Result<Vec<u8>, String> {
        Err("there is no repository to look in".into())
    }
    fn paths(&self, _: &Origin) -> Option<Vec<String>> {
        None
    }
    fn changed(&self, _: Option<&str>) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }
}

/// What is known about the event, the commit and the project.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `push`, `web`, `api`, `schedule`: the value of `CI_PIPELINE_SOURCE`.
    pub source: String,
    /// Full ref name.
    pub reference: String,
    /// The commit.
    pub sha: String,
    /// Where the ref was before; none for a new ref.
    pub before: Option<String>,
    /// The default branch.
    pub default_branch: String,
    /// Whole commit message.
    pub message: String,
    /// `Name <mail>`.
    pub author: String,
    /// When the commit was made, RFC 3339.
    pub timestamp: String,
    /// Path of the project.
    pub project_path: String,
    /// Id of the project.
    pub project_id: String,
    /// `public`, `internal`, `private`.
    pub visibility: String,
    /// Address of this service, without a slash at the end.
    pub server_url: String,
    /// Its host, and port if it is not the usual one.
    pub server_host: String,
    /// Who set it off.
    pub user: String,
    /// Does it run on a protected ref?
    pub protected: bool,
    /// Variables of the project and its groups.
    pub variables: IndexMap<String, String>,
    /// Names of the secrets of the project and its groups.
    pub secrets: Vec<String>,
    /// What the jobs of an environment have besides, by its name.
    pub environments: IndexMap<String, Stored>,
    /// What a person gave with a manual start: inputs of the file, or variables.
    pub inputs: Map<String, Json>,
    /// Variables that come with this pipeline, as from the job that started it.
    pub passed: IndexMap<String, String>,
}

/// Variables and names of secrets that are kept for one place.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Values by name.
    pub variables: IndexMap<String, String>,
    /// Names.
    pub secrets: Vec<String>,
}

fn stored(v: &mut Vars, variables: &IndexMap<String, String>, secrets: &[String]) {
    for name in secrets {
        v.set(name, Var::Late(format!("${{{{ secrets.{name} }}}}")));
    }
    for (name, value) in variables {
        v.set(name, Var::Text(value.clone()));
    }
}

/// Lower case, letters and digits, everything else a dash, at most 63: fit for host names.
pub(super) fn slug(text: &str) -> String {
    let dashed: String = text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    dashed.chars().take(63).collect::<String>().trim_matches('-').to_owned()
}

impl Facts {
    /// Facts of a push to the default branch of nothing in particular: to check a file without a repository.
    pub fn sample() -> Self {
        Self {
            source: "push".into(),
            reference: "refs/heads/main".into(),
            sha: "0".repeat(40),
            default_branch: "main".into(),
            message: "a commit\n".into(),
            project_path: "group/project".into(),
            visibility: "private".into(),
            server_url: "http://localhost".into(),
            server_host: "localhost".into(),
            ..Self::default()
        }
    }

    /// The branch whose pipeline this is. A pipeline of a merge request is not one of its branch.
    pub fn branch(&self) -> Option<&str> {
        self.reference.strip_prefix("refs/heads/").filter(|_| self.source != "merge_request_event")
    }

    /// The tag, if the ref is one.
    pub fn tag(&self) -> Option<&str> {
        self.reference.strip_prefix("refs/tags/")
    }

    /// The short name of the ref.
    pub fn ref_name(&self) -> &str {
        self.reference.strip_prefix("refs/heads/").or(self.tag()).unwrap_or(&self.reference)
    }

    /// The predefined variables of a pipeline.
    pub(super) fn predefined(&self) -> Vars {
        let mut v = Vars::default();
        let title = self.message.lines().next().unwrap_or_default();
        let description = self.message.split_once('\n').map_or("", |(_, rest)| rest.trim_start());
        let path = self.project_path.as_str();
        let name = path.rsplit('/').next().unwrap_or_default();
        let namespace = path.rsplit_once('/').map_or("", |(n, _)| n);
        let (scheme, _) = self.server_url.split_once("://").unwrap_or(("http", ""));
        let (host, port) = match self.server_host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
            _ => (self.server_host.as_str(), if scheme == "https" { "443" } else { "80" }),
        };
        let zeros = "0".repeat(40);
        let short: String = self.sha.chars().take(8).collect();
        for (key, value) in [
            ("CI", "true"),
            ("GITLAB_CI", "true"),
            ("CI_SERVER", "yes"),
            ("CI_SERVER_NAME", "DevMentor"),
            ("CI_SERVER_URL", &self.server_url),
            ("CI_SERVER_FQDN", &self.server_host),
            ("CI_SERVER_HOST", host),
            ("CI_SERVER_PORT", port),
            ("CI_SERVER_PROTOCOL", scheme),
            ("CI_CONFIG_PATH", super::FILE),
            ("CI_PIPELINE_SOURCE", &self.source),
            ("CI_DEFAULT_BRANCH", &self.default_branch),
            ("CI_COMMIT_SHA", &self.sha),
            ("CI_COMMIT_SHORT_SHA", &short),
            ("CI_COMMIT_BEFORE_SHA", self.before.as_deref().unwrap_or(&zeros)),
            ("CI_COMMIT_REF_NAME", self.ref_name()),
            ("CI_COMMIT_REF_SLUG", &slug(self.ref_name())),
            ("CI_COMMIT_REF_PROTECTED", if self.protected { "true" } else { "false" }),
            ("CI_COMMIT_MESSAGE", &self.message),
            ("CI_COMMIT_TITLE", title),
            ("CI_COMMIT_DESCRIPTION", description),
            ("CI_COMMIT_AUTHOR", &self.author),
            ("CI_COMMIT_TIMESTAMP", &self.timestamp),
            ("CI_PROJECT_ID", &self.project_id),
            ("CI_PROJECT_NAME", name),
            ("CI_PROJECT_TITLE", name),
            ("CI_PROJECT_PATH", path),
            ("CI_PROJECT_PATH_SLUG", &slug(path)),
            ("CI_PROJECT_NAMESPACE", namespace),
            ("CI_PROJECT_NAMESPACE_SLUG", &slug(namespace)),
            ("CI_PROJECT_ROOT_NAMESPACE", path.split('/').next().unwrap_or_default()),
            ("CI_PROJECT_URL", &format!("{}/{path}", self.server_url)),
            ("CI_PROJECT_VISIBILITY", &self.visibility),
            ("CI_REGISTRY", &self.server_host),
            ("CI_REGISTRY_IMAGE", &format!("{}/{}", self.server_host, path.to_lowercase())),
            ("CI_REGISTRY_USER", "job"),
            ("GITLAB_USER_LOGIN", &self.user),
            ("GITLAB_USER_NAME", &self.user),
        ] {
            v.raw(key, value);
        }
        if self.source == "pipeline" {
            v.raw("CI_PIPELINE_TRIGGERED", "true");
        }
        if let Some(branch) = self.branch() {
            v.raw("CI_COMMIT_BRANCH", branch);
        }
        if let Some(tag) = self.tag() {
            v.raw("CI_COMMIT_TAG", tag);
        }
        let rest = self.server_url.split_once("://").map_or(self.server_url.as_str(), |(_, rest)| rest);
        for (key, template) in [
            ("CI_PIPELINE_ID", "${{ github.run_id }}".to_owned()),
            ("CI_PIPELINE_IID", "${{ github.run_number }}".into()),
            ("CI_PIPELINE_URL", format!("{}/{path}/-/runs/${{{{ github.run_id }}}}", self.server_url)),
            ("CI_PROJECT_DIR", "${{ github.workspace }}".into()),
            ("CI_JOB_ID", "${{ job.id }}".into()),
            ("CI_JOB_TOKEN", "${{ github.token }}".into()),
            ("CI_REGISTRY_PASSWORD", "${{ github.token }}".into()),
            ("CI_RUNNER_DESCRIPTION", "${{ runner.name }}".into()),
            ("CI_REPOSITORY_URL", format!("{scheme}://job:${{{{ github.token }}}}@{rest}/{path}.git")),
        ] {
            v.set(key, Var::Late(template));
        }
        v
    }

    /// The variables of the project and of who started the pipeline: they win over everything in the file.
    pub(super) fn outer(&self, file_inputs: &IndexMap<String, crate::plan::Input>) -> Vars {
        let mut v = Vars::default();
        stored(&mut v, &self.variables, &self.secrets);
        v.extend(&self.given(file_inputs));
        v
    }

    /// The variables of an environment, which win over the project's.
    pub(super) fn of_environment(&self, name: &str) -> Vars {
        let mut v = Vars::default();
        if let Some(own) = self.environments.get(name) {
            stored(&mut v, &own.variables, &own.secrets);
        }
        v
    }

    /// The variables of who started the pipeline, which win over all others.
    pub(super) fn given(&self, file_inputs: &IndexMap<String, crate::plan::Input>) -> Vars {
        let mut v = Vars::default();
        for (name, value) in &self.passed {
            v.set(name, Var::Raw(value.clone()));
        }
        for (name, value) in self.inputs.iter().filter(|(n, _)| !file_inputs.contains_key(*n)) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            v.set(name, Var::Text(text));
        }
        v
    }
}

/// Variables that are not set in every pipeline, so that naming one is no mistake.
pub(super) fn sometimes_set(name: &str) -> bool {
    name.starts_with("CI_MERGE_REQUEST_")
        || name.starts_with("CI_EXTERNAL_PULL_REQUEST_")
        || name.starts_with("CI_ENVIRONMENT_")
        || name.starts_with("CI_NODE_")
        || matches!(
            name,
            "CI_COMMIT_BRANCH"
                | "CI_COMMIT_TAG"
                | "CI_COMMIT_TAG_MESSAGE"
                | "CI_OPEN_MERGE_REQUESTS"
                | "CI_DEPLOY_USER"
                | "CI_DEPLOY_PASSWORD"
                | "CI_DEPLOY_FREEZE"
                | "CI_DEBUG_TRACE"
                | "CI_JOB_STATUS"
                | "CI_PIPELINE_TRIGGERED"
        )
}
