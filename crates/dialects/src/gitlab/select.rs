//! Which jobs are in a pipeline, why, and what each waits for.

use std::collections::{BTreeSet, HashMap, HashSet};

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostics, Span};
use crate::plan::{Decision, EnvironmentAction, Gate, Job, Late, Map, Plan};

use super::Pipeline;
use super::downstream;
use super::facts::{Facts, World, sometimes_set};
use super::job::JobDef;
use super::keywords::{self, Need, Parallel};
use super::rules::{self, Filter, Rule, Scene};
use super::steps;
use super::vars::{Value, Vars};

/// Most jobs of a file.
pub(super) const MAX_JOBS: usize = 500;
/// Most jobs once `parallel` is carried out.
const MAX_INSTANCES: usize = 2_000;
/// Most edges between them.
const MAX_EDGES: usize = 200_000;

/// Variables that change what GitLab's runner does, with the value that changes nothing.
const WITHOUT_EFFECT: &[(&str, &str, &str)] = &[
    ("GIT_SUBMODULE_STRATEGY", "none", "submodules are not fetched"),
    ("GIT_CHECKOUT", "true", "the commit is always checked out; write `GIT_STRATEGY: none` to get no sources"),
    ("GIT_CLONE_PATH", "", "the runner chooses the directory"),
];

/// What jobs are made from.
pub(super) struct Order<'o> {
    pub(super) pipeline: &'o Pipeline,
    pub(super) facts: &'o Facts,
    pub(super) world: &'o dyn World,
    pub(super) base: &'o Vars,
    /// The predefined variables as the plan has them.
    pub(super) known: &'o Map,
    pub(super) globals: &'o Vars,
    pub(super) outer: &'o Vars,
    /// Those of `outer` that win over the variables of an environment, too.
    pub(super) given: &'o Vars,
}

/// A job that runs.
pub(super) struct Instance<'p> {
    pub(super) def: &'p JobDef,
    pub(super) key: String,
    pub(super) cell: IndexMap<String, String>,
    pub(super) vars: Vars,
    /// The names among them that the file sets for this job.
    pub(super) own: Vec<String>,
    pub(super) when: String,
    pub(super) start_in: Option<u64>,
    pub(super) allow_failure: bool,
    pub(super) interruptible: bool,
    needs: Option<Vec<Need>>,
    stage: usize,
}

/// Where a job takes files and variables from.
#[derive(Default)]
pub(super) struct Sources {
    /// Keys of jobs whose artifacts it fetches.
    pub(super) artifacts: Vec<String>,
    /// Keys of jobs whose dotenv reports it reads.
    pub(super) dotenv: Vec<String>,
}

/// Adds the jobs to the plan. None after an error that is in `out`.
pub(super) fn jobs(plan: &mut Plan, order: &Order<'_>, out: &mut Diagnostics) -> Option<()> {
    let mut chosen: Vec<Instance<'_>> = Vec::new();
    // for jobs that are out: why, to be told to those that need them
    let mut left_out: HashMap<&str, String> = HashMap::new();
    for def in &order.pipeline.jobs {
        let Some(stage) = order.pipeline.stages.iter().position(|s| *s == def.stage) else {
            let stages = order.pipeline.stages.join(", ");
            let text = format!("{} job: chosen stage {} does not exist; available stages are {stages}", def.name, def.stage);
            out.error(&def.span, "unknown_stage", text);
            continue;
        };
        for (key, cell) in instances(def) {
            if chosen.len() >= MAX_INSTANCES {
                out.error(&def.span, "too_many_jobs", format!("more than {MAX_INSTANCES} jobs once `parallel` is carried out"));
                return None;
            }
            let instance = choose(order, def, stage, key, cell, out);
            let (key, included, span, because) = match instance {
                Ok((instance, span, because)) => {
                    let key = instance.key.clone();
                    chosen.push(instance);
                    (key, true, span, because)
                }
                Err(Some((key, because))) => {
                    left_out.insert(&def.name, because.clone());
                    (key, false, def.span.clone(), because)
                }
                Err(None) => continue,
            };
            plan.decisions.push(Decision { job: key, included, span, because });
        }
        let included = chosen.last().is_some_and(|i| i.def.name == def.name);
        for (span, why) in &def.unsupported {
            if included {
                out.error(span, "unsupported_key", why.clone());
            } else {
                out.warning(span, "unsupported_key", format!("{why} (the job is not in this pipeline)"));
            }
        }
    }
    let wired = wire(&chosen, &left_out, out)?;
    check_circles(&chosen, &wired, out)?;
    let names = artifact_names(&chosen);
    let mut told = BTreeSet::new();
    for (index, instance) in chosen.iter().enumerate() {
        let (needs, sources) = &wired[index];
        let mut job = match &instance.def.trigger {
            Some(trigger) => downstream::job(instance, trigger, &names, &wired[index].0, &chosen, &mut told, out),
            None => steps::job(order, instance, &names, sources, &mut |span, unknown| tell_unknown(&mut told, span, unknown, out)),
        };
        for (name, inert, why) in WITHOUT_EFFECT {
            if instance.vars.get(name).and_then(|v| v.plain).is_some_and(|v| v != *inert) && told.insert((*name).to_owned()) {
                out.warning(&instance.def.span, "unsupported_variable", format!("`{name}` has no effect: {why}"));
            }
        }
        job.needs = needs.iter().map(|&n| chosen[n].key.clone()).collect();
        job.condition = condition(instance, !needs.is_empty());
        gate(&mut job, instance);
        environment(&mut job, instance, &chosen, order, out);
        plan.jobs.push(job);
    }
    let used: HashSet<usize> = chosen.iter().map(|i| i.stage).collect();
    plan.stages = order.pipeline.stages.iter().enumerate().filter(|(i, _)| used.contains(i)).map(|(_, s)| s.clone()).collect();
    // in the order in which they are shown
    plan.jobs.sort_by_key(|j| plan.stages.iter().position(|s| Some(s) == j.stage.as_ref()));
    Some(())
}

/// A name that nobody defines is told once.
pub(super) fn tell_unknown(told: &mut BTreeSet<String>, span: &Span, unknown: &BTreeSet<String>, out: &mut Diagnostics) {
    for name in unknown.iter().filter(|n| !sometimes_set(n)) {
        if told.insert(name.clone()) {
            let why = if name.starts_with("CI_") || name.starts_with("GITLAB_") {
                "this service does not set it"
            } else {
                "nothing sets it before the job runs"
            };
            out.warning(span, "unknown_variable", format!("`${name}` becomes nothing here: {why}"));
        }
    }
}

/// The jobs that `parallel` makes of one, by name.
fn instances(def: &JobDef) -> Vec<(String, IndexMap<String, String>)> {
    match &def.parallel {
        None => vec![(def.name.clone(), IndexMap::new())],
        Some(Parallel::Count(n)) => (1..=*n)
            .map(|i| {
                let cell = [("CI_NODE_INDEX", i), ("CI_NODE_TOTAL", *n)].map(|(k, v)| (k.to_owned(), v.to_string()));
                (format!("{} {i}/{n}", def.name), IndexMap::from(cell))
            })
            .collect(),
        Some(Parallel::Matrix(cells)) => {
            let total = cells.len().to_string();
            let mut seen = HashSet::new();
            cells
                .iter()
                .enumerate()
                .map(|(i, values)| {
                    let label: Vec<&str> = values.values().map(String::as_str).collect();
                    let mut key = format!("{}: [{}]", def.name, label.join(", "));
                    if !seen.insert(key.clone()) {
                        key = format!("{key} {}", i + 1);
                    }
                    let mut cell = values.clone();
                    cell.insert("CI_NODE_INDEX".into(), (i + 1).to_string());
                    cell.insert("CI_NODE_TOTAL".into(), total.clone());
                    (key, cell)
                })
                .collect()
        }
    }
}

type Chosen<'p> = Result<(Instance<'p>, Span, String), Option<(String, String)>>;

/// Decides about one job.
fn choose<'p>(
    order: &Order<'p>,
    def: &'p JobDef,
    stage: usize,
    key: String,
    cell: IndexMap<String, String>,
    out: &mut Diagnostics,
) -> Chosen<'p> {
    let mut vars = order.base.clone();
    vars.raw("CI_JOB_NAME", &key);
    vars.raw("CI_JOB_NAME_SLUG", super::facts::slug(&key));
    vars.raw("CI_JOB_STAGE", &def.stage);
    for (name, value) in &cell {
        vars.raw(name, value);
    }
    for name in order.globals.names().filter(|n| def.inherit_variables.takes(n)) {
        if let Some(var) = order.globals.raw_var(name) {
            vars.set(name, var.clone());
        }
    }
    for (name, def) in &def.variables {
        vars.set(name, def.var());
    }
    // the values of a matrix win over variables of the same name
    for (name, value) in &cell {
        vars.raw(name, value);
    }
    let mut seen = vars.clone();
    seen.extend(order.outer);
    let scene = Scene { facts: order.facts, world: order.world, vars: &seen };
    let mut instance = Instance {
        def,
        key,
        cell,
        vars: Vars::default(),
        own: Vec::new(),
        when: def.when.clone().unwrap_or_else(|| "on_success".into()),
        start_in: def.start_in,
        allow_failure: def.allow_failure.unwrap_or(def.when.as_deref() == Some("manual")),
        interruptible: def.interruptible,
        needs: def.needs.clone(),
        stage,
    };
    let mut ruled = Vec::new();
    let (span, because) = match &def.rules {
        Some(list) => {
            let found = rules::first(list, &scene, out).map_err(|()| None)?;
            let found = match found {
                Ok(found) => found,
                Err(why) => return Err(Some((instance.key, format!("none of its rules holds: {why}")))),
            };
            apply(&mut instance, def, found.rule, &mut vars, out);
            ruled.extend(found.rule.variables.iter().map(|(n, _)| n.clone()));
            if instance.when == "never" {
                return Err(Some((instance.key, format!("a rule says never: {}", found.because))));
            }
            (found.rule.span.clone().unwrap_or_else(|| def.span.clone()), found.because)
        }
        None => (def.span.clone(), filtered(def, &scene, out).map_err(|why| why.map(|w| (instance.key.clone(), w)))?),
    };
    if instance.when == "never" {
        return Err(Some((instance.key, "`when: never`".into())));
    }
    let globals = order.globals.names().filter(|n| def.inherit_variables.takes(n)).map(str::to_owned);
    instance.own = globals.chain(instance.cell.keys().cloned()).chain(def.variables.iter().map(|(n, _)| n.clone())).collect();
    instance.own.extend(ruled);
    vars.extend(order.outer);
    if let Some(name) = def.environment.as_ref().and_then(|e| vars.expand(&e.name).value.plain) {
        vars.extend(&order.facts.of_environment(&name));
        vars.extend(order.given);
    }
    instance.vars = vars;
    Ok((instance, span, because))
}

/// What a rule changes of its job.
fn apply(instance: &mut Instance<'_>, def: &JobDef, rule: &Rule, vars: &mut Vars, out: &mut Diagnostics) {
    if let Some(when) = &rule.when {
        instance.when.clone_from(when);
    }
    // with rules a manual job holds the pipeline unless somebody says otherwise
    instance.allow_failure = rule.allow_failure.or(def.allow_failure).unwrap_or(false);
    instance.start_in = rule.start_in.or(instance.start_in);
    instance.interruptible = rule.interruptible.unwrap_or(instance.interruptible);
    for (name, def) in &rule.variables {
        vars.set(name, def.var());
    }
    if let Some(needs) = &rule.needs {
        instance.needs = Some(keywords::needs(needs, out));
    }
}

/// `only` and `except`.
fn filtered(def: &JobDef, scene: &Scene<'_>, out: &mut Diagnostics) -> Result<String, Option<String>> {
    let default = Filter::branches_and_tags();
    let only = def.only.as_ref().unwrap_or(&default);
    let mut judge = |filter: &Filter, all: bool| {
        filter.judge(all, scene).map_err(|why| {
            out.error(&def.span, "rule_not_decidable", why);
            None
        })
    };
    if !judge(only, true)? {
        return Err(Some(if def.only.is_some() {
            "`only` does not hold".into()
        } else {
            "without rules a job runs for branches and tags only".into()
        }));
    }
    if let Some(except) = &def.except
        && judge(except, false)?
    {
        return Err(Some("`except` holds".into()));
    }
    Ok(match (&def.only, &def.except) {
        (Some(_), _) => "`only` holds".into(),
        (None, Some(_)) => "`except` does not hold".into(),
        (None, None) => "it has no rules".into(),
    })
}

type Wired = Vec<(Vec<usize>, Sources)>;

/// Finds what each job waits for and takes from others.
fn wire(chosen: &[Instance<'_>], left_out: &HashMap<&str, String>, out: &mut Diagnostics) -> Option<Wired> {
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, instance) in chosen.iter().enumerate() {
        by_name.entry(&instance.def.name).or_default().push(i);
    }
    let mut by_stage: Vec<usize> = (0..chosen.len()).collect();
    by_stage.sort_by_key(|&i| chosen[i].stage);
    let mut edges = 0;
    let mut wired = Vec::with_capacity(chosen.len());
    for instance in chosen {
        let def = instance.def;
        let mut waits = Vec::new();
        let mut from = Vec::new();
        match &instance.needs {
            Some(needs) => {
                for need in needs {
                    let Some(found) = found(need, chosen, &by_name) else {
                        missing(instance, need, left_out, out);
                        continue;
                    };
                    if found.iter().any(|&i| chosen[i].stage > instance.stage) {
                        let why = format!("{} job: need {} is not defined in current or prior stages", def.name, need.job);
                        out.error(&need.span, "needs_later_stage", why);
                    }
                    if need.artifacts {
                        from.extend(found.iter().copied());
                    }
                    waits.extend(found);
                }
            }
            None => {
                waits.extend(by_stage.iter().copied().take_while(|&i| chosen[i].stage < instance.stage));
                from.clone_from(&waits);
            }
        }
        if let Some(dependencies) = &def.dependencies {
            for name in dependencies.iter().filter(|n| !by_name.contains_key(n.as_str()) && !left_out.contains_key(n.as_str())) {
                out.error(&def.span, "unknown_dependency", format!("{} job: undefined dependency: {name}", def.name));
            }
            from.retain(|&i| dependencies.contains(&chosen[i].def.name));
        }
        waits.sort_unstable();
        waits.dedup();
        edges += waits.len();
        if edges > MAX_EDGES {
            out.error(&def.span, "too_many_needs", "the jobs wait for each other in too many ways; use `needs` or fewer jobs");
            return None;
        }
        let mut sources = Sources::default();
        for i in from {
            let source = &chosen[i];
            let Some(artifacts) = &source.def.artifacts else { continue };
            if !artifacts.paths.is_empty() || !artifacts.kept.is_empty() {
                sources.artifacts.push(source.key.clone());
            }
            if !artifacts.dotenv.is_empty() {
                sources.dotenv.push(source.key.clone());
            }
        }
        wired.push((waits, sources));
    }
    Some(wired)
}

fn found(need: &Need, chosen: &[Instance<'_>], by_name: &HashMap<&str, Vec<usize>>) -> Option<Vec<usize>> {
    // the name of one of several parallel jobs is a name too
    let all = match by_name.get(need.job.as_str()) {
        Some(all) => all.clone(),
        None => chosen.iter().position(|i| i.key == need.job).into_iter().collect(),
    };
    let fits = |i: &usize| {
        let cell = &chosen[*i].cell;
        need.matrix.is_empty()
            || need.matrix.iter().any(|row| row.iter().all(|(name, values)| cell.get(name).is_some_and(|v| values.contains(v))))
    };
    let found: Vec<usize> = all.into_iter().filter(fits).collect();
    (!found.is_empty()).then_some(found)
}

fn missing(instance: &Instance<'_>, need: &Need, left_out: &HashMap<&str, String>, out: &mut Diagnostics) {
    if need.optional {
        return;
    }
    let name = &instance.def.name;
    match left_out.get(need.job.as_str()) {
        Some(why) => out.error(
            &need.span,
            "needs_excluded",
            format!(
                "'{name}' job needs '{0}' job, but '{0}' does not exist in the pipeline ({why}). To need a job that sometimes does not \
                 exist in the pipeline, use needs:optional",
                need.job
            ),
        ),
        None => out.error(&need.span, "unknown_needs", format!("{name} job: undefined need: {}", need.job)),
    }
}

fn check_circles(chosen: &[Instance<'_>], wired: &Wired, out: &mut Diagnostics) -> Option<()> {
    let mut open: Vec<usize> = wired.iter().map(|(needs, _)| needs.len()).collect();
    let mut behind: Vec<Vec<usize>> = vec![Vec::new(); chosen.len()];
    for (i, (needs, _)) in wired.iter().enumerate() {
        for &n in needs {
            behind[n].push(i);
        }
    }
    let mut ready: Vec<usize> = (0..chosen.len()).filter(|i| open[*i] == 0).collect();
    while let Some(i) = ready.pop() {
        for &b in &behind[i] {
            open[b] -= 1;
            if open[b] == 0 {
                ready.push(b);
            }
        }
    }
    let stuck: Vec<&str> = chosen.iter().zip(&open).filter(|(_, n)| **n > 0).map(|(i, _)| i.key.as_str()).collect();
    if let Some(first) = chosen.iter().zip(&open).find(|(_, n)| **n > 0).map(|(i, _)| i) {
        out.error(&first.def.span, "needs_cycle", format!("The pipeline has circular dependencies: {}", stuck.join(", ")));
        return None;
    }
    Some(())
}

/// When the job runs, as a condition over what it needs. A job that was skipped, as one that waits for a person and does not
/// hold the pipeline, keeps back those that name it in `needs`, not the later stages.
fn condition(instance: &Instance<'_>, waits: bool) -> Option<String> {
    let good = |skipped: bool| {
        let mut text = String::from("!cancelled() && !contains(needs.*.result, 'failure') && !contains(needs.*.result, 'cancelled')");
        if skipped {
            text.push_str(" && !contains(needs.*.result, 'skipped')");
        }
        text
    };
    match instance.when.as_str() {
        "always" => Some("!cancelled()".into()),
        "on_failure" => Some("!cancelled() && contains(needs.*.result, 'failure')".into()),
        _ if !waits => None,
        _ => Some(good(instance.needs.is_some())),
    }
}

/// What is said of the environment besides its name: what is only known with variables, and the job that stops it.
fn environment(job: &mut Job, instance: &Instance<'_>, chosen: &[Instance<'_>], order: &Order<'_>, out: &mut Diagnostics) {
    let (Some(said), Some(environment)) = (&instance.def.environment, job.environment.as_mut()) else { return };
    let span = said.span.as_ref().unwrap_or(&instance.def.span);
    if said.auto_stop_in.is_some() && environment.auto_stop_seconds.is_none() {
        out.error(span, "bad_duration", "environment auto stop in should be a duration");
    }
    if environment.tier.as_deref().map_or(said.tier.is_some(), |t| !keywords::TIERS.contains(&t)) {
        out.error(span, "bad_value", format!("environment deployment tier must be one of {}", keywords::TIERS.join(", ")));
    }
    let Some(on_stop) = &said.on_stop else { return };
    let name = &instance.def.name;
    let of_file = order.pipeline.jobs.iter().find(|j| j.name == *on_stop);
    let wrong = match of_file.map(|j| &j.environment) {
        None => Some(format!("{name} job: on_stop job {on_stop} is not defined")),
        Some(None) => Some(format!("{name} job: on_stop job {on_stop} does not have environment defined")),
        Some(Some(other)) if other.name != said.name => Some(format!("{name} job: on_stop job {on_stop} have different environment name")),
        Some(Some(other)) if other.action != EnvironmentAction::Stop => {
            Some(format!("{name} job: on_stop job {on_stop} needs to have action stop defined"))
        }
        Some(Some(_)) => None,
    };
    if let Some(text) = wrong {
        out.error(span, "bad_on_stop", text);
    }
    // one that its rules leave out stops nothing: the environment is stopped without it
    environment.on_stop = chosen.iter().find(|i| i.def.name == *on_stop).map(|i| i.key.clone());
}

fn gate(job: &mut Job, instance: &Instance<'_>) {
    job.continue_on_error = Late::Known(instance.allow_failure);
    job.gate = match instance.when.as_str() {
        "manual" => Some(Gate::Manual { blocking: !instance.allow_failure }),
        "delayed" => Some(Gate::Delay { seconds: instance.start_in.unwrap_or(0).min(7 * 86_400) }),
        _ => None,
    };
}

/// A name for the artifact of each job: its own, without what names may not have.
fn artifact_names(chosen: &[Instance<'_>]) -> HashMap<String, String> {
    let mut taken = HashSet::new();
    let mut names = HashMap::new();
    for instance in chosen {
        let plain: String =
            instance.key.chars().map(|c| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '-' }).take(200).collect();
        let plain = plain.trim_matches(|c| c == '-' || c == ' ').to_owned();
        let plain = if plain.is_empty() { "artifact".to_owned() } else { plain };
        let mut name = plain.clone();
        let mut n = 2;
        while !taken.insert(name.clone()) {
            name = format!("{plain}-{n}");
            n += 1;
        }
        names.insert(instance.key.clone(), name);
    }
    names
}

/// A text with its variables, and what was not found told.
pub(super) fn expand(vars: &Vars, text: &str, span: &Span, tell: &mut dyn FnMut(&Span, &BTreeSet<String>)) -> Value {
    let expanded = vars.expand(text);
    tell(span, &expanded.unknown);
    expanded.value
}
