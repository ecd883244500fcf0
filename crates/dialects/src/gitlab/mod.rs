//! GitLab CI: `.gitlab-ci.yml`.
//!
//! A pipeline is made for one event: [`compile`] reads the file and what it includes, decides for every job whether and
//! why it is in, and writes the jobs as a [`Plan`]. Every key is read or reported; nothing is ignored in silence. Errors
//! keep the pipeline from running, warnings say what is different here. Everything is bounded: files, nodes, depth, jobs.
//!
//! Must not know: where files lie, which is behind [`World`].
//!
//! Read next: `include` and `tree` (one tree out of many files), `job` (what the keys of a job say), `rules` and
//! `condition` (whether it runs), `select` (which jobs, in which order), `steps` (what it does on the runner).

mod catalog;
mod condition;
mod downstream;
mod facts;
mod glob;
mod include;
mod inputs;
mod job;
mod keywords;
mod read;
mod rules;
mod select;
mod service;
mod shape;
mod steps;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_more;
mod tree;
mod vars;

pub use catalog::component_tag;
pub use condition::{Condition, Judged};
pub use facts::{Facts, Nothing, Origin, Stored, World};
pub use vars::{Value, Var, Vars};

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostics, Span};
use crate::github::Compiled;
use crate::plan::{AutoCancel, Dialect, Included, Input, InputType, Plan, RefFilter, Trigger};
use crate::yaml::{Key, Node, Value as Tree};

use job::{DEFAULT_KEYS, JobDef};
use read::VarDef;
use rules::{Place, Rule, Scene};

/// Where the file is expected.
pub const FILE: &str = ".gitlab-ci.yml";

/// Most bytes of the variables of all jobs together.
const MAX_ENV: usize = 32 << 20;
/// Keys of a pipeline that are no jobs.
const GLOBAL: &[&str] =
    &["stages", "types", "default", "variables", "workflow", "image", "services", "cache", "before_script", "after_script"];

/// Is this path a pipeline of GitLab?
pub fn is_pipeline(path: &str) -> bool {
    path == FILE || path.rsplit('/').next().is_some_and(|name| name.ends_with(".gitlab-ci.yml") || name.ends_with(".gitlab-ci.yaml"))
}

/// A file with everything it includes, before it is decided what runs.
struct Pipeline {
    stages: Vec<String>,
    variables: Vec<(String, VarDef)>,
    workflow_rules: Option<Vec<Rule>>,
    name: Option<String>,
    auto_cancel: AutoCancel,
    jobs: Vec<JobDef>,
    inputs: IndexMap<String, Input>,
    remote: Vec<Included>,
}

/// Compiles a pipeline for an event. A plan without triggers is one in which nothing is to run; its decisions say why.
pub fn compile(path: &str, bytes: &[u8], facts: &Facts, world: &dyn World) -> Compiled {
    let mut out = Diagnostics::default();
    let plan = read_file(&Source::File(path, bytes), facts, world, &mut out).and_then(|p| plan(path, &p, facts, world, &mut out));
    let plan = plan.filter(|_| !out.has_errors());
    Compiled { plan, name: "GitLab CI".into(), diagnostics: out.into_sorted(), wants: Vec::new() }
}

/// Compiles a child pipeline: what the `trigger` at a place of the file `path` includes.
pub fn compile_child(path: &str, include: &serde_json::Value, at: &Span, facts: &Facts, world: &dyn World) -> Compiled {
    let mut out = Diagnostics::default();
    let plan = read_file(&Source::Child(include, at), facts, world, &mut out).and_then(|p| plan(path, &p, facts, world, &mut out));
    let plan = plan.filter(|_| !out.has_errors());
    Compiled { plan, name: "GitLab CI".into(), diagnostics: out.into_sorted(), wants: Vec::new() }
}

/// What a pipeline is read from.
enum Source<'s> {
    /// A file, by path.
    File(&'s str, &'s [u8]),
    /// Entries of an `include`, and where they stand.
    Child(&'s serde_json::Value, &'s Span),
}

/// One tree of a file and what it includes of nowhere else, with `extends` and references resolved.
pub(crate) fn tree(path: &str, bytes: &[u8]) -> Option<Node> {
    let (facts, mut out) = (Facts::sample(), Diagnostics::default());
    whole_tree(&Source::File(path, bytes), &facts, &Nothing, &mut out).map(|whole| whole.root)
}

/// A time such as `1 hour 30 minutes` in seconds.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    read::parse_duration(text)
}

fn read_file(source: &Source<'_>, facts: &Facts, world: &dyn World, out: &mut Diagnostics) -> Option<Pipeline> {
    let Whole { root, inputs, remote } = whole_tree(source, facts, world, out)?;
    let Tree::Map(entries) = &root.value else { return None };
    Some(Pipeline { remote, ..pipeline(&root, entries, inputs, out) })
}

/// A file with everything it includes, as one tree.
struct Whole {
    root: Node,
    inputs: IndexMap<String, Input>,
    remote: Vec<Included>,
}

fn whole_tree(source: &Source<'_>, facts: &Facts, world: &dyn World, out: &mut Diagnostics) -> Option<Whole> {
    let mut vars = facts.predefined();
    vars.extend(&facts.outer(&IndexMap::new()));
    let mut budget = tree::Budget::new();
    let given = include::given_inputs(facts);
    let child = matches!(source, Source::Child(..));
    let shown_inputs = IndexMap::new();
    let mut loader =
        include::Loader { facts, world, vars: &vars, budget: &mut budget, out, files: 0, child, remote: Vec::new(), shown_inputs };
    let root = match source {
        Source::File(path, bytes) => {
            let given = given.filter(|_| declares_inputs(path, bytes));
            loader.load(path, bytes, &Origin::Here, given.as_ref(), &Span::whole(path), 0)?
        }
        Source::Child(include, at) => {
            let entries = vec![(Key { span: (*at).clone(), name: "include".into() }, include::node_of(include, at))];
            loader.merge(Node { span: (*at).clone(), value: Tree::Map(entries) }, &Origin::Here, at, 0)?
        }
    };
    let inputs = std::mem::take(&mut loader.shown_inputs);
    let remote = std::mem::take(&mut loader.remote);
    let root = tree::extends(root, &mut budget, out)?;
    let root = tree::references(root, &mut budget, out)?;
    Some(Whole { root, inputs, remote })
}

/// Only a file with a header takes what a person gave as inputs; for others they are variables.
fn declares_inputs(path: &str, bytes: &[u8]) -> bool {
    crate::yaml::parse_gitlab(path, bytes, &mut Diagnostics::default()).is_some_and(|documents| documents.len() > 1)
}

fn pipeline(root: &Node, entries: &[(Key, Node)], inputs: IndexMap<String, Input>, out: &mut Diagnostics) -> Pipeline {
    let mut stages: Vec<String> = match root.get("stages").or_else(|| root.get("types")) {
        Some(node) => stages(node, out),
        None => ["build", "test", "deploy"].map(String::from).to_vec(),
    };
    stages.retain(|s| s != ".pre" && s != ".post");
    stages.insert(0, ".pre".into());
    stages.push(".post".into());
    let auto_cancel = AutoCancel::default();
    let mut p = Pipeline {
        stages,
        variables: Vec::new(),
        workflow_rules: None,
        name: None,
        auto_cancel,
        jobs: Vec::new(),
        inputs,
        remote: Vec::new(),
    };
    let mut defaults: Vec<(Key, Node)> = Vec::new();
    for (key, value) in root.get("default").map(|n| read::mapping(n, "default", out)).unwrap_or_default() {
        if DEFAULT_KEYS.contains(&key.name.as_str()) {
            if shape::fits("default", key, value, out) {
                defaults.push((key.clone(), value.clone()));
            }
        } else {
            out.error(
                &key.span,
                "unknown_key",
                format!("default config contains unknown keys: {}. Known are: {}", key.name, DEFAULT_KEYS.join(", ")),
            );
        }
    }
    for (key, value) in entries {
        match key.name.as_str() {
            "variables" if shape::fits("", key, value, out) => p.variables = read::variables(value, out),
            "workflow" => workflow(value, &mut p, out),
            // the old way to write `default`
            name @ ("image" | "services" | "cache" | "before_script" | "after_script")
                if !defaults.iter().any(|(k, _)| k.name == name) && shape::fits("", key, value, out) =>
            {
                defaults.push((key.clone(), value.clone()));
            }
            _ => {}
        }
    }
    for (key, value) in entries {
        if GLOBAL.contains(&key.name.as_str()) || key.name.starts_with('.') {
            continue;
        }
        if p.jobs.len() >= select::MAX_JOBS {
            out.error(&key.span, "too_many_jobs", format!("more than {} jobs", select::MAX_JOBS));
            break;
        }
        p.jobs.extend(job::read(key, value, &defaults, out));
    }
    if p.jobs.is_empty() && !out.has_errors() {
        out.error(&root.span, "no_jobs", "jobs config should contain at least one visible job (names that do not begin with a dot)");
    }
    p
}

/// The names of the stages; lists in the list are flattened.
fn stages(node: &Node, out: &mut Diagnostics) -> Vec<String> {
    fn wrong(node: &Node) -> Option<&Node> {
        match &node.value {
            Tree::Seq(items) => items.iter().find_map(wrong),
            Tree::String(_) => None,
            _ => Some(node),
        }
    }
    let wrong = if matches!(node.value, Tree::Seq(_)) { wrong(node) } else { Some(node) };
    if let Some(wrong) = wrong {
        let text = "stages config should be an array of strings or a nested array of strings up to 10 levels deep";
        out.error(&wrong.span, "wrong_type", text);
        return Vec::new();
    }
    read::texts(node, "stages", out)
}

fn workflow(node: &Node, p: &mut Pipeline, out: &mut Diagnostics) {
    for (key, value) in read::mapping(node, "workflow", out) {
        match key.name.as_str() {
            "rules" => p.workflow_rules = Some(rules::read_all(value, Place::Workflow, out)),
            "name" => p.name = read::text(value, "name", out),
            "auto_cancel" => p.auto_cancel = rules::auto_cancel(value, out),
            other => {
                let text = format!("workflow config contains unknown keys: {other}. Known are: name, rules, auto_cancel");
                out.error(&key.span, "unknown_key", text);
            }
        }
    }
}

fn plan(path: &str, p: &Pipeline, facts: &Facts, world: &dyn World, out: &mut Diagnostics) -> Option<Plan> {
    let mut plan = Plan::new(Dialect::GitlabCi, path, "GitLab CI");
    plan.inputs.clone_from(&p.inputs);
    plan.includes.clone_from(&p.remote);
    plan.auto_cancel = Some(p.auto_cancel);
    for (name, def) in p.variables.iter().filter(|(_, d)| !d.description.is_empty() || !d.options.is_empty()) {
        let kind = if def.options.is_empty() { InputType::String } else { InputType::Choice };
        let default = Some(serde_json::Value::String(def.value.clone()));
        let input = Input { description: def.description.clone(), required: false, default, r#type: kind, options: def.options.clone() };
        plan.inputs.entry(name.clone()).or_insert(input);
    }
    let base = facts.predefined();
    let outer = facts.outer(&p.inputs);
    let given = facts.given(&p.inputs);
    for (name, value) in base.names().map(str::to_owned).collect::<Vec<_>>().into_iter().filter_map(|n| Some((n.clone(), base.get(&n)?))) {
        plan.env.insert(name, value.template);
    }
    let mut globals = Vars::default();
    for (name, def) in &p.variables {
        globals.set(name, def.var());
    }
    let mut all = base.clone();
    all.extend(&globals);
    all.extend(&outer);
    let scene = Scene { facts, world, vars: &all };
    if let Some(rules) = &p.workflow_rules {
        let found = rules::first(rules, &scene, out).ok()?;
        let stop = match &found {
            Err(why) => Some(format!("no rule of `workflow:rules` holds, so there is no pipeline: {why}")),
            Ok(f) if f.rule.when.as_deref() == Some("never") => Some(format!("`workflow:rules` say never: {}", f.because)),
            Ok(f) => {
                plan.auto_cancel = f.rule.auto_cancel.or(plan.auto_cancel);
                for (name, def) in &f.rule.variables {
                    globals.set(name, def.var());
                }
                None
            }
        };
        if let Some(because) = stop {
            let decision =
                |j: &JobDef| crate::plan::Decision { job: j.name.clone(), included: false, span: j.span.clone(), because: because.clone() };
            plan.decisions = p.jobs.iter().map(decision).collect();
            return Some(plan);
        }
    }
    if let Some(name) = &p.name {
        let mut all = base.clone();
        all.extend(&globals);
        all.extend(&outer);
        plan.run_name = Some(all.expand(name).value.template).filter(|n| !n.trim().is_empty());
    }
    let known = plan.env.clone();
    let order = select::Order { pipeline: p, facts, world, base: &base, known: &known, globals: &globals, outer: &outer, given: &given };
    select::jobs(&mut plan, &order, out)?;
    let size: usize = plan.jobs.iter().flat_map(|j| &j.env).map(|(k, v)| k.len() + v.len()).sum();
    if base.exhausted() || size > MAX_ENV {
        out.error(
            &Span::whole(path),
            "too_much_expansion",
            "the variables of the jobs become too large once variables in them are expanded",
        );
        return None;
    }
    if !plan.jobs.is_empty() {
        plan.triggers = vec![Trigger::Push(RefFilter::default()), Trigger::WorkflowDispatch];
    }
    Some(plan)
}
