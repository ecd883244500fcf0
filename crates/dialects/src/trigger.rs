//! Which workflows an event starts, and why the others stay quiet.

use crate::filter::{parse_all, selects};
use crate::plan::{Plan, RefFilter, Trigger};

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
        /// `opened`, `synchronize`, ...
        action: &'e str,
        /// Branch it goes to.
        base: &'e str,
        /// Changed files.
        changed: Option<&'e [String]>,
    },
    /// Somebody asked for a run.
    Dispatch,
    /// Any other event of the dialect.
    Other {
        /// Its name.
        event: &'e str,
        /// `published`, `completed`, ...
        action: &'e str,
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
            (Trigger::PullRequest { types, filter }, Occasion::PullRequest { action, base, changed }) => {
                let listed = if types.is_empty() {
                    ["opened", "synchronize", "reopened"].contains(action)
                } else {
                    types.iter().any(|t| t == action)
                };
                if listed {
                    branch(filter, base).and_then(|()| paths(filter, *changed))
                } else {
                    Err(format!("the activity `{action}` is not in `types`"))
                }
            }
            (Trigger::WorkflowDispatch, Occasion::Dispatch) => Ok(()),
            _ => continue,
        };
        match answer {
            Ok(()) => return Ok(()),
            Err(why) => reason = Some(why),
        }
    }
    Err(reason.unwrap_or_else(|| "`on` does not name this event".into()))
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

fn paths(filter: &RefFilter, changed: Option<&[String]>) -> Result<(), String> {
    let Some(changed) = changed else { return Ok(()) };
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

/// Does any filter of the plan look at paths? If not, nobody needs to compute the changed files.
pub fn needs_changes(plan: &Plan) -> bool {
    plan.triggers.iter().any(|t| match t {
        Trigger::Push(f) | Trigger::PullRequest { filter: f, .. } => f.paths.is_some() || f.paths_ignore.is_some(),
        Trigger::WorkflowDispatch => false,
    })
}
