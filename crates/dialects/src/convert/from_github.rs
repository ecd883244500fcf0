//! Reads a workflow of GitHub, or a plan that was detected, into a draft.

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, Span};
use crate::expr::{self, Expr};
use crate::github;
use crate::plan::{self, Action, Late, Plan, StepKind, Trigger};
use crate::yaml;

use super::conditions;
use super::draft::{Base, Does, Draft, Fact, Image, Job, Matrix, Piece, Step, Text};

/// Labels of machines that every dialect calls its usual ones.
const USUAL: &[&str] = &["ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04", "ubuntu-20.04", "linux", "self-hosted", "x64"];

/// Events that the plan knows.
const KNOWN_EVENTS: &[&str] = &["push", "pull_request", "workflow_dispatch", "workflow_call", "schedule"];

pub(super) fn read(path: &str, bytes: &[u8], out: &mut Diagnostics) -> Result<Draft, Vec<Diagnostic>> {
    let compiled = github::compile(path, bytes);
    let Some(plan) = compiled.plan else { return Err(compiled.diagnostics) };
    let draft = draft(&plan, out);
    if let Some(root) = yaml::parse(path, bytes, &mut Diagnostics::default()) {
        events(&root, out);
        keys(&root, out);
    }
    for diagnostic in compiled.diagnostics.iter().filter(|d| d.severity == Severity::Warning) {
        out.warning(&diagnostic.span, &diagnostic.code, format!("already in the source: {}", diagnostic.message));
    }
    Ok(draft)
}

/// What starts the workflow beside what the draft knows.
fn events(root: &yaml::Node, out: &mut Diagnostics) {
    let Some(on) = root.get("on") else { return };
    let names: Vec<(&Span, String)> = match &on.value {
        yaml::Value::Map(entries) => entries.iter().map(|(k, _)| (&k.span, k.name.clone())).collect(),
        yaml::Value::Seq(items) => items.iter().filter_map(|n| Some((&n.span, n.scalar_text()?))).collect(),
        _ => on.scalar_text().map(|t| (&on.span, t)).into_iter().collect(),
    };
    for (span, name) in names {
        foreign_event(span, &name, out);
    }
}

fn foreign_event(span: &Span, name: &str, out: &mut Diagnostics) {
    if !KNOWN_EVENTS.contains(&name) {
        out.error(span, "event", format!("only GitHub starts pipelines on `{name}`"));
    } else if name == "workflow_call" {
        out.error(span, "workflow_call", "a pipeline that others call has no counterpart: what it is given has to be written by hand");
    }
}

/// Keys whose meaning the draft does not have.
fn keys(root: &yaml::Node, out: &mut Diagnostics) {
    let yaml::Value::Map(entries) = &root.value else { return };
    for (key, value) in entries {
        match key.name.as_str() {
            "permissions" => permissions(&key.span, out),
            "jobs" => {
                let yaml::Value::Map(jobs) = &value.value else { continue };
                for (_, job) in jobs {
                    if let yaml::Value::Map(entries) = &job.value {
                        entries.iter().filter(|(k, _)| k.name == "permissions").for_each(|(k, _)| permissions(&k.span, out));
                    }
                }
            }
            _ => {}
        }
    }
}

fn permissions(span: &Span, out: &mut Diagnostics) {
    out.warning(span, "permissions", "the rights of a job's token are not set in the file there");
}

/// A text of the plan.
pub(super) fn text(template: &str) -> Text {
    let Ok(pieces) = expr::split(template) else { return Text::lit(template) };
    Text(
        pieces
            .into_iter()
            .map(|piece| match piece {
                expr::Piece::Text(text) => Piece::Lit(text.to_owned()),
                expr::Piece::Expr { text, .. } => value(text.trim()),
            })
            .collect(),
    )
}

fn value(text: &str) -> Piece {
    let foreign = || Piece::Foreign(text.to_owned());
    let Ok(parsed) = Expr::parse(text) else { return foreign() };
    match &parsed {
        Expr::String(text) => return Piece::Lit(text.clone()),
        Expr::Number(n) => return Piece::Lit(expr::number_text(*n)),
        Expr::Bool(b) => return Piece::Lit(b.to_string()),
        Expr::Call(name, args) if name == "hashfiles" => {
            let files: Option<Vec<String>> = args.iter().map(|a| if let Expr::String(s) = a { Some(s.clone()) } else { None }).collect();
            return files.map_or_else(foreign, Piece::Hash);
        }
        _ => {}
    }
    let Some(path) = conditions::path(&parsed) else { return foreign() };
    if let Some(fact) = Fact::of_expression(&path) {
        return Piece::Fact(fact);
    }
    if let Some(name) = path.strip_prefix("github.event.inputs.") {
        return Piece::Input(name.to_owned());
    }
    match path.split_once('.') {
        Some(("env" | "vars", name)) => Piece::Var(name.to_owned()),
        Some(("secrets", "GITHUB_TOKEN" | "github_token")) => Piece::Fact(Fact::Token),
        Some(("secrets", name)) => Piece::Secret(name.to_owned()),
        Some(("matrix", name)) if !name.contains('.') => Piece::Matrix(name.to_owned()),
        Some(("inputs", name)) => Piece::Input(name.to_owned()),
        Some(("runner", "os")) => Piece::Lit("Linux".into()),
        Some(("github", "workflow")) => Piece::Lit("ci".into()),
        Some(("steps", rest)) => match rest.split_once(".outputs.") {
            Some((step, name)) => Piece::Output(step.to_owned(), name.to_owned()),
            None => foreign(),
        },
        _ => foreign(),
    }
}

fn texts(map: &plan::Map) -> IndexMap<String, Text> {
    map.iter().map(|(k, v)| (k.clone(), text(v))).collect()
}

/// The draft of a plan.
pub(super) fn draft(plan: &Plan, out: &mut Diagnostics) -> Draft {
    let mut draft = Draft { name: Some(plan.name.clone()), inputs: plan.inputs.clone(), env: texts(&plan.env), ..Draft::default() };
    let whole = Span::whole(&plan.source);
    for trigger in &plan.triggers {
        match trigger {
            Trigger::Push(filter) => draft.push = Some(filter.clone()),
            Trigger::PullRequest { filter, types } => {
                if !types.is_empty() {
                    out.warning(
                        &whole,
                        "event_types",
                        format!("activities of pull requests ({}) cannot be chosen there", types.join(", ")),
                    );
                }
                draft.pull_request = Some(filter.clone());
            }
            Trigger::WorkflowDispatch => draft.by_hand = true,
            Trigger::Schedule { schedules } => {
                for schedule in schedules {
                    if let Some(zone) = &schedule.timezone {
                        out.warning(&schedule.span, "timezone", format!("`{}` is in the zone {zone}, which is not kept", schedule.cron));
                    }
                    draft.schedules.push(schedule.cron.clone());
                }
            }
            // told where the file is read
            Trigger::WorkflowRun(_) | Trigger::Upstream { .. } | Trigger::Other { .. } => {}
        }
    }
    if plan.run_name.is_some() {
        out.warning(&whole, "run_name", "the name of each run is not set in the file there");
    }
    if let Some(concurrency) = &plan.concurrency {
        let by_ref = concurrency.group.contains("github.ref") || concurrency.group.contains("github.head_ref");
        if !by_ref {
            out.warning(
                &whole,
                "concurrency",
                format!("the group `{}` holds for all refs; there only runs of one ref are kept apart", concurrency.group),
            );
        }
        draft.alone = Some(match concurrency.cancel_in_progress {
            Late::Known(cancel) => cancel,
            Late::Expr(_) => {
                out.warning(&whole, "concurrency", "`cancel-in-progress` is decided when a run begins; there newer runs always win");
                true
            }
        });
    }
    for job in &plan.jobs {
        if job.result_of.is_some() {
            out.error(&job.span, "called_workflow", format!("the job `{}` calls a workflow: its jobs have to be written by hand", job.key));
            continue;
        }
        let made = one(plan, job, out);
        draft.jobs.push(made);
    }
    draft
}

fn one(plan: &Plan, job: &plan::Job, out: &mut Diagnostics) -> Job {
    let mut made = Job::new(&job.key, &job.span);
    made.title = job.name.as_deref().map(text);
    made.needs.clone_from(&job.needs);
    made.when = job.condition.as_deref().map(conditions::github).unwrap_or_default();
    if job.condition.as_deref().is_some_and(|c| c.contains("cancelled()")) {
        out.warning(&job.span, "cancelled", "what runs `if: !cancelled()` runs there after a cancel, too, if it was reached");
    }
    // a job that is skipped takes those behind it along, at any distance
    if made.when.base == Base::Success && job.needs.iter().any(|n| plan.job(n).is_some_and(|j| j.condition.is_some())) {
        out.warning(
            &job.span,
            "transitive_skip",
            format!("`{}` is skipped with the jobs it needs: their conditions are repeated at it", job.key),
        );
    }
    made.labels = job.runs_on.iter().filter(|l| !USUAL.contains(&l.as_str())).map(|l| text(l)).collect();
    if let Some(label) = job.runs_on.iter().find(|l| l.starts_with("windows") || l.starts_with("macos")) {
        out.error(&job.span, "machine", format!("`{label}` is a machine of GitHub's; a runner with that label has to be attached"));
    }
    made.image = job.container.as_ref().map(|c| image(c, &job.span, out));
    made.services = job.services.iter().map(|(name, c)| (name.clone(), image(c, &job.span, out))).collect();
    made.env = texts(&job.env);
    made.timeout = job.timeout_minutes.as_ref().and_then(Late::known);
    if made.timeout.is_none() && job.timeout_minutes.is_some() {
        out.warning(&job.span, "timeout", "a time limit that is evaluated is not kept");
    }
    match &job.continue_on_error {
        Late::Known(may_fail) => made.may_fail = *may_fail,
        Late::Expr(text) => {
            out.error(&job.span, "continue_on_error", format!("`continue-on-error: {text}` is evaluated for each job; there it cannot be"));
        }
    }
    made.environment = job.environment.as_ref().map(|e| (text(&e.name), e.url.as_deref().filter(|u| !u.is_empty()).map(text)));
    if let Some(c) = &job.concurrency {
        made.group = Some(text(&c.group));
        if !c.queue {
            let message = "of the jobs that wait in a group only the newest stays; there all keep their turn";
            out.warning(&job.span, "concurrency", message);
        }
    }
    for (name, _) in &job.outputs {
        out.error(
            &job.span,
            "outputs",
            format!("the output `{name}` of the job cannot be given to others: write it to a file and keep that as an artifact"),
        );
    }
    if let Some(strategy) = &job.strategy {
        made.matrix = matrix(strategy, &job.span, out);
    }
    let defaults = |pick: fn(&plan::RunDefaults) -> &Option<String>| pick(&job.defaults).clone().or_else(|| pick(&plan.defaults).clone());
    let (shell, dir) = (defaults(|d| &d.shell), defaults(|d| &d.working_directory));
    for planned in &job.steps {
        let mut step = step(planned, out);
        if let Does::Script { shell: own, dir: at, .. } = &mut step.does {
            *own = own.take().or_else(|| shell.clone());
            *at = at.take().or_else(|| dir.as_deref().map(text));
        }
        made.steps.push(step);
    }
    made
}

fn image(c: &plan::Container, span: &Span, out: &mut Diagnostics) -> Image {
    let span = c.span.as_ref().unwrap_or(span);
    if c.credentials.is_some() {
        out.error(span, "registry_credentials", format!("the name and password for `{}` have to be set in the other service", c.image));
    }
    if !c.volumes.is_empty() {
        out.error(span, "volumes", format!("the volumes {} cannot be said there", c.volumes.join(", ")));
    }
    Image { name: text(&c.image), args: c.options.clone(), env: texts(&c.env), ports: c.ports.clone(), command: Vec::new() }
}

fn matrix(strategy: &plan::Strategy, span: &Span, out: &mut Diagnostics) -> Option<Matrix> {
    let mut made = Matrix {
        fail_fast: strategy.fail_fast.known().unwrap_or(true),
        max_parallel: strategy.max_parallel.as_ref().and_then(Late::known),
        cells: Vec::new(),
    };
    match strategy.matrix.as_ref()? {
        plan::Matrix::Static(cells) => {
            for cell in cells {
                let mut values = IndexMap::new();
                for (name, value) in &cell.values {
                    let text = match value {
                        serde_json::Value::String(s) => s.clone(),
                        serde_json::Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), expr::number_text),
                        serde_json::Value::Bool(b) => b.to_string(),
                        other => {
                            out.error(span, "matrix_value", format!("`matrix.{name}` is {other}; values of a matrix are texts there"));
                            continue;
                        }
                    };
                    values.insert(name.clone(), text);
                }
                made.cells.push(values);
            }
        }
        plan::Matrix::Dynamic(_) => {
            out.error(
                span,
                "dynamic_matrix",
                "a matrix that is evaluated while the pipeline runs cannot be said there: the job is written once",
            );
            return None;
        }
    }
    Some(made)
}

fn lines(text: Option<&String>) -> Vec<String> {
    text.map(|t| t.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()).unwrap_or_default()
}

fn step(planned: &plan::Step, out: &mut Diagnostics) -> Step {
    let does = match &planned.kind {
        StepKind::Run { script, shell, working_directory } => {
            Does::Script { text: text(script), shell: shell.clone(), dir: working_directory.as_deref().map(text) }
        }
        StepKind::Uses { action, with, .. } => builtin(*action, with, planned, out),
        StepKind::Custom { uses, with, .. } => Does::Action { uses: uses.clone(), with: texts(with) },
        StepKind::Jenkins { text, .. } => Does::Groovy(text.clone()),
    };
    let mut made = Step::new(&planned.span, does);
    made.id.clone_from(&planned.id);
    made.name.clone_from(&planned.name);
    made.when = planned.condition.as_deref().map(conditions::github).unwrap_or_default();
    made.env = texts(&planned.env);
    made.timeout = planned.timeout_minutes.as_ref().and_then(Late::known);
    match &planned.continue_on_error {
        Late::Known(may_fail) => made.may_fail = *may_fail,
        Late::Expr(text) => out.error(&planned.span, "continue_on_error", format!("`continue-on-error: {text}` cannot be evaluated there")),
    }
    made
}

fn builtin(action: Action, with: &plan::Map, planned: &plan::Step, out: &mut Diagnostics) -> Does {
    let get = |name: &str| with.get(name).filter(|v| !v.trim().is_empty());
    let told = |out: &mut Diagnostics, known: &[&str]| {
        for (name, value) in with.iter().filter(|(n, _)| !known.contains(&n.as_str())) {
            out.warning(&planned.span, "input", format!("`{name}: {}` of {} is not kept", value.trim(), action.as_str()));
        }
    };
    match action {
        Action::Checkout => {
            told(out, &["fetch-depth", "token", "persist-credentials"]);
            if let Some(depth) = get("fetch-depth") {
                out.warning(
                    &planned.span,
                    "fetch_depth",
                    format!("`fetch-depth: {depth}`: the other service fetches as many commits as it is set to"),
                );
            }
            Does::Checkout
        }
        Action::Cache | Action::CacheRestore | Action::CacheSave => {
            told(out, &["key", "restore-keys", "path"]);
            Does::Cache {
                key: get("key").map(|k| text(k)).unwrap_or_default(),
                restore: lines(get("restore-keys")).iter().map(|k| text(k)).collect(),
                paths: lines(get("path")),
                pull: action != Action::CacheSave,
                push: action != Action::CacheRestore,
            }
        }
        Action::UploadArtifact => {
            told(out, &["name", "path", "if-no-files-found", "retention-days", "overwrite"]);
            let (exclude, paths): (Vec<String>, Vec<String>) = lines(get("path")).into_iter().partition(|p| p.starts_with('!'));
            let exclude = exclude.iter().map(|p| p.trim_start_matches('!').to_owned()).collect();
            Does::Upload { name: get("name").map_or_else(|| Text::lit("artifact"), |n| text(n)), paths, exclude }
        }
        Action::DownloadArtifact => {
            told(out, &["name", "path"]);
            Does::Download { name: get("name").map(|n| text(n)), path: get("path").cloned() }
        }
        Action::Report => {
            let kinds = with.iter().map(|(kind, files)| (kind.clone(), lines(Some(files))));
            Does::Report(kinds.collect())
        }
        Action::SetupNode
        | Action::SetupPython
        | Action::SetupGo
        | Action::SetupJava
        | Action::RustToolchain
        | Action::SetupRustToolchain => Does::Setup { action: action.as_str().to_owned(), with: texts(with) },
        _ => Does::Action { uses: action.as_str().to_owned(), with: texts(with) },
    }
}
