//! `on`.

use crate::expr::scope;
use crate::filter::Pattern;
use crate::plan::{CallInterface, Input, InputType, Plan, RefFilter, Trigger};
use crate::yaml::{Key, Node, Value};

use super::read::Reader;

/// Events of the dialect that never happen here.
const OTHER_EVENTS: &[&str] = &[
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "image_version",
    "issue_comment",
    "issues",
    "label",
    "merge_group",
    "milestone",
    "page_build",
    "public",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_target",
    "registry_package",
    "release",
    "repository_dispatch",
    "schedule",
    "status",
    "watch",
    "workflow_run",
];

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
    if plan.triggers.is_empty() && plan.call.is_none() && !r.out.has_errors() {
        r.out.warning(&node.span, "never_starts", "no event that happens here starts this workflow; it can still be started by hand");
    }
}

fn event(r: &mut Reader<'_>, key: &Key, value: Option<&Node>, plan: &mut Plan) {
    let value = value.filter(|v| !matches!(v.value, Value::Null));
    match key.name.as_str() {
        "push" => {
            let (filter, _) = value.map(|v| filters(r, v, "push")).unwrap_or_default();
            plan.triggers.push(Trigger::Push(filter));
        }
        "pull_request" => {
            r.out.warning(&key.span, "event_not_raised", "this instance has no pull requests yet, so `pull_request` starts nothing");
            let (filter, types) = value.map(|v| filters(r, v, "pull_request")).unwrap_or_default();
            plan.triggers.push(Trigger::PullRequest { types, filter });
        }
        "workflow_dispatch" => {
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
            plan.triggers.push(Trigger::WorkflowDispatch);
        }
        "workflow_call" => plan.call = Some(interface(r, value)),
        other if OTHER_EVENTS.contains(&other) => {
            r.out.warning(&key.span, "unsupported_event", format!("`{other}` does not happen here, so it starts nothing"));
        }
        other => r.out.error(&key.span, "unknown_event", format!("Unexpected value '{other}': there is no such event")),
    }
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

fn filters(r: &mut Reader<'_>, node: &Node, event: &str) -> (RefFilter, Vec<String>) {
    let mut f = RefFilter::default();
    let mut types = Vec::new();
    let tags = event == "push";
    let known: &[&str] = if tags {
        &["branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"]
    } else {
        &["types", "branches", "branches-ignore", "paths", "paths-ignore"]
    };
    for (key, value) in r.mapping(node, &format!("`on.{event}`")).unwrap_or_default() {
        let slot = match key.name.as_str() {
            "branches" => &mut f.branches,
            "branches-ignore" => &mut f.branches_ignore,
            "tags" if tags => &mut f.tags,
            "tags-ignore" if tags => &mut f.tags_ignore,
            "paths" => &mut f.paths,
            "paths-ignore" => &mut f.paths_ignore,
            "types" if !tags => {
                types = r.texts(value, "types", None);
                continue;
            }
            _ => {
                r.unknown_key(key, &format!("`on.{event}`"), known);
                continue;
            }
        };
        *slot = Some(patterns(r, key, value));
    }
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
    (f, types)
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
        r.out.error(&node.span, "missing_key", "a choice needs `options`");
    }
    Some(input)
}
