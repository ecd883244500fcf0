//! Which workflows an event starts, and why the others stay quiet.

use serde_json::{Map, Value};

use crate::expr::json_number;
use crate::filter::{parse_all, selects};
use crate::plan::{Dialect, InputType, Plan, RefFilter, Trigger, WorkflowRun};

/// Longest text of an input.
const MAX_INPUT: usize = 65_536;

/// Activities of a pull request that start a workflow which names none.
const PULL_DEFAULT: [&str; 3] = ["opened", "synchronize", "reopened"];

/// An event, seen by the filters.
#[derive(Clone, Debug)]
pub enum Occasion<'e> {
    /// A branch or tag was created or moved.
    Push {
        /// Full name: `refs/heads/x` or `refs/tags/x`.
        name: &'e str,
        /// Changed files; none when not known (a new branch, too many), which counts as all.
        changed: Option<&'e [String]>,
    },
    /// Something happened to a pull request.
    PullRequest {
        /// `pull_request` or `pull_request_target`.
        event: &'e str,
        /// `opened`, `synchronize`, ...
        action: &'e str,
        /// Branch it goes to.
        base: &'e str,
        /// Changed files.
        changed: Option<&'e [String]>,
    },
    /// Somebody asked for a run.
    Dispatch,
    /// The clock came to a time.
    Schedule {
        /// The one of `on.schedule`; none means any.
        cron: Option<&'e str>,
    },
    /// The run of another workflow went on.
    WorkflowRun {
        /// Name of that workflow.
        workflow: &'e str,
        /// `requested`, `in_progress`, `completed`.
        action: &'e str,
        /// Branch it ran on.
        branch: &'e str,
    },
    /// Any other event of the dialect.
    Other {
        /// Its name.
        event: &'e str,
        /// `published`, `created`, ...; none means any.
        action: Option<&'e str>,
        /// Branch that it is about, where the event has one (`merge_group`).
        branch: &'e str,
    },
}

/// Does the event start the plan?
///
/// # Errors
/// The reason why it does not.
pub fn starts(plan: &Plan, occasion: &Occasion<'_>) -> Result<(), String> {
    let mut reason = None;
    for trigger in &plan.triggers {
        let answer = match (trigger, occasion) {
            (Trigger::Push(filter), Occasion::Push { name, changed }) => push(filter, name, *changed),
            (Trigger::PullRequest { types, filter }, Occasion::PullRequest { event: "pull_request", action, base, changed }) => {
                pull(types, filter, action, base, *changed)
            }
            (Trigger::Other { name, types, filter }, Occasion::PullRequest { event, action, base, changed }) if name == event => {
                pull(types, filter, action, base, *changed)
            }
            (Trigger::WorkflowDispatch, Occasion::Dispatch) => Ok(()),
            (Trigger::Schedule { schedules }, Occasion::Schedule { cron }) => match cron {
                Some(cron) if schedules.iter().all(|s| s.cron != *cron) => Err(format!("`{cron}` is not in `schedule`")),
                _ => Ok(()),
            },
            (Trigger::WorkflowRun(run), Occasion::WorkflowRun { workflow, action, branch }) => workflow_run(run, workflow, action, branch),
            (Trigger::Other { name, types, filter }, Occasion::Other { event, action, branch: at }) if name == event => {
                action.map_or(Ok(()), |action| listed(types, action)).and_then(|()| branch(filter, at))
            }
            _ => continue,
        };
        match answer {
            Ok(()) => return Ok(()),
            Err(why) => reason = Some(why),
        }
    }
    Err(reason.unwrap_or_else(|| "`on` does not name this event".into()))
}

fn listed(types: &[String], action: &str) -> Result<(), String> {
    if types.is_empty() || types.iter().any(|t| t == action) {
        return Ok(());
    }
    Err(format!("the activity `{action}` is not in `types` ({})", types.join(", ")))
}

fn pull(types: &[String], filter: &RefFilter, action: &str, base: &str, changed: Option<&[String]>) -> Result<(), String> {
    if types.is_empty() && !PULL_DEFAULT.contains(&action) {
        return Err(format!("the activity `{action}` starts nothing without `types`, only {} do", PULL_DEFAULT.join(", ")));
    }
    listed(types, action)?;
    branch(filter, base)?;
    paths(filter, changed)
}

fn workflow_run(run: &WorkflowRun, workflow: &str, action: &str, at: &str) -> Result<(), String> {
    if !selects(&parse_all(&run.workflows), workflow) {
        return Err(format!("`{workflow}` is not in `workflows` ({})", run.workflows.join(", ")));
    }
    listed(&run.types, action)?;
    branch(&run.filter, at)
}

fn push(filter: &RefFilter, name: &str, changed: Option<&[String]>) -> Result<(), String> {
    let by_branch = filter.branches.is_some() || filter.branches_ignore.is_some();
    let by_tag = filter.tags.is_some() || filter.tags_ignore.is_some();
    if let Some(tag) = name.strip_prefix("refs/tags/") {
        // path filters do not look at tags
        return match (by_tag, by_branch) {
            (true, _) => select("tag", tag, filter.tags.as_deref(), filter.tags_ignore.as_deref()),
            (false, true) => Err("only branches start it".into()),
            (false, false) => Ok(()),
        };
    }
    let Some(name) = name.strip_prefix("refs/heads/") else { return Err("only branches and tags start workflows".into()) };
    if by_tag && !by_branch {
        return Err("only tags start it".into());
    }
    branch(filter, name)?;
    paths(filter, changed)
}

fn branch(filter: &RefFilter, name: &str) -> Result<(), String> {
    select("branch", name, filter.branches.as_deref(), filter.branches_ignore.as_deref())
}

fn select(what: &str, name: &str, only: Option<&[String]>, ignore: Option<&[String]>) -> Result<(), String> {
    if only.is_some_and(|list| !selects(&parse_all(list), name)) {
        return Err(format!("no {what} pattern matches `{name}`"));
    }
    if ignore.is_some_and(|list| selects(&parse_all(list), name)) {
        return Err(format!("the {what} `{name}` is ignored"));
    }
    Ok(())
}

/// With more comparisons of paths and patterns than this, path filters are not asked, as with too many changed files.
const MAX_COMPARISONS: usize = 1_000_000;

fn paths(filter: &RefFilter, changed: Option<&[String]>) -> Result<(), String> {
    let Some(changed) = changed else { return Ok(()) };
    let patterns = [&filter.paths, &filter.paths_ignore].into_iter().flatten().map(Vec::len).sum::<usize>();
    if changed.len().saturating_mul(patterns) > MAX_COMPARISONS {
        return Ok(());
    }
    if let Some(list) = &filter.paths {
        let patterns = parse_all(list);
        if !changed.iter().any(|path| selects(&patterns, path)) {
            return Err("no changed file matches `paths`".into());
        }
    }
    if let Some(list) = &filter.paths_ignore {
        let patterns = parse_all(list);
        if changed.iter().all(|path| selects(&patterns, path)) {
            return Err("all changed files match `paths-ignore`".into());
        }
    }
    Ok(())
}

/// An input of a manual start that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInput {
    /// Its name.
    pub name: String,
    /// `unknown`, `required` or `invalid`.
    pub code: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// Checks the inputs of a manual start, gives each its type and fills in defaults.
///
/// # Errors
/// All that cannot be taken.
pub fn check_inputs(plan: &Plan, given: &Map<String, Value>) -> Result<Map<String, Value>, Vec<BadInput>> {
    let mut wrong = Vec::new();
    let mut bad = |name: &str, code, message| wrong.push(BadInput { name: name.to_owned(), code, message });
    // a pipeline of GitLab takes any other name as a variable
    for name in given.keys().filter(|n| plan.dialect != Dialect::GitlabCi && !plan.inputs.contains_key(*n)) {
        bad(name, "unknown", "the workflow has no such input".into());
    }
    let mut out = Map::new();
    for (name, input) in &plan.inputs {
        let value = given.get(name).filter(|v| !v.is_null()).or(input.default.as_ref()).cloned();
        let value = match (value, input.r#type) {
            (None, _) if input.required => {
                bad(name, "required", "is required".into());
                continue;
            }
            (None, InputType::Boolean) => Value::Bool(false),
            (None, _) => Value::String(String::new()),
            (Some(Value::Bool(b)), InputType::Boolean) => Value::Bool(b),
            (Some(Value::String(s)), InputType::Boolean) if matches!(s.as_str(), "true" | "false") => Value::Bool(s == "true"),
            (Some(Value::Number(n)), InputType::Number) => Value::Number(n),
            (Some(Value::String(s)), InputType::Number) if s.trim().parse::<f64>().is_ok_and(f64::is_finite) => {
                json_number(s.trim().parse().unwrap_or(0.0)).unwrap_or_default()
            }
            (Some(Value::String(s)), InputType::Choice) if input.options.contains(&s) => Value::String(s),
            (Some(_), InputType::Choice) => {
                bad(name, "invalid", format!("one of {}", input.options.join(", ")));
                continue;
            }
            (Some(Value::String(s)), InputType::String | InputType::Environment) if s.len() <= MAX_INPUT => Value::String(s),
            (Some(v @ (Value::Number(_) | Value::Bool(_))), InputType::String) => Value::String(v.to_string()),
            (Some(_), kind) => {
                bad(name, "invalid", format!("must be a {kind:?}").to_lowercase());
                continue;
            }
        };
        out.insert(name.clone(), value);
    }
    if wrong.is_empty() { Ok(out) } else { Err(wrong) }
}

/// Does any filter of the plan look at paths? If not, nobody needs to compute the changed files.
pub fn needs_changes(plan: &Plan) -> bool {
    plan.triggers.iter().any(|t| match t {
        Trigger::Push(f) | Trigger::PullRequest { filter: f, .. } | Trigger::Other { filter: f, .. } => {
            f.paths.is_some() || f.paths_ignore.is_some()
        }
        Trigger::WorkflowDispatch | Trigger::Schedule { .. } | Trigger::WorkflowRun(_) | Trigger::Upstream { .. } => false,
    })
}
