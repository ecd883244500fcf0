//! `on`.

use crate::expr::scope;
use crate::filter::Pattern;
use crate::plan::{CallInterface, Input, InputType, Plan, RefFilter, Schedule, Trigger, WorkflowRun};
use crate::yaml::{Key, Node, Value};

use super::cron;
use super::events::{self, Event};
use super::read::Reader;

pub(super) fn read(r: &mut Reader<'_>, node: &Node, plan: &mut Plan) {
    match &node.value {
        Value::String(name) => event(r, &Key { span: node.span.clone(), name: name.clone() }, None, plan),
        Value::Seq(items) => {
            for item in items {
                match &item.value {
                    Value::String(name) => event(r, &Key { span: item.span.clone(), name: name.clone() }, None, plan),
                    _ => r.out.error(&item.span, "wrong_type", format!("an event is a text, this is {}", item.kind())),
                }
            }
        }
        Value::Map(entries) => entries.iter().for_each(|(key, value)| event(r, key, Some(value), plan)),
        _ => r.out.error(&node.span, "wrong_type", format!("`on` must be an event, a list or a mapping, this is {}", node.kind())),
    }
    let happens = plan.triggers.iter().any(|t| events::RAISED.contains(&t.event()));
    if !happens && plan.call.is_none() && !r.out.has_errors() {
        r.out.warning(&node.span, "never_starts", "no event that happens here starts this workflow; it can still be started by hand");
    }
}

fn event(r: &mut Reader<'_>, key: &Key, value: Option<&Node>, plan: &mut Plan) {
    let value = value.filter(|v| !matches!(v.value, Value::Null));
    let Some(known) = events::find(&key.name) else {
        let message = format!("Unexpected value '{}': there is no such event", key.name);
        r.out.error(&key.span, "unknown_event", message);
        return;
    };
    if !events::RAISED.contains(&known.name) {
        let message = format!("`{}` does not happen here yet, so it starts nothing", known.name);
        r.out.warning(&key.span, "unsupported_event", message);
    }
    let read = |r: &mut Reader<'_>| value.map(|v| filters(r, v, known)).unwrap_or_default();
    let trigger = match known.name {
        "push" => Trigger::Push(read(r).filter),
        "pull_request" => {
            let Filters { filter, types, .. } = read(r);
            Trigger::PullRequest { types, filter }
        }
        "workflow_dispatch" => {
            dispatch(r, value, plan);
            Trigger::WorkflowDispatch
        }
        "schedule" => match value {
            Some(node) => Trigger::Schedule { schedules: schedules(r, node) },
            None => {
                r.out.warning(&key.span, "never_starts", "`schedule` has no `cron` lines, so nothing starts it");
                return;
            }
        },
        "workflow_run" => {
            let Filters { filter, types, workflows } = read(r);
            if workflows.is_empty() {
                r.out.warning(&key.span, "never_starts", "`workflow_run` names no `workflows`, so nothing starts it");
            }
            Trigger::WorkflowRun(WorkflowRun { workflows, types, filter })
        }
        "workflow_call" => {
            plan.call = Some(interface(r, value));
            return;
        }
        name => {
            let Filters { filter, types, .. } = read(r);
            Trigger::Other { name: name.to_owned(), types, filter }
        }
    };
    plan.triggers.push(trigger);
}

fn dispatch(r: &mut Reader<'_>, value: Option<&Node>, plan: &mut Plan) {
    for (key, value) in value.and_then(|v| r.mapping(v, "`workflow_dispatch`")).unwrap_or_default() {
        if key.name != "inputs" {
            r.unknown_key(key, "`workflow_dispatch`", &["inputs"]);
        } else if !matches!(value.value, Value::Null) {
            for (name, node) in r.mapping(value, "`inputs`").unwrap_or_default() {
                if let Some(input) = input(r, node) {
                    plan.inputs.insert(name.name.clone(), input);
                }
            }
        }
    }
}

fn schedules(r: &mut Reader<'_>, node: &Node) -> Vec<Schedule> {
    let Value::Seq(items) = &node.value else {
        r.out.error(&node.span, "wrong_type", format!("`schedule` must be a list, this is {}", node.kind()));
        return Vec::new();
    };
    let mut all = Vec::new();
    for item in items {
        let (mut cron, mut timezone) = (None, None);
        for (key, value) in r.mapping(item, "an entry of `schedule`").unwrap_or_default() {
            match key.name.as_str() {
                "cron" => cron = r.plain_text(value, "cron").map(|text| (text, &value.span)),
                "timezone" => timezone = r.plain_text(value, "timezone").filter(|t| !t.is_empty()),
                _ => r.unknown_key(key, "an entry of `schedule`", &["cron", "timezone"]),
            }
        }
        let Some((text, span)) = cron else {
            r.out.error(&item.span, "missing_key", "Required property is missing: cron");
            continue;
        };
        match cron::check(&text) {
            Ok(often) => {
                if often {
                    r.out.warning(span, "too_often", format!("`{text}`: GitHub starts a schedule every 5 minutes at most"));
                }
                all.push(Schedule { cron: text, timezone, span: span.clone() });
            }
            Err(why) => {
                let message = format!("Invalid cron expression. Expected format: '* * * * *' (minute hour day month weekday). {why}");
                r.out.error(span, "bad_schedule", message);
            }
        }
    }
    all
}

fn interface(r: &mut Reader<'_>, node: Option<&Node>) -> CallInterface {
    let mut call = CallInterface::default();
    for (key, value) in node.and_then(|n| r.mapping(n, "`workflow_call`")).unwrap_or_default() {
        if matches!(value.value, Value::Null) {
            continue;
        }
        match key.name.as_str() {
            "inputs" => {
                for (name, node) in r.mapping(value, "`inputs`").unwrap_or_default() {
                    let Some(found) = input(r, node) else { continue };
                    if matches!(found.r#type, InputType::Choice | InputType::Environment) {
                        r.out.error(&node.span, "bad_value", "an input of a called workflow is of type string, boolean or number");
                    }
                    call.inputs.insert(name.name.clone(), found);
                }
            }
            "secrets" => {
                for (name, node) in r.mapping(value, "`secrets`").unwrap_or_default() {
                    let required = node.get("required").is_some_and(|n| matches!(n.value, Value::Bool(true)));
                    call.secrets.insert(name.name.clone(), required);
                }
            }
            "outputs" => {
                for (name, node) in r.mapping(value, "`outputs`").unwrap_or_default() {
                    match node.get("value") {
                        Some(text) => call.outputs.extend(r.text(text, "value", scope::CALL_OUTPUTS).map(|t| (name.name.clone(), t))),
                        None => r.out.error(&name.span, "missing_key", "Required property is missing: value"),
                    }
                }
            }
            _ => r.unknown_key(key, "`workflow_call`", &["inputs", "secrets", "outputs"]),
        }
    }
    call
}

/// What an event is restricted to.
#[derive(Default)]
struct Filters {
    filter: RefFilter,
    types: Vec<String>,
    workflows: Vec<String>,
}

fn filters(r: &mut Reader<'_>, node: &Node, event: &Event) -> Filters {
    let mut found = Filters::default();
    let place = format!("`on.{}`", event.name);
    for (key, value) in r.mapping(node, &place).unwrap_or_default() {
        let known = event.filters.contains(&key.name.as_str());
        let f = &mut found.filter;
        let slot = match key.name.as_str() {
            "branches" if known => &mut f.branches,
            "branches-ignore" if known => &mut f.branches_ignore,
            "tags" if known => &mut f.tags,
            "tags-ignore" if known => &mut f.tags_ignore,
            "paths" if known => &mut f.paths,
            "paths-ignore" if known => &mut f.paths_ignore,
            "workflows" if known => {
                found.workflows = patterns(r, key, value);
                continue;
            }
            "names" | "versions" if known => {
                patterns(r, key, value);
                continue;
            }
            "types" if known || !event.types.is_empty() => {
                found.types = types(r, value, event);
                continue;
            }
            _ => {
                let more: &[&str] = if event.types.is_empty() { &[] } else { &["types"] };
                let all: Vec<&str> = more.iter().chain(event.filters).copied().collect();
                r.unknown_key(key, &place, &all);
                continue;
            }
        };
        *slot = Some(patterns(r, key, value));
    }
    let f = &found.filter;
    for (only, ignore, name) in
        [(&f.branches, &f.branches_ignore, "branches"), (&f.tags, &f.tags_ignore, "tags"), (&f.paths, &f.paths_ignore, "paths")]
    {
        if only.is_some() && ignore.is_some() {
            r.out.error(
                &node.span,
                "both_filters",
                format!("`{name}` and `{name}-ignore` exclude each other; use `{name}` with `!` patterns"),
            );
        }
    }
    found
}

fn types(r: &mut Reader<'_>, node: &Node, event: &Event) -> Vec<String> {
    let items = match &node.value {
        Value::Seq(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut found = Vec::new();
    for item in items {
        let Some(text) = r.plain_text(item, "types") else { continue };
        if !event.types.is_empty() && !event.types.contains(&text.as_str()) {
            let message = format!("Unexpected value '{text}': `{}` has the activities {}", event.name, event.types.join(", "));
            r.out.error(&item.span, "bad_value", message);
        }
        found.push(text);
    }
    found
}

fn patterns(r: &mut Reader<'_>, key: &Key, node: &Node) -> Vec<String> {
    let list = r.texts(node, &key.name, None);
    for text in &list {
        if let Err(why) = Pattern::parse(text) {
            r.out.error(&node.span, "bad_pattern", format!("the pattern `{text}` cannot be used: {why}"));
        }
    }
    if !list.is_empty() && list.iter().all(|p| p.starts_with('!')) && !key.name.ends_with("-ignore") {
        r.out.warning(
            &key.span,
            "only_negative_patterns",
            format!("`{}` only takes away, so nothing ever matches; put a positive pattern such as `**` first", key.name),
        );
    }
    list
}

fn input(r: &mut Reader<'_>, node: &Node) -> Option<Input> {
    let mut input = Input { description: String::new(), required: false, default: None, r#type: InputType::String, options: Vec::new() };
    if matches!(node.value, Value::Null) {
        return Some(input);
    }
    let known = ["description", "required", "default", "type", "options", "deprecationMessage"];
    for (key, value) in r.mapping(node, "an input")? {
        match key.name.as_str() {
            "description" => input.description = r.plain_text(value, "description").unwrap_or_default(),
            "deprecationMessage" => r.out.warning(&key.span, "unsupported_key", "the deprecation message is not shown"),
            "required" => match value.value {
                Value::Bool(b) => input.required = b,
                _ => r.out.error(&value.span, "wrong_type", "`required` is true or false"),
            },
            "default" => input.default = Some(value.to_json()),
            "options" => input.options = r.texts(value, "options", None),
            "type" => {
                input.r#type = match r.plain_text(value, "type").as_deref() {
                    Some("string") => InputType::String,
                    Some("boolean") => InputType::Boolean,
                    Some("number") => InputType::Number,
                    Some("choice") => InputType::Choice,
                    Some("environment") => InputType::Environment,
                    _ => {
                        r.out.error(&value.span, "bad_value", "an input is of type string, boolean, number, choice or environment");
                        InputType::String
                    }
                };
            }
            _ => r.unknown_key(key, "an input", &known),
        }
    }
    if input.r#type == InputType::Choice && input.options.is_empty() {
        r.out.error(&node.span, "missing_key", "Missing 'options' for choice input");
    } else if input.r#type != InputType::Choice && node.get("options").is_some() {
        r.out.error(&node.span, "bad_value", "Input type is not 'choice', but 'options' is defined");
    }
    if let (InputType::Boolean, Some(default), Some(written)) = (input.r#type, &input.default, node.get("default"))
        && !default.is_boolean()
        && !default.as_str().is_some_and(|s| s.contains("${{"))
    {
        r.out.warning(&written.span, "bad_default", format!("the default of a boolean is true or false, this is {}", written.kind()));
    }
    Some(input)
}
