//! What a pipeline file would do for an event that has not happened, with the files beside it: for the command line, the
//! API and tests of pipelines. Pure: files come from [`Sources`].

use serde_json::{Map, Value};

use crate::convert::Target;
use crate::forecast::{self, forecast};
use crate::github::{self, Compiled, Found, Library};
use crate::plan::{Dialect, Plan};
use crate::{Diagnostic, gitlab, jenkins};

/// Files lead to further ones; more rounds than this lead nowhere.
const MAX_ROUNDS: usize = 24;
/// With more changed files than this, filters of paths are not asked, neither here nor when a push starts runs.
pub const MAX_CHANGED: usize = 3000;

/// The files of a repository.
pub trait Sources {
    /// The bytes of a file.
    fn file(&self, path: &str) -> Option<Vec<u8>>;
    /// All paths; none when they are not known, which counts as a match.
    fn paths(&self) -> Option<Vec<String>> {
        None
    }
}

/// An event.
#[derive(Clone, Debug)]
pub struct Event {
    /// `push`, `pull_request`, `workflow_dispatch`, ...
    pub event: String,
    /// Full ref name, or a branch.
    pub reference: String,
    /// Changed files; none when not known, which counts as all.
    pub changed: Option<Vec<String>>,
    /// Activity, such as `opened`; none is the usual one of the event.
    pub action: Option<String>,
    /// Name of the other workflow of a `workflow_run`.
    pub workflow: String,
    /// Branch that a pull request goes to.
    pub base: String,
    /// The default branch.
    pub default_branch: String,
    /// Inputs of a manual start.
    pub inputs: Map<String, Value>,
    /// Variables of the project.
    pub variables: Map<String, Value>,
}

impl Default for Event {
    fn default() -> Self {
        Self {
            event: "push".into(),
            reference: "refs/heads/main".into(),
            changed: None,
            action: None,
            workflow: String::new(),
            base: "main".into(),
            default_branch: "main".into(),
            inputs: Map::new(),
            variables: Map::new(),
        }
    }
}

impl Event {
    /// The same in GitLab's words.
    fn facts(&self) -> gitlab::Facts {
        let source = match self.event.as_str() {
            "pull_request" | "merge_request" => "merge_request_event",
            "workflow_dispatch" => "web",
            other => other,
        };
        let full = self.reference.starts_with("refs/");
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        gitlab::Facts {
            source: source.to_owned(),
            reference: if full { self.reference.clone() } else { format!("refs/heads/{}", self.reference) },
            before: Some("0".repeat(40)),
            default_branch: self.default_branch.clone(),
            user: "you".into(),
            variables: self.variables.iter().map(|(k, v)| (k.clone(), text(v))).collect(),
            inputs: self.inputs.clone(),
            ..gitlab::Facts::sample()
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Tried {
    /// The jobs that the event starts, and why each job of the file is in or out; none when the file has errors.
    pub plan: Option<Plan>,
    /// Why nothing starts.
    pub quiet: Option<String>,
    /// Messages in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

struct World<'w> {
    sources: &'w dyn Sources,
    changed: Option<Vec<String>>,
}

impl gitlab::World for World<'_> {
    fn file(&self, origin: &gitlab::Origin, path: &str) -> Result<Vec<u8>, String> {
        match origin {
            gitlab::Origin::Here => self.sources.file(path).ok_or_else(|| "there is no such file".into()),
            _ => Err("files of other projects are looked up when the pipeline is made; here they are out of reach".into()),
        }
    }

    fn paths(&self, _: &gitlab::Origin) -> Option<Vec<String>> {
        self.sources.paths()
    }

    fn changed(&self, _: Option<&str>) -> Result<Option<Vec<String>>, String> {
        Ok(self.changed.clone())
    }
}

/// Compiles a file with the files beside it.
pub fn compile(path: &str, bytes: &[u8], dialect: Target, event: &Event, sources: &dyn Sources) -> Compiled {
    match dialect {
        Target::Gitlab => gitlab::compile(path, bytes, &event.facts(), &World { sources, changed: event.changed.clone() }),
        Target::Jenkins => jenkins::plan::compile(path, bytes),
        Target::Github => {
            let mut library = Library::default();
            let mut compiled = github::compile_with(path, bytes, &library);
            for _ in 0..MAX_ROUNDS {
                if compiled.wants.is_empty() {
                    break;
                }
                for want in std::mem::take(&mut compiled.wants) {
                    let found = match &want.foreign {
                        Some(_) => Found::Offline,
                        None => sources.file(&want.path).map_or(Found::Absent, |bytes| Found::File { bytes, pin: None }),
                    };
                    library.insert(want, found);
                }
                compiled = github::compile_with(path, bytes, &library);
            }
            compiled
        }
    }
}

/// Compiles a file, and says what the event starts of it.
pub fn plan(path: &str, bytes: &[u8], dialect: Target, event: &Event, sources: &dyn Sources) -> Tried {
    decide(compile(path, bytes, dialect, event, sources), event)
}

/// What the event starts of a file that was compiled for it.
pub fn decide(compiled: Compiled, event: &Event) -> Tried {
    let Some(mut plan) = compiled.plan else { return Tried { plan: None, quiet: None, diagnostics: compiled.diagnostics } };
    let facts = forecast::Facts {
        event: &event.event,
        r#ref: &event.reference,
        changed: event.changed.as_deref(),
        action: event.action.as_deref(),
        workflow: &event.workflow,
        base: &event.base,
        default_branch: &event.default_branch,
        inputs: event.inputs.clone(),
    };
    let quiet = match plan.dialect {
        Dialect::GithubActions => forecast(&mut plan, &facts).err(),
        // its rules were asked when it was compiled
        _ if plan.jobs.is_empty() => Some(plan.decisions.first().map_or_else(|| "it has no jobs".to_owned(), |d| d.because.clone())),
        _ => None,
    };
    Tried { plan: Some(plan), quiet, diagnostics: compiled.diagnostics }
}

/// The JSON of a plan: what `devmentor pipeline plan` prints.
pub fn json(tried: &Tried) -> Value {
    let mut value = serde_json::json!(tried.plan);
    if value.is_null() {
        value = serde_json::json!({});
    } else {
        value["starts"] = serde_json::json!(tried.quiet.is_none());
        value["because"] = serde_json::json!(tried.quiet.clone().unwrap_or_else(|| "the event starts it".to_owned()));
    }
    value["diagnostics"] = serde_json::json!(tried.diagnostics);
    value
}
