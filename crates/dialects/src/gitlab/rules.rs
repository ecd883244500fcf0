//! `rules`, `only` and `except`: is a job in the pipeline, how, and why.

use regex::{Regex, RegexBuilder};

use crate::diagnostic::{Diagnostics, Span};
use crate::plan::{AutoCancel, OnNewCommit};
use crate::yaml::{Key, Node, Value};

use super::condition::{Condition, as_pattern};
use super::facts::{Facts, Origin, World};
use super::glob;
use super::read::{self, VarDef};
use super::vars::Vars;

/// Comparisons of patterns with paths after which a match is assumed, as GitLab does.
const MAX_COMPARISONS: usize = 50_000;

/// Where rules stand; each place has its own keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Of a job.
    Job,
    /// Of the pipeline.
    Workflow,
    /// Of an include.
    Include,
}

/// What rules look at.
pub(super) struct Scene<'s> {
    pub(super) facts: &'s Facts,
    pub(super) world: &'s dyn World,
    pub(super) vars: &'s Vars,
}

/// One rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    pub(super) span: Option<Span>,
    condition: Option<(String, Condition)>,
    changes: Option<Changes>,
    exists: Option<Paths>,
    pub(super) when: Option<String>,
    pub(super) start_in: Option<u64>,
    pub(super) allow_failure: Option<bool>,
    pub(super) interruptible: Option<bool>,
    pub(super) variables: Vec<(String, VarDef)>,
    pub(super) needs: Option<Node>,
    pub(super) auto_cancel: Option<AutoCancel>,
}

/// `auto_cancel` of the pipeline or of one of its rules.
pub(super) fn auto_cancel(node: &Node, out: &mut Diagnostics) -> AutoCancel {
    let mut found = AutoCancel::default();
    for (key, value) in read::mapping(node, "auto_cancel", out) {
        let text = value.scalar_text().unwrap_or_default();
        match (key.name.as_str(), text.as_str()) {
            ("on_new_commit", "conservative") => found.on_new_commit = OnNewCommit::Conservative,
            ("on_new_commit", "interruptible") => found.on_new_commit = OnNewCommit::Interruptible,
            ("on_new_commit", "none") => found.on_new_commit = OnNewCommit::None,
            ("on_job_failure", "all" | "none") => found.on_job_failure = text == "all",
            ("on_new_commit", _) => {
                out.error(&value.span, "bad_value", "workflow:auto_cancel on new commit must be one of: conservative, interruptible, none");
            }
            ("on_job_failure", _) => {
                out.error(&value.span, "bad_value", "workflow:auto_cancel on job failure must be one of: none, all");
            }
            (other, _) => out.error(&key.span, "unknown_key", format!("workflow:auto_cancel config contains unknown keys: {other}")),
        }
    }
    found
}

/// Which paths are looked for: one that fits is enough.
#[derive(Clone, Debug, Default)]
struct Paths {
    globs: Vec<String>,
    pattern: Option<Regex>,
}

#[derive(Clone, Debug, Default)]
struct Changes {
    paths: Paths,
    compare_to: Option<String>,
}

impl Paths {
    fn globs(node: &Node, what: &str, out: &mut Diagnostics) -> Self {
        Self { globs: read::texts(node, what, out), pattern: None }
    }

    /// As messages name them.
    fn title(&self, globs: &[String]) -> String {
        let pattern = self.pattern.as_ref().map(|p| format!("/{p}/"));
        globs.iter().cloned().chain(pattern).collect::<Vec<_>>().join(", ")
    }

    /// The first path that fits.
    fn find(&self, globs: &[String], paths: &[String]) -> Option<String> {
        let by_pattern = || paths.iter().find(|p| self.pattern.as_ref().is_some_and(|r| r.is_match(p))).cloned();
        any_match(globs, paths).or_else(by_pattern)
    }
}

/// The rule that decided, and why.
pub(super) struct Found<'r> {
    pub(super) rule: &'r Rule,
    pub(super) because: String,
}

/// Reads a list of rules; lists in it are flattened.
pub(super) fn read_all(node: &Node, place: Place, out: &mut Diagnostics) -> Vec<Rule> {
    let mut rules = Vec::new();
    flatten(node, 0, &mut |n| {
        if let Some(rule) = read(n, place, out) {
            rules.push(rule);
        }
    });
    rules
}

fn flatten<'n>(node: &'n Node, depth: usize, each: &mut dyn FnMut(&'n Node)) {
    match &node.value {
        Value::Seq(items) if depth < 10 => items.iter().for_each(|n| flatten(n, depth + 1, each)),
        Value::Null => {}
        _ => each(node),
    }
}

fn known(place: Place) -> &'static [&'static str] {
    match place {
        Place::Job => &["if", "changes", "exists", "when", "start_in", "allow_failure", "variables", "needs", "interruptible"],
        Place::Workflow => &["if", "changes", "exists", "when", "variables", "auto_cancel"],
        Place::Include => &["if", "changes", "exists", "when"],
    }
}

fn read(node: &Node, place: Place, out: &mut Diagnostics) -> Option<Rule> {
    let Value::Map(entries) = &node.value else {
        out.error(&node.span, "wrong_type", format!("a rule must be a mapping, this is {}", node.kind()));
        return None;
    };
    let mut rule = Rule { span: Some(node.span.clone()), ..Rule::default() };
    for (key, value) in entries {
        if !known(place).contains(&key.name.as_str()) {
            out.error(&key.span, "unknown_key", format!("a rule has no key `{}` here. Known are: {}", key.name, known(place).join(", ")));
            continue;
        }
        match key.name.as_str() {
            "if" => {
                let text = read::text(value, "if", out).unwrap_or_default();
                match Condition::parse(text.trim()) {
                    Ok(condition) => rule.condition = Some((text, condition)),
                    Err(why) => out.error(&value.span, "bad_condition", format!("`if: {}`: {why}", text.trim())),
                }
            }
            "changes" => rule.changes = changes(value, out),
            "exists" => rule.exists = Some(exists(value, out)),
            "when" => rule.when = when(value, place, out),
            "start_in" => rule.start_in = read::duration(value, "start_in", out),
            "allow_failure" => match value.value {
                Value::Bool(b) => rule.allow_failure = Some(b),
                _ => out.error(&value.span, "wrong_type", "`allow_failure` of a rule must be true or false"),
            },
            "interruptible" => rule.interruptible = read::flag(value, "interruptible", out),
            "variables" => rule.variables = read::variables(value, out),
            "needs" => rule.needs = Some(value.clone()),
            _ => rule.auto_cancel = Some(auto_cancel(value, out)),
        }
    }
    if rule.when.as_deref() == Some("delayed") && rule.start_in.is_none() {
        out.error(&node.span, "missing_key", "`when: delayed` needs `start_in`");
    }
    Some(rule)
}

fn when(node: &Node, place: Place, out: &mut Diagnostics) -> Option<String> {
    let text = read::text(node, "when", out)?;
    let allowed: &[&str] = match place {
        Place::Job => read::WHEN,
        _ => &["always", "never"],
    };
    if !allowed.contains(&text.as_str()) {
        out.error(&node.span, "bad_value", format!("`when` must be one of {}, not `{text}`", allowed.join(", ")));
        return None;
    }
    Some(text)
}

fn changes(node: &Node, out: &mut Diagnostics) -> Option<Changes> {
    let Value::Map(entries) = &node.value else {
        return Some(Changes { paths: Paths::globs(node, "changes", out), compare_to: None });
    };
    let mut changes = Changes::default();
    for (key, value) in entries {
        match key.name.as_str() {
            "paths" => changes.paths.globs = read::texts(value, "paths", out),
            "regexp" => changes.paths.pattern = pattern(value, "changes:regexp", out),
            "compare_to" => changes.compare_to = read::text(value, "compare_to", out),
            other => out.error(&key.span, "unknown_key", format!("`changes` has no key `{other}`")),
        }
    }
    Some(changes)
}

fn exists(node: &Node, out: &mut Diagnostics) -> Paths {
    let Value::Map(entries) = &node.value else { return Paths::globs(node, "exists", out) };
    let mut paths = Paths::default();
    for (key, value) in entries {
        match key.name.as_str() {
            "paths" => paths.globs = read::texts(value, "paths", out),
            "regexp" => paths.pattern = pattern(value, "exists:regexp", out),
            "project" => {
                let message = "`exists:project` is not supported; only files of this repository can be looked for";
                out.error(&key.span, "unsupported_key", message);
            }
            // belongs to `project`, which is refused
            "ref" if node.get("project").is_some() => {}
            "ref" => out.error(&key.span, "bad_combination", "`exists:ref` needs `exists:project`"),
            other => out.error(&key.span, "unknown_key", format!("`exists` has no key `{other}`")),
        }
    }
    paths
}

/// Longest pattern of paths.
const MAX_PATTERN: usize = 255;

/// A regular expression that is looked for anywhere in a path.
fn pattern(node: &Node, what: &str, out: &mut Diagnostics) -> Option<Regex> {
    let text = read::text(node, what, out)?;
    if text.chars().count() > MAX_PATTERN {
        out.error(&node.span, "bad_value", format!("`{what}` is too long (maximum is {MAX_PATTERN} characters)"));
        return None;
    }
    match RegexBuilder::new(&text).size_limit(1 << 20).build() {
        Ok(regex) => Some(regex),
        Err(_) => {
            out.error(&node.span, "bad_value", format!("`{what}` is no regular expression that can be used here"));
            None
        }
    }
}

/// Most characters of what is told of rules that do not hold.
const MAX_TOLD: usize = 2000;

/// The first rule that holds; when none does, why each of them does not.
///
/// # Errors
/// A rule could not be evaluated; the message is in `out`.
pub(super) fn first<'r>(rules: &'r [Rule], scene: &Scene<'_>, out: &mut Diagnostics) -> Result<Result<Found<'r>, String>, ()> {
    let mut told = String::new();
    for rule in rules {
        match holds(rule, scene) {
            Ok(Ok(because)) => return Ok(Ok(Found { rule, because })),
            Ok(Err(why)) if told.len() < MAX_TOLD => {
                let line = rule.span.as_ref().map_or(0, |s| s.line);
                told.push_str(&format!(
                    "{}line {line}: {}",
                    if told.is_empty() { "" } else { "; " },
                    why.chars().take(300).collect::<String>()
                ));
            }
            Ok(Err(_)) => {}
            Err(why) => {
                let whole = Span::whole("");
                out.error(rule.span.as_ref().unwrap_or(&whole), "rule_not_decidable", why);
                return Err(());
            }
        }
    }
    Ok(Err(if told.is_empty() { "there is no rule".into() } else { told }))
}

/// Why a rule holds, or why it does not.
fn holds(rule: &Rule, scene: &Scene<'_>) -> Result<Result<String, String>, String> {
    let mut because = Vec::new();
    if let Some((text, condition)) = &rule.condition {
        let judged = condition.judge(scene.vars).map_err(|e| format!("`if: {}`: {e}", text.trim()))?;
        let seen = judged.looked_at.join(", ");
        if !judged.holds {
            return Ok(Err(format!("`if: {}` is false: {seen}", text.trim())));
        }
        because.push(format!("`if: {}` holds: {seen}", text.trim()));
    }
    if let Some(changes) = &rule.changes {
        match changed(&changes.paths, changes.compare_to.as_deref(), scene)? {
            Some(why) => because.push(why),
            None => return Ok(Err(format!("no changed file matches {}", changes.paths.title(&changes.paths.globs)))),
        }
    }
    if let Some(wanted) = &rule.exists {
        let globs = expand_all(&wanted.globs, scene);
        match scene.world.paths(&Origin::Here) {
            None => because.push("the repository has too many files to look for `exists`, which counts as a match".into()),
            Some(paths) => match wanted.find(&globs, &paths) {
                Some(path) => because.push(format!("`{path}` exists")),
                None => return Ok(Err(format!("no file matches {}", wanted.title(&globs)))),
            },
        }
    }
    Ok(Ok(if because.is_empty() { "the rule has no condition".into() } else { because.join("; ") }))
}

fn expand_all(globs: &[String], scene: &Scene<'_>) -> Vec<String> {
    globs.iter().map(|g| scene.vars.expand(g).value.plain.unwrap_or_else(|| g.clone())).collect()
}

fn changed(paths: &Paths, compare_to: Option<&str>, scene: &Scene<'_>) -> Result<Option<String>, String> {
    let compare_to = compare_to.map(|c| scene.vars.expand(c).value.plain.unwrap_or_else(|| c.to_owned()));
    if compare_to.is_none() {
        let always = if scene.facts.tag().is_some() {
            Some("a tag was pushed")
        } else if scene.facts.source == "push" && scene.facts.before.is_none() {
            Some("the branch is new")
        } else if scene.facts.source != "push" {
            Some("nothing was pushed")
        } else {
            None
        };
        if let Some(always) = always {
            return Ok(Some(format!("{always}, so `changes` counts as a match")));
        }
    }
    let found = scene.world.changed(compare_to.as_deref()).map_err(|e| format!("`changes:compare_to`: {e}"))?;
    let Some(found) = found else { return Ok(Some("what changed is not known, which counts as a match for `changes`".into())) };
    Ok(paths.find(&expand_all(&paths.globs, scene), &found).map(|p| format!("`{p}` changed")))
}

/// The first path that one of the patterns matches.
fn any_match(globs: &[String], paths: &[String]) -> Option<String> {
    let mut left = MAX_COMPARISONS;
    for regex in globs.iter().filter_map(|g| glob::compile(g)) {
        for path in paths {
            if left == 0 {
                return Some("a file (too many comparisons, which counts as a match)".into());
            }
            left -= 1;
            if regex.is_match(path) {
                return Some(path.clone());
            }
        }
    }
    None
}

/// `only` or `except`.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    refs: Option<Vec<String>>,
    variables: Option<Vec<(String, Condition)>>,
    changes: Option<Paths>,
}

impl Filter {
    /// What a job has that says nothing.
    pub(super) fn branches_and_tags() -> Self {
        Self { refs: Some(vec!["branches".into(), "tags".into()]), ..Self::default() }
    }

    /// Reads the key.
    pub(super) fn read(key: &Key, node: &Node, out: &mut Diagnostics) -> Self {
        let what = key.name.as_str();
        let Value::Map(entries) = &node.value else {
            return Self { refs: Some(refs(node, what, out)), ..Self::default() };
        };
        let mut filter = Self::default();
        for (key, value) in entries {
            match key.name.as_str() {
                "refs" => filter.refs = Some(refs(value, what, out)),
                "changes" => filter.changes = Some(Paths::globs(value, "changes", out)),
                "variables" => {
                    let mut list = Vec::new();
                    for text in read::texts(value, "variables", out) {
                        match Condition::parse(&text) {
                            Ok(condition) => list.push((text, condition)),
                            Err(why) => out.error(&value.span, "bad_condition", format!("`{text}`: {why}")),
                        }
                    }
                    filter.variables = Some(list);
                }
                "kubernetes" => out.error(
                    &key.span,
                    "unsupported_key",
                    format!("`{what}:kubernetes` is not supported: there are no clusters of a project"),
                ),
                other => out.error(&key.span, "unknown_key", format!("`{what}` has no key `{other}`")),
            }
        }
        filter
    }

    /// Does it hold? `all`: every part must (`only`), else one is enough (`except`).
    ///
    /// # Errors
    /// A condition that cannot be evaluated.
    pub(super) fn judge(&self, all: bool, scene: &Scene<'_>) -> Result<bool, String> {
        let mut parts = Vec::new();
        if let Some(refs) = &self.refs {
            parts.push(refs.iter().any(|r| ref_matches(r, scene.facts)));
        }
        if let Some(list) = &self.variables {
            let mut any = false;
            for (text, condition) in list {
                any |= condition.judge(scene.vars).map_err(|e| format!("`{text}`: {e}"))?.holds;
            }
            parts.push(any);
        }
        if let Some(paths) = &self.changes {
            parts.push(changed(paths, None, scene)?.is_some());
        }
        Ok(if all { parts.iter().all(|p| *p) } else { parts.iter().any(|p| *p) })
    }
}

fn refs(node: &Node, what: &str, out: &mut Diagnostics) -> Vec<String> {
    let list = read::texts(node, what, out);
    for text in &list {
        if let Some(Err(why)) = as_pattern(text) {
            out.error(&node.span, "bad_value", format!("`{what}: {text}`: {why}"));
        }
    }
    list
}

fn ref_matches(wanted: &str, facts: &Facts) -> bool {
    let (wanted, project) = match wanted.rsplit_once('@') {
        Some((w, p)) if p.contains('/') && !p.ends_with('/') => (w, Some(p)),
        _ => (wanted, None),
    };
    if project.is_some_and(|p| p != facts.project_path) {
        return false;
    }
    match wanted {
        "branches" => facts.branch().is_some(),
        "tags" => facts.tag().is_some(),
        "pushes" => facts.source == "push",
        "schedules" => facts.source == "schedule",
        "merge_requests" => facts.source == "merge_request_event",
        "triggers" => facts.source == "trigger",
        "pipelines" => facts.source == "pipeline",
        "web" | "api" | "chat" | "external" => facts.source == wanted,
        "external_pull_requests" => false,
        // names and patterns are of branches and tags, and a merge request's pipeline is of neither
        _ if facts.branch().or(facts.tag()).is_none() => false,
        _ => match as_pattern(wanted) {
            Some(Ok(regex)) => regex.is_match(facts.ref_name()),
            _ => wanted == facts.ref_name(),
        },
    }
}
