//! What a job does on the runner: sources, caches, artifacts of others, the script, and what it leaves.

use std::collections::{BTreeSet, HashMap};

use crate::diagnostic::Span;
use crate::plan::{Action, Concurrency, Container, Environment, Job, Late, Map, Step, StepKind, literal};

use super::job::JobDef;
use super::keywords::{CacheKey, Image};
use super::select::{Instance, Order, Sources, expand};
use super::service;
use super::vars::{Value, Var, Vars};

/// Label that a job without `tags` asks for; the in-process runner has it.
const RUNS_ON: &str = "ubuntu-latest";
/// Commits that are fetched when the file does not say.
const DEPTH: &str = "20";
/// Minutes of `after_script`.
const AFTER_MINUTES: f64 = 5.0;

type Tell<'t> = &'t mut dyn FnMut(&Span, &BTreeSet<String>);

fn step(span: &Span, name: &str, kind: StepKind) -> Step {
    Step {
        id: None,
        name: Some(name.into()),
        condition: None,
        env: Map::new(),
        timeout_minutes: None,
        continue_on_error: Late::Known(false),
        span: span.clone(),
        kind,
    }
}

fn uses(span: &Span, name: &str, action: Action, with: &[(&str, String)]) -> Step {
    let with = with.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    step(span, name, StepKind::Uses { action, version: String::new(), with })
}

fn run(span: &Span, name: &str, lines: &[&[String]]) -> Step {
    let script: Vec<String> = lines.iter().flat_map(|l| l.iter()).map(|l| literal(l.trim_end())).collect();
    step(span, name, StepKind::Run { script: script.join("\n"), shell: Some("posix".into()), working_directory: None })
}

/// `on_success`, `on_failure`, `always` of caches and artifacts.
fn when(word: &str) -> Option<String> {
    match word {
        "on_failure" => Some("failure()".into()),
        "always" => Some("always()".into()),
        _ => None,
    }
}

/// Makes the job; what it waits for is added by the caller.
pub(super) fn job(order: &Order<'_>, i: &Instance<'_>, names: &HashMap<String, String>, sources: &Sources, tell: Tell<'_>) -> Job {
    let def = i.def;
    let mut job = Job::new(&i.key, def.span.clone());
    job.name = Some(literal(&i.key));
    job.stage = Some(def.stage.clone());
    job.interruptible = i.interruptible;
    job.retry.clone_from(&def.retry);
    job.coverage.clone_from(&def.coverage);
    job.allow_exit_codes.clone_from(&def.exit_codes);
    job.timeout_minutes = def.timeout.map(|s| Late::Known((s as f64 / 60.0).max(1.0 / 60.0)));
    let mut vars = i.vars.clone();
    if let Some(image) = &def.image {
        let value = expand(&vars, &image.name, image.span.as_ref().unwrap_or(&def.span), tell);
        if let Some(plain) = &value.plain {
            vars.raw("CI_JOB_IMAGE", plain);
        }
        job.container = Some(Container {
            image: value.template,
            options: image.user.as_ref().map(|u| format!("--user {u}")),
            span: image.span.clone(),
            ..Container::default()
        });
    }
    if let Some(environment) = &def.environment {
        let name = expand(&vars, &environment.name, &def.span, tell);
        if let Some(plain) = &name.plain {
            vars.raw("CI_ENVIRONMENT_NAME", plain);
            vars.raw("CI_ENVIRONMENT_SLUG", super::facts::slug(plain));
        }
        vars.raw("CI_ENVIRONMENT_ACTION", environment.action.as_str());
        let tier = environment.tier.as_ref().and_then(|t| expand(&vars, t, &def.span, tell).plain);
        if let Some(tier) = tier.as_deref().or_else(|| name.plain.as_deref().map(Environment::tier_of)) {
            vars.raw("CI_ENVIRONMENT_TIER", tier);
        }
        let url = environment.url.as_ref().map(|u| url(u, &vars, def));
        if let Some(plain) = url.as_ref().and_then(|u| u.plain.as_ref()) {
            vars.raw("CI_ENVIRONMENT_URL", plain);
        }
        let stop = environment.auto_stop_in.as_ref().and_then(|t| expand(&vars, t, &def.span, tell).plain);
        job.environment = Some(Environment {
            name: name.template,
            url: url.map(|u| u.template),
            action: environment.action,
            tier,
            on_stop: None,
            auto_stop_seconds: stop.as_deref().and_then(super::read::parse_stop),
        });
    }
    if let Some(group) = &def.resource_group {
        let group = expand(&vars, group, &def.span, tell).template;
        // apart from the groups of other dialects
        job.concurrency = Some(Concurrency { group: format!("resource/{group}"), cancel_in_progress: Late::Known(false), queue: true });
    }
    for (name, audiences) in &def.id_tokens {
        let audiences = audiences.iter().map(|a| expand(&vars, a, &def.span, tell).template).collect();
        job.id_tokens.insert(name.clone(), audiences);
    }
    job.runs_on = if def.tags.is_empty() {
        vec![RUNS_ON.into()]
    } else {
        def.tags.iter().map(|t| expand(&vars, t, &def.span, tell).template).collect()
    };
    let mut unknown = BTreeSet::new();
    for name in vars.names() {
        let Some(value) = vars.get_told(name, &mut unknown) else { continue };
        if order.known.get(name) != Some(&value.template) {
            job.env.insert(name.to_owned(), value.template);
        }
    }
    tell(&def.span, &unknown);
    for service in &def.services {
        services(&mut job, service, &vars, tell);
    }
    steps(order, i, &vars, &mut job, names, sources, tell);
    job
}

/// The address of an environment. It may name variables that the job itself writes into a dotenv report.
fn url(text: &str, vars: &Vars, def: &JobDef) -> Value {
    let expanded = vars.expand(text);
    if expanded.unknown.is_empty() || def.artifacts.as_ref().is_none_or(|a| a.dotenv.is_empty()) {
        return expanded.value;
    }
    let mut with_own = vars.clone();
    for name in expanded.unknown {
        let late = format!("${{{{ fromJSON(steps.dotenv.outputs.variables || '{{}}')['{name}'] }}}}");
        with_own.set(name, Var::Late(late));
    }
    with_own.expand(text).value
}

fn services(job: &mut Job, service: &Image, vars: &super::vars::Vars, tell: Tell<'_>) {
    let whole = job.span.clone();
    let span = service.span.as_ref().unwrap_or(&whole);
    let image = expand(vars, &service.name, span, tell);
    // services see the variables of the job, and their own
    let mut env = job.env.clone();
    for (name, def) in &service.variables {
        let mut with_own = vars.clone();
        with_own.set(name, def.var());
        env.insert(name.clone(), with_own.get(name).unwrap_or_default().template);
    }
    let bare = image.plain.as_deref().unwrap_or(&service.name);
    let bare = bare.split('@').next().unwrap_or_default();
    let bare = match bare.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => bare,
    };
    let mut aliases: Vec<String> = service.aliases.iter().map(|a| expand(vars, a, span, tell).template).collect();
    if aliases.is_empty() {
        let plain = bare.replace(':', "");
        aliases.push(plain.replace('/', "__"));
        if plain.contains('/') {
            aliases.push(plain.replace('/', "-"));
        }
    }
    let mut aliases = aliases.into_iter();
    let Some(mut first) = aliases.next() else { return };
    let user = service.user.iter().map(|u| format!("--user {u}"));
    let more: Vec<String> = aliases.map(|a| format!("--network-alias {a}")).chain(user).collect();
    let mut n = 2;
    let name = first.clone();
    while job.services.contains_key(&first) {
        first = format!("{name}-{n}");
        n += 1;
    }
    let container = Container {
        image: image.template,
        env,
        options: (!more.is_empty()).then(|| more.join(" ")),
        entrypoint: service.entrypoint.iter().map(|e| literal(e)).collect(),
        command: service.command.iter().map(|e| literal(e)).collect(),
        span: service.span.clone(),
        ..Container::default()
    };
    job.services.insert(first, container);
}

fn steps(
    order: &Order<'_>,
    i: &Instance<'_>,
    vars: &super::vars::Vars,
    job: &mut Job,
    names: &HashMap<String, String>,
    sources: &Sources,
    tell: Tell<'_>,
) {
    let def = i.def;
    let span = def.span.clone();
    let setting = |name: &str| vars.get(name).and_then(|v| v.plain);
    let strategy = setting("GIT_STRATEGY").unwrap_or_else(|| "fetch".into());
    if !def.before_sources.is_empty() {
        job.steps.push(run(&def.script_span, "Before the sources", &[&def.before_sources]));
    }
    if strategy != "none" && strategy != "empty" {
        // what is no number asks for the whole history
        let depth = setting("GIT_DEPTH").map_or_else(|| DEPTH.into(), |d| d.trim().parse::<u32>().unwrap_or(0).to_string());
        job.steps.push(uses(&span, "Get sources", Action::Checkout, &[("fetch-depth", depth)]));
    }
    let mut saves = Vec::new();
    for (n, cache) in def.caches.iter().enumerate() {
        let paths: Vec<String> = cache.paths.iter().map(|p| expand(vars, p, &span, tell).template).collect();
        let key = match &cache.key {
            CacheKey::Text(text) => {
                let key = expand(vars, text, &span, tell).template;
                if key.trim().is_empty() { "default".into() } else { key }
            }
            CacheKey::Files { files, prefix } => {
                let files: Vec<String> = files
                    .iter()
                    .map(|f| vars.expand(f).value.plain.unwrap_or_else(|| f.clone()))
                    .map(|f| format!("'{}'", f.replace('\'', "''")))
                    .collect();
                let prefix = prefix.as_ref().map(|p| format!("{}-", expand(vars, p, &span, tell).template)).unwrap_or_default();
                format!("{prefix}${{{{ hashFiles({}) || 'default' }}}}", files.join(", "))
            }
        };
        // keys never change what they hold here, so each job saves under a key of its own and the newest is restored
        let own = format!("{key}@${{{{ job.id }}}}");
        let fallback: Vec<String> = cache.fallback_keys.iter().map(|k| format!("{}@", expand(vars, k, &span, tell).template)).collect();
        let policy = expand(vars, &cache.policy, &span, tell).plain.unwrap_or_default();
        let (pulls, pushes) = (policy != "push", policy != "pull");
        let mut save_key = own.clone();
        if pulls {
            let restore = [vec![format!("{key}@")], fallback].concat().join("\n");
            let mut step =
                uses(&span, "Restore cache", Action::CacheRestore, &[("key", own), ("restore-keys", restore), ("path", paths.join("\n"))]);
            let id = format!("cache_{n}");
            // the files that make the key may be changed by the script
            save_key = format!("${{{{ steps.{id}.outputs.cache-primary-key }}}}");
            step.id = Some(id);
            job.steps.push(step);
        }
        if pushes {
            let mut step = uses(&span, "Save cache", Action::CacheSave, &[("key", save_key), ("path", paths.join("\n"))]);
            step.condition = when(&cache.when);
            saves.push(step);
        }
    }
    if !sources.artifacts.is_empty() {
        let wanted: Vec<&str> = sources.artifacts.iter().filter_map(|k| names.get(k)).map(String::as_str).collect();
        // a pattern, because a job that failed or made nothing has no artifact, which is no error
        let with = [("pattern", format!("{{{}}}", wanted.join(","))), ("merge-multiple", "true".into()), ("path", ".".into())];
        job.steps.push(uses(&span, "Download artifacts", Action::DownloadArtifact, &with));
    }
    if !sources.dotenv.is_empty() {
        let load: Vec<String> =
            sources.dotenv.iter().map(|k| format!("${{{{ needs['{}'].outputs.dotenv }}}}", k.replace('\'', "''"))).collect();
        let keep: Vec<&str> = order.outer.names().collect();
        job.steps.push(uses(&span, "Variables of needed jobs", Action::Dotenv, &[("load", load.join("\n")), ("keep", keep.join("\n"))]));
    }
    // what is wrong with them was told when the file was read
    let (own, commands) = service::split(&def.script).unwrap_or_else(|_| (def.script.len(), Vec::new()));
    let mut script = run(&def.script_span, "Script", &[&def.before_script, &def.script[..own]]);
    script.id = Some("script".into());
    job.steps.push(script);
    for command in commands {
        let with: Vec<(&str, String)> =
            command.with.into_iter().map(|(name, text)| (name, expand(vars, &text, &def.script_span, tell).template)).collect();
        let name = if command.action == Action::Deploy { "Deploy" } else { "Image" };
        job.steps.push(uses(&def.script_span, name, command.action, &with));
    }
    if !def.after_script.is_empty() {
        let mut after = run(&def.script_span, "After script", &[&def.after_script]);
        after.condition = Some("always() && steps.script.outcome != 'skipped'".into());
        after.continue_on_error = Late::Known(true);
        after.timeout_minutes = Some(Late::Known(AFTER_MINUTES));
        let status = "${{ job.status == 'failure' && 'failed' || job.status == 'cancelled' && 'canceled' || 'success' }}";
        after.env.insert("CI_JOB_STATUS".into(), status.into());
        job.steps.push(after);
    }
    job.steps.extend(saves);
    let Some(artifacts) = &def.artifacts else { return };
    let mut lines: Vec<String> = artifacts.paths.iter().chain(&artifacts.kept).map(|p| expand(vars, p, &span, tell).template).collect();
    if !lines.is_empty() {
        lines.extend(artifacts.exclude.iter().map(|p| format!("!{}", expand(vars, p, &span, tell).template)));
        let name = names.get(&i.key).cloned().unwrap_or_default();
        let mut with = vec![("name", name), ("path", lines.join("\n")), ("exact", "true".into()), ("overwrite", "true".into())];
        with.extend(artifacts.keep_seconds.map(|n| ("keep-seconds", n.to_string())));
        with.extend(artifacts.expose_as.as_ref().map(|t| ("expose-as", literal(t))));
        let mut step = uses(&span, "Upload artifacts", Action::UploadArtifact, &with);
        step.condition = if artifacts.paths.is_empty() { Some("always()".into()) } else { when(&artifacts.when) };
        job.steps.push(step);
    }
    let all = |list: &[String], tell: Tell<'_>| list.iter().map(|p| expand(vars, p, &span, tell).template).collect::<Vec<_>>().join("\n");
    let mut reports = Vec::new();
    let kinds = [
        ("junit", &artifacts.junit),
        ("cobertura", &artifacts.cobertura),
        ("jacoco", &artifacts.jacoco),
        ("codequality", &artifacts.codequality),
    ];
    for (name, list) in kinds {
        if !list.is_empty() {
            reports.push((name, all(list, tell)));
        }
    }
    if !reports.is_empty() {
        let mut step = uses(&span, "Reports", Action::Report, &reports);
        step.condition = Some("always()".into());
        job.steps.push(step);
    }
    if !artifacts.dotenv.is_empty() {
        let mut step = uses(&span, "Variables for later jobs", Action::Dotenv, &[("file", all(&artifacts.dotenv, tell))]);
        step.id = Some("dotenv".into());
        step.condition = Some("always()".into());
        job.steps.push(step);
        job.outputs.insert("dotenv".into(), "${{ steps.dotenv.outputs.variables }}".into());
    }
}
