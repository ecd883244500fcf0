//! `include`: the files that make up a pipeline, merged in their order, the including file last.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};

use crate::diagnostic::{Diagnostics, Span};
use crate::plan::{Included, Input};
use crate::yaml::{self, Key, Node, Value};

use super::facts::{Facts, Origin, World};
use super::glob;
use super::inputs;
use super::rules::{self, Scene};
use super::tree::{Budget, deep_merge};
use super::vars::Vars;

/// Most files of one pipeline.
const MAX_FILES: usize = 150;
/// Deepest chain of includes.
const MAX_DEPTH: usize = 20;

/// Most remote files of one pipeline.
const MAX_REMOTE: usize = 20;

/// Reads files and what they include.
pub(super) struct Loader<'l> {
    pub(super) facts: &'l Facts,
    pub(super) world: &'l dyn World,
    pub(super) vars: &'l Vars,
    pub(super) budget: &'l mut Budget,
    pub(super) out: &'l mut Diagnostics,
    pub(super) files: usize,
    /// Is it the pipeline of a `trigger`?
    pub(super) child: bool,
    /// What was fetched from elsewhere.
    pub(super) remote: Vec<Included>,
    /// Inputs of the first file, to be shown.
    pub(super) shown_inputs: IndexMap<String, Input>,
}

struct Entry<'n> {
    node: &'n Node,
    origin: Origin,
    path: String,
}

/// The templates of GitLab that say only when there is a pipeline.
const BUILT_IN: [(&str, &str); 2] = [
    ("Workflows/Branch-Pipelines.gitlab-ci.yml", "workflow: {rules: [{if: $CI_COMMIT_TAG}, {if: $CI_COMMIT_BRANCH}]}"),
    (
        "Workflows/MergeRequest-Pipelines.gitlab-ci.yml",
        "workflow: {rules: [{if: $CI_MERGE_REQUEST_IID}, {if: $CI_COMMIT_TAG}, {if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]}",
    ),
];

/// A template that is here.
fn built_in(node: &Node) -> Option<(&'static str, &'static str)> {
    let name = node.get("template").and_then(Node::scalar_text)?;
    BUILT_IN.into_iter().find(|(known, _)| *known == name || known.strip_suffix(".gitlab-ci.yml") == Some(&*name))
}

/// Why an entry of `include` is not followed.
pub(super) fn refused(node: &Node) -> Option<String> {
    let name = node.get("template").and_then(Node::scalar_text).filter(|_| built_in(node).is_none())?;
    Some(format!(
        "`include:template` is not supported: the templates of GitLab are not part of this service; put a copy of `{name}` into the \
         repository and include it with `local`"
    ))
}

impl Loader<'_> {
    /// Reads a file with everything it includes. `given` are its inputs.
    pub(super) fn load(
        &mut self,
        label: &str,
        bytes: &[u8],
        origin: &Origin,
        given: Option<&Node>,
        at: &Span,
        depth: usize,
    ) -> Option<Node> {
        let mut documents = yaml::parse_gitlab(label, bytes, self.out)?;
        let mut body = documents.pop()?;
        let specs = documents.pop().map(|h| inputs::header(&h, self.out)).unwrap_or_default();
        if depth == 0 {
            self.shown_inputs = inputs::shown(&specs);
        }
        if !specs.is_empty() || given.is_some_and(|g| matches!(&g.value, Value::Map(m) if !m.is_empty())) {
            let values = inputs::values(&specs, given, at, self.out);
            body = inputs::interpolate(&body, &values, self.vars, &mut inputs::MAX_PUT_IN.clone(), self.out);
        }
        self.merge(body, origin, at, depth)
    }

    /// Puts what a tree includes below it.
    pub(super) fn merge(&mut self, body: Node, origin: &Origin, at: &Span, depth: usize) -> Option<Node> {
        self.budget.pay(&body, at, self.out)?;
        if !matches!(body.value, Value::Map(_)) {
            self.out.error(&body.span, "wrong_type", format!("a pipeline must be a mapping, this is {}", body.kind()));
            return None;
        }
        let (includes, own): (Vec<_>, Vec<_>) = match body.value {
            Value::Map(entries) => entries.into_iter().partition(|(k, _)| k.name == "include"),
            _ => return None,
        };
        let mut merged = Node { span: body.span.clone(), value: Value::Map(Vec::new()) };
        for (key, node) in &includes {
            let entries: Vec<&Node> = match &node.value {
                Value::Seq(items) => items.iter().collect(),
                Value::Null => Vec::new(),
                _ => vec![node],
            };
            for entry in entries {
                if depth >= MAX_DEPTH {
                    self.out.error(&key.span, "include_too_deep", format!("files include each other deeper than {MAX_DEPTH} levels"));
                    return None;
                }
                merged = self.include(entry, origin, merged, depth)?;
            }
        }
        Some(deep_merge(merged, Node { span: body.span, value: Value::Map(own) }))
    }

    fn include(&mut self, node: &Node, origin: &Origin, mut merged: Node, depth: usize) -> Option<Node> {
        if let Some(rules) = node.get("rules") {
            let scene = Scene { facts: self.facts, world: self.world, vars: self.vars };
            let rules = rules::read_all(rules, rules::Place::Include, self.out);
            match rules::first(&rules, &scene, self.out) {
                Ok(Ok(found)) if found.rule.when.as_deref() != Some("never") => {}
                Ok(_) => return Some(merged),
                Err(()) => return None,
            }
        }
        if let Some((name, text)) = built_in(node) {
            let loaded = self.load(&format!("template:{name}"), text.as_bytes(), &Origin::Here, None, &node.span, depth + 1)?;
            return Some(deep_merge(merged, loaded));
        }
        for entry in self.entries(node, origin)? {
            self.files += 1;
            if self.files > MAX_FILES {
                self.out.error(&entry.node.span, "too_many_includes", format!("more than {MAX_FILES} files are included"));
                return None;
            }
            let bytes = match self.world.file(&entry.origin, &entry.path) {
                Ok(bytes) => bytes,
                Err(why) => {
                    self.out.error(&entry.node.span, "include_not_found", format!("`{}` cannot be included: {why}", entry.path));
                    return None;
                }
            };
            if matches!(entry.origin, Origin::Remote) && !self.pinned(&entry, &bytes) {
                return None;
            }
            let label = entry.origin.label(&entry.path);
            // what a generated file includes is looked for in the commit
            let origin = if matches!(entry.origin, Origin::Artifact { .. }) { &Origin::Here } else { &entry.origin };
            let loaded = self.load(&label, &bytes, origin, node.get("inputs"), &entry.node.span, depth + 1)?;
            merged = deep_merge(merged, loaded);
        }
        Some(merged)
    }

    /// The files that one entry of `include` names.
    fn entries<'n>(&mut self, node: &'n Node, origin: &Origin) -> Option<Vec<Entry<'n>>> {
        let expand = |loader: &Self, text: &str| loader.vars.expand(text).value.plain.unwrap_or_else(|| text.to_owned());
        if let Some(text) = node.scalar_text() {
            let text = expand(self, &text);
            if text.starts_with("http://") || text.starts_with("https://") {
                return self.remote(node, &text);
            }
            return self.local(node, &text, origin);
        }
        let Value::Map(entries) = &node.value else {
            self.out.error(&node.span, "wrong_type", format!("an entry of `include` must be a text or a mapping, this is {}", node.kind()));
            return None;
        };
        for (key, _) in entries {
            let known = [
                "local",
                "project",
                "file",
                "ref",
                "remote",
                "template",
                "component",
                "rules",
                "inputs",
                "integrity",
                "cache",
                "artifact",
                "job",
            ];
            if !known.contains(&key.name.as_str()) {
                self.out.error(&key.span, "unknown_key", format!("`include` has no key `{}`", key.name));
            }
        }
        let text = |name: &str| node.get(name).and_then(Node::scalar_text).map(|t| expand(self, &t));
        if let Some(path) = text("artifact") {
            return self.artifact(node, &path, text("job"));
        }
        if let Some(path) = text("local") {
            return self.local(node, &path, origin);
        }
        if let Some(project) = text("project") {
            let reference = text("ref");
            let files: Vec<String> = match node.get("file").map(|f| &f.value) {
                Some(Value::Seq(items)) => items.iter().filter_map(Node::scalar_text).map(|t| expand(self, &t)).collect(),
                _ => text("file").into_iter().collect(),
            };
            if files.is_empty() {
                self.out.error(&node.span, "missing_key", "`include:project` needs `file`");
                return None;
            }
            let origin = Origin::Project { path: project, reference };
            return Some(
                files.into_iter().map(|f| Entry { node, origin: origin.clone(), path: f.trim_start_matches('/').to_owned() }).collect(),
            );
        }
        if let Some(component) = text("component") {
            return self.component(node, &component);
        }
        if let Some(why) = refused(node) {
            self.out.error(&node.span, "unsupported_include", why);
            return None;
        }
        if let Some(address) = text("remote") {
            return self.remote(node, &address);
        }
        let ways = "an entry of `include` needs `local`, `project`, `component`, `remote` or `template`";
        self.out.error(&node.span, "missing_key", ways);
        None
    }

    fn artifact<'n>(&mut self, node: &'n Node, path: &str, job: Option<String>) -> Option<Vec<Entry<'n>>> {
        let Some(job) = job else {
            self.out.error(&node.span, "missing_key", "`include:artifact` needs `job`, which makes the file");
            return None;
        };
        if !self.child {
            self.out.error(
                &node.span,
                "bad_combination",
                "`include:artifact` stands in `trigger` only: artifacts exist once jobs have run",
            );
            return None;
        }
        Some(vec![Entry { node, origin: Origin::Artifact { job }, path: path.trim_start_matches('/').to_owned() }])
    }

    fn remote<'n>(&mut self, node: &'n Node, address: &str) -> Option<Vec<Entry<'n>>> {
        if !address.starts_with("https://") && !address.starts_with("http://") || address.contains(char::is_whitespace) {
            self.out.error(&node.span, "bad_value", format!("Remote file `{address}` does not have a valid address!"));
            return None;
        }
        if self.remote.len() >= MAX_REMOTE {
            self.out.error(&node.span, "too_many_includes", format!("more than {MAX_REMOTE} remote files are included"));
            return None;
        }
        Some(vec![Entry { node, origin: Origin::Remote, path: address.to_owned() }])
    }

    /// Notes what a remote file was, and compares it with what it should be.
    fn pinned(&mut self, entry: &Entry<'_>, bytes: &[u8]) -> bool {
        let digest = Sha256::digest(bytes);
        let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        self.remote.push(Included { file: entry.path.clone(), digest: format!("sha256:{hex}") });
        let Some(wanted) = entry.node.get("integrity") else { return true };
        let text = wanted.scalar_text().unwrap_or_default();
        let expected = text.strip_prefix("sha256-").and_then(|t| STANDARD.decode(t).ok());
        match expected {
            Some(expected) if expected == digest.as_slice() => true,
            Some(_) => {
                self.out.error(&wanted.span, "integrity", format!("`{}` is not what `integrity` says: it is sha256:{hex}", entry.path));
                false
            }
            None => {
                self.out.error(&wanted.span, "bad_value", "`integrity` is `sha256-` and the digest in Base64");
                false
            }
        }
    }

    fn local<'n>(&mut self, node: &'n Node, path: &str, origin: &Origin) -> Option<Vec<Entry<'n>>> {
        if matches!(origin, Origin::Remote) {
            let why = "`include:local` is not supported: a file that is of no repository can include no file beside it";
            self.out.error(&node.span, "unsupported_include", why);
            return None;
        }
        let path = path.trim_start_matches('/');
        if !path.contains('*') {
            return Some(vec![Entry { node, origin: origin.clone(), path: path.to_owned() }]);
        }
        let Some(paths) = self.world.paths(origin) else {
            self.out.error(&node.span, "include_not_found", "the repository has too many files to look for a pattern");
            return None;
        };
        let found: Vec<Entry<'n>> = glob::matching(path, paths.iter().map(String::as_str))
            .map(|p| Entry { node, origin: origin.clone(), path: p.to_owned() })
            .collect();
        if found.is_empty() {
            self.out.error(&node.span, "include_not_found", format!("no file matches `{path}`"));
            return None;
        }
        Some(found)
    }

    /// `host/group/project/component@version`, a file of `templates/` in a project of this instance.
    fn component<'n>(&mut self, node: &'n Node, text: &str) -> Option<Vec<Entry<'n>>> {
        let parsed = text.rsplit_once('@').and_then(|(address, version)| {
            let (host, rest) = address.split_once('/')?;
            let (project, name) = rest.rsplit_once('/')?;
            Some((host.to_owned(), project.to_owned(), name.to_owned(), version.to_owned()))
        });
        let Some((host, project, name, version)) = parsed else {
            self.out.error(&node.span, "bad_value", "a component is written host/project/name@version");
            return None;
        };
        if host != self.facts.server_host {
            let own = &self.facts.server_host;
            let why = format!("`include:component` is not supported: only components of this instance ({own}) can be used");
            self.out.error(&node.span, "unsupported_include", why);
            return None;
        }
        let origin = Origin::Component { path: project, version };
        let single = format!("templates/{name}.yml");
        let path = if self.world.file(&origin, &single).is_ok() { single } else { format!("templates/{name}/template.yml") };
        Some(vec![Entry { node, origin, path }])
    }
}

/// Inputs that a person gave, as a node.
pub(super) fn given_inputs(facts: &Facts) -> Option<Node> {
    if facts.inputs.is_empty() {
        return None;
    }
    let span = Span { file: Arc::from("inputs"), line: 0, column: 0 };
    Some(node_of(&serde_json::Value::Object(facts.inputs.clone()), &span))
}

/// A tree that stands at one place.
pub(super) fn node_of(json: &serde_json::Value, at: &Span) -> Node {
    let value = match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => Value::Number(n.as_f64().unwrap_or(0.0), n.to_string()),
        serde_json::Value::String(s) => Value::String(s.clone()),
        serde_json::Value::Array(items) => Value::Seq(items.iter().map(|i| node_of(i, at)).collect()),
        serde_json::Value::Object(map) => {
            Value::Map(map.iter().map(|(k, v)| (Key { span: at.clone(), name: k.clone() }, node_of(v, at))).collect())
        }
    };
    Node { span: at.clone(), value }
}
