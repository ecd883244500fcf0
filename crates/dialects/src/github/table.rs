//! The table of a workflow file: keys, kinds, contexts.

use std::sync::LazyLock;

use crate::expr::scope::{self, Scope};

use super::events::{self, EVENTS};
use super::read::{PERMISSIONS, PermissionKind};
use super::shape::{Entry, Keys, Shape};

use Shape::{Any, Bool, Condition, Either, Filled, List, Map, Null, Number, Steps, Text, Word};

static WORKFLOW: LazyLock<Shape> = LazyLock::new(build);
static STEPS: LazyLock<Vec<Keys>> = LazyLock::new(build_steps);

/// A workflow file.
pub(super) fn workflow() -> &'static Shape {
    &WORKFLOW
}

/// The kinds of a step.
pub(super) fn steps() -> &'static [Keys] {
    &STEPS
}

fn may(name: &'static str, shape: Shape) -> Entry {
    Entry { name, required: false, shape }
}

fn must(name: &'static str, shape: Shape) -> Entry {
    Entry { name, required: true, shape }
}

fn keys(known: Vec<Entry>) -> Shape {
    Map(Keys { known, others: None })
}

fn named(shape: Shape) -> Shape {
    Map(Keys { known: Vec::new(), others: Some(Box::new(shape)) })
}

fn within(scope: Scope, shape: Shape) -> Shape {
    Shape::In(scope, Box::new(shape))
}

fn list(shape: Shape) -> Shape {
    List(Box::new(shape))
}

fn one_or_more() -> Shape {
    Either(vec![Filled, list(Filled)])
}

fn scalar() -> Shape {
    Either(vec![Text, Bool, Number])
}

fn build() -> Shape {
    keys(vec![
        must("on", on()),
        may("name", Text),
        may("run-name", within(scope::RUN_NAME, Text)),
        may("defaults", keys(vec![may("run", run_defaults())])),
        may("env", within(scope::WORKFLOW_ENV, named(Text))),
        may("permissions", permissions()),
        may("concurrency", within(scope::CONCURRENCY, Either(vec![Text, concurrency()]))),
        must("jobs", named(Either(vec![job(), call()]))),
    ])
}

fn on() -> Shape {
    static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| EVENTS.iter().map(|e| e.name).collect());
    let event = |e: &'static events::Event| {
        let shape = match e.name {
            "schedule" => list(keys(vec![must("cron", Filled), may("timezone", Filled)])),
            "workflow_call" => Either(vec![Null, workflow_call()]),
            "workflow_dispatch" => {
                Either(vec![Null, keys(vec![may("inputs", Either(vec![Null, named(Either(vec![Null, dispatch_input()]))]))])])
            }
            "repository_dispatch" => Either(vec![Null, keys(vec![may("types", one_or_more())])]),
            _ if e.types.is_empty() && e.filters.is_empty() => Null,
            _ => {
                let mut known = Vec::new();
                if !e.types.is_empty() {
                    known.push(may("types", Either(vec![Word(e.types), list(Word(e.types))])));
                }
                known.extend(e.filters.iter().map(|f| may(f, one_or_more())));
                Either(vec![Null, keys(known)])
            }
        };
        may(e.name, shape)
    };
    Either(vec![Word(&NAMES), list(Word(&NAMES)), keys(EVENTS.iter().map(event).collect())])
}

fn workflow_call() -> Shape {
    let input = keys(vec![
        may("description", Text),
        must("type", Word(&["string", "boolean", "number"])),
        may("required", Bool),
        may("default", within(scope::CALL_DEFAULT, scalar())),
        may("deprecationMessage", Text),
    ]);
    let secret = Either(vec![Null, keys(vec![may("description", Text), may("required", Bool)])]);
    let output = keys(vec![may("description", Text), must("value", within(scope::CALL_OUTPUTS, Text))]);
    let maybe = |shape| Either(vec![Null, named(shape)]);
    keys(vec![may("inputs", maybe(input)), may("secrets", maybe(secret)), may("outputs", maybe(output))])
}

fn dispatch_input() -> Shape {
    keys(vec![
        may("description", Text),
        may("type", Word(&["string", "boolean", "number", "environment", "choice"])),
        may("required", Bool),
        may("default", scalar()),
        may("options", list(Text)),
        may("deprecationMessage", Text),
    ])
}

fn permissions() -> Shape {
    let level = |kind| {
        Word(match kind {
            PermissionKind::Any => &["read", "write", "none"],
            PermissionKind::Read => &["read", "none"],
            PermissionKind::Write => &["write", "none"],
        })
    };
    Either(vec![Word(&["read-all", "write-all"]), keys(PERMISSIONS.iter().map(|(name, kind)| may(name, level(*kind))).collect())])
}

fn run_defaults() -> Shape {
    keys(vec![may("shell", Filled), may("working-directory", Filled)])
}

fn concurrency() -> Shape {
    keys(vec![must("group", Filled), may("cancel-in-progress", Bool), may("queue", Word(&["single", "max"]))])
}

fn needs() -> Shape {
    one_or_more()
}

fn strategy() -> Shape {
    let filter = || list(named(Any));
    let matrix = Map(Keys { known: vec![may("include", filter()), may("exclude", filter())], others: Some(Box::new(list(Any))) });
    within(scope::STRATEGY, keys(vec![may("fail-fast", Bool), may("max-parallel", Number), may("matrix", matrix)]))
}

fn job_if() -> Shape {
    within(scope::JOB_IF, Condition)
}

fn job_concurrency() -> Shape {
    within(scope::JOB, Either(vec![Filled, concurrency()]))
}

fn job() -> Shape {
    let in_job = |shape| within(scope::JOB, shape);
    let labels = || one_or_more();
    let runs_on = Either(vec![Filled, list(Filled), keys(vec![may("group", Filled), may("labels", labels())])]);
    let environment = keys(vec![must("name", in_job(Text)), may("url", within(scope::ENVIRONMENT_URL, Text)), may("deployment", Bool)]);
    let snapshot = keys(vec![must("image-name", Filled), may("if", within(scope::JOB, Condition)), may("version", Filled)]);
    keys(vec![
        may("needs", needs()),
        may("if", job_if()),
        may("strategy", strategy()),
        may("name", in_job(Text)),
        must("runs-on", in_job(runs_on)),
        may("timeout-minutes", in_job(Number)),
        may("cancel-timeout-minutes", in_job(Number)),
        may("continue-on-error", in_job(Bool)),
        may("container", in_job(Either(vec![Text, container(Vec::new())]))),
        may("services", in_job(named(Either(vec![Filled, container(vec![may("entrypoint", Text), may("command", Text)])])))),
        may("env", within(scope::JOB_ENV, named(Text))),
        may("environment", in_job(Either(vec![Text, environment]))),
        may("permissions", permissions()),
        may("concurrency", job_concurrency()),
        may("outputs", named(within(scope::OUTPUTS, Text))),
        may("defaults", keys(vec![may("run", within(scope::JOB_DEFAULTS, run_defaults()))])),
        must("steps", Steps),
        may("snapshot", Either(vec![Filled, snapshot])),
    ])
}

fn call() -> Shape {
    let secrets = Either(vec![named(within(scope::CALL_SECRETS, scalar())), Word(&["inherit"])]);
    keys(vec![
        may("name", within(scope::JOB, Text)),
        must("uses", Filled),
        may("with", named(within(scope::CALL_WITH, scalar()))),
        may("secrets", secrets),
        may("needs", needs()),
        may("if", job_if()),
        may("permissions", permissions()),
        may("concurrency", job_concurrency()),
        may("strategy", strategy()),
    ])
}

fn container(more: Vec<Entry>) -> Shape {
    let credentials = keys(vec![may("username", Filled), may("password", Filled)]);
    let mut known = vec![
        may("image", Filled),
        may("options", Text),
        may("env", within(scope::CONTAINER_ENV, named(Text))),
        may("ports", list(Filled)),
        may("volumes", list(Filled)),
        may("credentials", within(scope::CREDENTIALS, credentials)),
    ];
    known.extend(more);
    keys(known)
}

fn build_steps() -> Vec<Keys> {
    let here = |shape| within(scope::STEP, shape);
    let head = || {
        vec![
            may("name", here(Text)),
            may("id", Filled),
            may("if", within(scope::STEP_IF, Condition)),
            may("timeout-minutes", here(Number)),
            may("continue-on-error", here(Bool)),
            may("env", here(named(Text))),
            may("background", Bool),
        ]
    };
    let small = || vec![may("name", here(Text)), may("id", Filled), may("continue-on-error", here(Bool))];
    let with = |mut known: Vec<Entry>, more: Vec<Entry>| {
        known.extend(more);
        Keys { known, others: None }
    };
    vec![
        with(head(), vec![must("run", here(Text)), may("working-directory", here(Text)), may("shell", Filled)]),
        with(head(), vec![must("uses", Filled), may("with", here(named(Text)))]),
        with(small(), vec![must("wait", one_or_more())]),
        with(small(), vec![must("wait-all", Either(vec![Null, Bool]))]),
        with(small(), vec![must("cancel", Filled)]),
        with(Vec::new(), vec![must("parallel", Steps)]),
    ]
}
