//! A job as the file says it, after merging and before it is decided whether it runs.

use crate::diagnostic::{Diagnostics, Span};
use crate::plan::Retry;
use crate::yaml::{Key, Node, Value};

use super::downstream::{self, Trigger};
use super::keywords::{self, Artifacts, Cache, Environment, Image, Need, Parallel};
use super::read::{self, VarDef, flag, text, texts};
use super::rules::{self, Filter, Place, Rule};

/// Keys that a job takes from `default`.
pub(super) const DEFAULT_KEYS: &[&str] = &[
    "after_script",
    "artifacts",
    "before_script",
    "cache",
    "hooks",
    "id_tokens",
    "identity",
    "image",
    "interruptible",
    "retry",
    "services",
    "tags",
    "timeout",
];

/// Keys of a job.
const KEYS: &[&str] = &[
    "after_script",
    "allow_failure",
    "artifacts",
    "before_script",
    "cache",
    "coverage",
    "dast_configuration",
    "dependencies",
    "environment",
    "except",
    "extends",
    "hooks",
    "id_tokens",
    "identity",
    "image",
    "inherit",
    "inputs",
    "interruptible",
    "manual_confirmation",
    "needs",
    "only",
    "pages",
    "parallel",
    "publish",
    "release",
    "resource_group",
    "retry",
    "rules",
    "run",
    "script",
    "secrets",
    "services",
    "stage",
    "start_in",
    "tags",
    "timeout",
    "trigger",
    "type",
    "variables",
    "when",
];

/// What a job takes over.
#[derive(Clone, Debug, Default)]
pub(super) enum Inherit {
    #[default]
    All,
    None,
    Only(Vec<String>),
}

impl Inherit {
    pub(super) fn takes(&self, name: &str) -> bool {
        match self {
            Inherit::All => true,
            Inherit::None => false,
            Inherit::Only(list) => list.iter().any(|n| n == name),
        }
    }
}

/// A job.
#[derive(Clone, Debug)]
pub(super) struct JobDef {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) stage: String,
    pub(super) before_script: Vec<String>,
    pub(super) script: Vec<String>,
    pub(super) script_span: Span,
    /// Runs before the sources are fetched.
    pub(super) before_sources: Vec<String>,
    /// Finds a percentage in the log.
    pub(super) coverage: Option<String>,
    pub(super) after_script: Vec<String>,
    pub(super) image: Option<Image>,
    pub(super) services: Vec<Image>,
    pub(super) variables: Vec<(String, VarDef)>,
    pub(super) inherit_variables: Inherit,
    pub(super) rules: Option<Vec<Rule>>,
    pub(super) only: Option<Filter>,
    pub(super) except: Option<Filter>,
    pub(super) when: Option<String>,
    pub(super) start_in: Option<u64>,
    pub(super) allow_failure: Option<bool>,
    pub(super) exit_codes: Vec<i32>,
    pub(super) needs: Option<Vec<Need>>,
    pub(super) dependencies: Option<Vec<String>>,
    pub(super) artifacts: Option<Artifacts>,
    pub(super) caches: Vec<Cache>,
    pub(super) tags: Vec<String>,
    pub(super) timeout: Option<u64>,
    pub(super) retry: Option<Retry>,
    pub(super) interruptible: bool,
    pub(super) resource_group: Option<String>,
    /// Variables with identity tokens, and whom each is for.
    pub(super) id_tokens: Vec<(String, Vec<String>)>,
    pub(super) environment: Option<Environment>,
    pub(super) parallel: Option<Parallel>,
    /// It starts another pipeline.
    pub(super) trigger: Option<Trigger>,
    /// What keeps it from running here: an error if it is in the pipeline, else a warning.
    pub(super) unsupported: Vec<(Span, String)>,
}

/// Reads a job. `defaults` are the entries of `default`.
pub(super) fn read(key: &Key, node: &Node, defaults: &[(Key, Node)], out: &mut Diagnostics) -> Option<JobDef> {
    let Value::Map(own) = &node.value else {
        let text = format!("jobs {} config should implement the script:, run:, or trigger: keyword", key.name);
        out.error(&key.span, "unknown_key", text);
        return None;
    };
    let (inherit_default, inherit_variables) = node.get("inherit").map(|n| inherit(n, out)).unwrap_or_default();
    let mut job = JobDef {
        name: key.name.clone(),
        span: key.span.clone(),
        stage: "test".into(),
        before_script: Vec::new(),
        script: Vec::new(),
        script_span: key.span.clone(),
        before_sources: Vec::new(),
        coverage: None,
        after_script: Vec::new(),
        image: None,
        services: Vec::new(),
        variables: Vec::new(),
        inherit_variables,
        rules: None,
        only: None,
        except: None,
        when: None,
        start_in: None,
        allow_failure: None,
        exit_codes: Vec::new(),
        needs: None,
        dependencies: None,
        artifacts: None,
        caches: Vec::new(),
        tags: Vec::new(),
        timeout: None,
        retry: None,
        interruptible: false,
        resource_group: None,
        id_tokens: Vec::new(),
        environment: None,
        parallel: None,
        trigger: None,
        unsupported: Vec::new(),
    };
    let place = format!("jobs:{}", key.name);
    for (key, value) in own {
        if super::shape::fits(&place, key, value, out) {
            job.key(key, value, out);
        }
    }
    // a job that starts a pipeline runs nothing that the defaults could be for
    let defaults = if node.get("trigger").is_some() { &[] } else { defaults };
    for (key, value) in defaults.iter().filter(|(k, _)| node.get(&k.name).is_none() && inherit_default.takes(&k.name)) {
        job.key(key, value, out);
    }
    job.check(node, key, out);
    Some(job)
}

/// `coverage: /pattern/`.
fn coverage(node: &Node, job: &str, out: &mut Diagnostics) -> Option<String> {
    let text = text(node, "coverage", out)?;
    let Some(pattern) = text.strip_prefix('/').and_then(|t| t.strip_suffix('/')).filter(|p| !p.is_empty()) else {
        out.error(&node.span, "bad_value", format!("jobs:{job}:coverage config must be a regular expression"));
        return None;
    };
    let pattern = pattern.replace("\\/", "/");
    if let Err(why) = regex::RegexBuilder::new(&pattern).size_limit(1 << 20).build() {
        let why = why.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        out.warning(&node.span, "bad_value", format!("`coverage` finds nothing: the pattern cannot be used here ({why})"));
        return None;
    }
    Some(pattern)
}

fn inherit(node: &Node, out: &mut Diagnostics) -> (Inherit, Inherit) {
    let (mut default, mut variables) = (Inherit::All, Inherit::All);
    for (key, value) in read::mapping(node, "inherit", out) {
        let what = match &value.value {
            Value::Bool(true) => Inherit::All,
            Value::Bool(false) => Inherit::None,
            _ => Inherit::Only(texts(value, &key.name, out)),
        };
        match key.name.as_str() {
            "default" => default = what,
            "variables" => variables = what,
            other => out.error(&key.span, "unknown_key", format!("`inherit` has no key `{other}`")),
        }
    }
    (default, variables)
}

impl JobDef {
    fn key(&mut self, key: &Key, value: &Node, out: &mut Diagnostics) {
        let name = key.name.as_str();
        // null stands for nothing, as if the key were not there
        if matches!(value.value, Value::Null) && !matches!(name, "image" | "script") {
            return;
        }
        match name {
            "stage" | "type" => self.stage = text(value, name, out).unwrap_or_else(|| "test".into()),
            "script" => {
                self.script = texts(value, name, out);
                self.script_span = value.span.clone();
            }
            "before_script" => self.before_script = texts(value, name, out),
            "after_script" => self.after_script = texts(value, name, out),
            "image" if matches!(value.value, Value::Null) => {}
            "image" => self.image = keywords::image(value, false, out),
            "services" => self.services = keywords::services(value, out),
            "variables" => self.variables = read::variables(value, out),
            "rules" => self.rules = Some(rules::read_all(value, Place::Job, out)),
            "only" => self.only = Some(Filter::read(key, value, out)),
            "except" => self.except = Some(Filter::read(key, value, out)),
            "when" => match text(value, name, out) {
                Some(when) if read::WHEN.contains(&when.as_str()) => self.when = Some(when),
                Some(other) => {
                    out.error(&value.span, "bad_value", format!("`when` must be one of {}, not `{other}`", read::WHEN.join(", ")));
                }
                None => {}
            },
            "start_in" => self.start_in = read::duration(value, name, out),
            "allow_failure" => match value.get("exit_codes") {
                Some(codes) => self.exit_codes = read::exit_codes(codes, out),
                None => self.allow_failure = flag(value, name, out),
            },
            "needs" => self.needs = Some(keywords::needs(value, out)),
            "dependencies" => self.dependencies = Some(texts(value, name, out)),
            "artifacts" => self.artifacts = keywords::artifacts(value, out),
            "cache" => self.caches = keywords::caches(value, out),
            "tags" => self.tags = texts(value, name, out),
            "timeout" => self.timeout = read::duration(value, name, out),
            "retry" => self.retry = keywords::retry(value, out),
            "interruptible" => self.interruptible = flag(value, name, out).unwrap_or(false),
            "resource_group" => self.resource_group = text(value, name, out),
            "environment" => self.environment = keywords::environment(value, out),
            "parallel" => self.parallel = keywords::parallel(value, out),
            "extends" | "inherit" => {}
            "coverage" => self.coverage = coverage(value, &self.name, out),
            "hooks" => {
                for (key, value) in read::mapping(value, name, out) {
                    match key.name.as_str() {
                        "pre_get_sources_script" => self.before_sources = texts(value, &key.name, out),
                        other => {
                            out.error(&key.span, "unknown_key", format!("jobs:{}:hooks config contains unknown keys: {other}", self.name));
                        }
                    }
                }
            }
            "manual_confirmation" => {
                out.warning(&key.span, "unsupported_key", "`manual_confirmation` is not asked; starting the job starts it");
            }
            "pages" | "publish" => {
                out.warning(&key.span, "unsupported_key", "pages are not published; the files stay an artifact of the job");
            }
            "trigger" => self.trigger = downstream::read(value, out),
            "release" => self.refuse(key, "releases are not made by a job; push a tag, or use the API"),
            "secrets" => self.refuse(key, "secrets of other stores are not fetched; set them as secrets of the project"),
            "id_tokens" => self.id_tokens = keywords::id_tokens(value, out),
            "run" => self.refuse(key, "steps of GitLab's step runner are not carried out; use `script`"),
            "inputs" | "dast_configuration" | "identity" => self.refuse(key, "it is not carried out here"),
            _ => {
                let text = format!("jobs:{} config contains unknown keys: {name}. Known are: {}", self.name, KEYS.join(", "));
                out.error(&key.span, "unknown_key", text);
            }
        }
    }

    fn refuse(&mut self, key: &Key, why: &str) {
        self.unsupported.push((key.span.clone(), format!("`{}` is not supported: {why}", key.name)));
    }

    fn check(&mut self, node: &Node, key: &Key, out: &mut Diagnostics) {
        if self.name.len() > 255 {
            out.error(&key.span, "bad_name", "the name of a job may have 255 characters at most");
        }
        if node.get("trigger").is_some() {
            downstream::check(node, out);
        } else if node.get("script").is_none() && self.unsupported.is_empty() {
            let text = format!("jobs {} config should implement the script:, run:, or trigger: keyword", self.name);
            out.error(&key.span, "missing_key", text);
        } else if self.script.is_empty() && self.unsupported.is_empty() && !out.has_errors() {
            out.error(&key.span, "missing_key", format!("jobs:{}:script config can't be blank", self.name));
        }
        if let Err(why) = super::service::split(&self.script) {
            out.error(&self.script_span, "service_command", why);
        }
        if self.script.iter().chain(&self.before_script).chain(&self.after_script).any(|l| l.contains('\0')) {
            out.error(&self.script_span, "bad_value", "a script may not hold a NUL character");
        }
        if self.rules.is_some() {
            for name in ["only", "except", "start_in"] {
                if node.get(name).is_some() {
                    let text = format!("jobs:{} config key may not be used with `rules`: {name}", self.name);
                    out.error(&key.span, "bad_combination", text);
                }
            }
        }
        if self.when.as_deref() == Some("delayed") && self.start_in.is_none() {
            out.error(&key.span, "missing_key", format!("jobs:{} start in should be a duration", self.name));
        }
        if self.when.as_deref() != Some("delayed") && node.get("start_in").is_some() && self.rules.is_none() {
            out.error(&key.span, "bad_combination", format!("jobs:{} start in must be blank", self.name));
        }
        if let (Some(needs), Some(dependencies)) = (&self.needs, &self.dependencies) {
            let missing: Vec<&str> = dependencies.iter().map(String::as_str).filter(|d| !needs.iter().any(|n| n.job == *d)).collect();
            if !missing.is_empty() && !needs.is_empty() {
                let text = format!("jobs:{} dependencies the {} should be part of needs", self.name, missing.join(", "));
                out.error(&key.span, "unknown_dependency", text);
            }
        }
        let mut seen = std::collections::HashSet::new();
        for need in self.needs.iter().flatten().filter(|n| n.matrix.is_empty()) {
            if !seen.insert(need.job.as_str()) {
                let text = format!("{} has the following needs duplicated: {}.", self.name, need.job);
                out.error(&need.span, "duplicate_needs", text);
            }
        }
        if self.services.iter().any(|s| s.name.starts_with("docker:") && s.name.contains("dind")) {
            let why = "`docker:dind` needs a privileged container, which jobs do not get; build images with the project's image builds";
            self.unsupported.push((self.span.clone(), why.into()));
        }
        if !self.services.is_empty() && self.image.is_none() {
            let why = format!(
                "the job `{}` has `services` and no `image`: it runs on the machine itself, where services have no names",
                self.name
            );
            self.unsupported.push((self.span.clone(), why));
        }
    }
}
