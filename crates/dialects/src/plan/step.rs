//! A step of the Plan: a script, an action, and what an action is.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Late, Map, Span};

/// One step of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// For `steps.<id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Shown name, may hold expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `if`, without the surrounding `${{ }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Over the job's environment.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: Map,
    /// Minutes until it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_minutes: Option<Late<f64>>,
    /// Its failure does not fail the job.
    pub continue_on_error: Late<bool>,
    /// Where it is written.
    pub span: Span,
    /// What it does.
    pub kind: StepKind,
}

impl Step {
    /// The name to show before (or without) interpolation: given, first line of the script, or the action.
    pub fn title(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        match &self.kind {
            StepKind::Run { script, .. } => format!("Run {}", script.trim().lines().next().unwrap_or_default()),
            StepKind::Uses { action, version, .. } if version.is_empty() => format!("Run {}", action.as_str()),
            StepKind::Uses { action, version, .. } => format!("Run {}@{version}", action.as_str()),
            StepKind::Custom { uses, .. } => format!("Run {uses}"),
            StepKind::Jenkins { file, .. } => format!("Run {file}"),
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StepKind {
    /// A script.
    Run {
        /// Its text.
        script: String,
        /// `bash`, `sh`, `python`, `pwsh`, or a command line that holds `{0}`; none is the default shell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shell: Option<String>,
        /// Below the workspace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        working_directory: Option<String>,
    },
    /// A declarative pipeline, which the runner interprets.
    Jenkins {
        /// Path of the file.
        file: String,
        /// Its text.
        text: String,
        /// Shared libraries, each at a commit.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        libraries: Vec<crate::jenkins::library::Library>,
    },
    /// A built-in action.
    Uses {
        /// Which.
        action: Action,
        /// What was written after `@`; informs only, the built-in is the same for every version.
        version: String,
        /// Its inputs.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        with: Map,
    },
    /// An action whose files lie in a repository, or an image.
    Custom {
        /// As written: `./path`, `owner/name/path@ref`, `docker://image`.
        uses: String,
        /// Its inputs.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        with: Map,
        /// What it was found to be; none where nobody could look.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<Box<CustomAction>>,
    },
}

/// An action of a repository, read when the run was planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustomAction {
    /// Where its files are.
    pub place: ActionPlace,
    /// The name it gives itself.
    pub name: String,
    /// Its inputs with their defaults, which may hold expressions.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, ActionInput>,
    /// Outputs of a composite action: name to text with expressions.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: Map,
    /// What it does.
    pub runs: ActionRuns,
}

/// Where the files of an action are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ActionPlace {
    /// In the workspace, where the job has checked them out.
    Workspace {
        /// Directory below it; empty for the top.
        path: String,
    },
    /// In a repository of this instance.
    Repository {
        /// Path of its project.
        repository: String,
        /// Id of the project.
        project: String,
        /// The commit that the ref was when the run was planned.
        commit: String,
        /// Directory in it; empty for the top.
        path: String,
    },
    /// Nowhere: it is an image.
    Image,
}

/// One input of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionInput {
    /// Used when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Must be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// How an action runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "using", rename_all = "snake_case")]
pub enum ActionRuns {
    /// Steps of its own.
    Composite {
        /// Them.
        steps: Vec<Step>,
    },
    /// A program for Node.
    Node {
        /// Path of its file.
        main: String,
        /// Run before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pre: Option<ActionHook>,
        /// Run at the end of the job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post: Option<ActionHook>,
    },
    /// A container.
    Docker {
        /// `docker://image`, or the path of a Dockerfile.
        image: String,
        /// Program instead of the image's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entrypoint: Option<String>,
        /// Arguments, may hold expressions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        args: Vec<String>,
        /// Environment, may hold expressions.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        env: Map,
    },
}

/// A program of an action beside its main one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionHook {
    /// Path of its file.
    pub file: String,
    /// `pre-if` or `post-if`; `always()` when not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The actions the executors carry out themselves.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Action { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl Action {
            /// All of them.
            pub const ALL: &'static [Action] = &[$(Action::$name,)*];
            /// `owner/name[/path]` as written in `uses`.
            pub fn as_str(self) -> &'static str { match self { $(Action::$name => $text,)* } }
        }
    };
}

actions! {
    /// Clone the commit of the run into the workspace.
    Checkout = "actions/checkout";
    /// Restore now, save at the end of the job.
    Cache = "actions/cache";
    /// Restore only.
    CacheRestore = "actions/cache/restore";
    /// Save only.
    CacheSave = "actions/cache/save";
    /// Store files with the run.
    UploadArtifact = "actions/upload-artifact";
    /// Fetch files of the run.
    DownloadArtifact = "actions/download-artifact";
    /// Choose an installed Node.
    SetupNode = "actions/setup-node";
    /// Choose an installed Python.
    SetupPython = "actions/setup-python";
    /// Choose an installed Go.
    SetupGo = "actions/setup-go";
    /// Choose an installed JDK.
    SetupJava = "actions/setup-java";
    /// Choose an installed Rust.
    RustToolchain = "dtolnay/rust-toolchain";
    /// Choose an installed Rust.
    SetupRustToolchain = "actions-rust-lang/setup-rust-toolchain";
    /// Sign in to a registry.
    DockerLogin = "docker/login-action";
    /// Build an image and push it.
    DockerBuildPush = "docker/build-push-action";
    /// Build an image with Docker or, without it, by layering a static root; push it to the project's registry path.
    BuildImage = "devmentor/build-image";
    /// Deploy an image to an environment.
    Deploy = "devmentor/deploy";
    /// Read test and coverage reports.
    Report = "devmentor/report";
    /// Read variables from files for later jobs, or take those of earlier ones.
    Dotenv = "devmentor/dotenv";
}

impl Action {
    /// Finds a built-in by its `owner/name[/path]`; owners and names are compared without case.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|a| a.as_str().eq_ignore_ascii_case(name))
    }
}
