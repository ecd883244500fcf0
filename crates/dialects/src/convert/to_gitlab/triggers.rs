//! What starts a pipeline.

use super::*;

/// What a push or pull request must be to start the pipeline; none: all of them do.
pub(in crate::convert) fn starts(push: &RefFilter) -> Option<Cond> {
    let pattern = |fact: Fact, p: &String| match p.strip_suffix("**").or_else(|| p.strip_suffix('*')) {
        Some(begin) if !begin.contains(['*', '?', '[', '+', '!']) => {
            if begin.is_empty() {
                Cond::Set(Side::Fact(fact))
            } else {
                Cond::Starts(Side::Fact(fact), begin.to_owned())
            }
        }
        _ if p.contains(['*', '?', '[', '+']) => Cond::Matches(Side::Fact(fact), regex(p)),
        _ => Cond::Same(Side::Fact(fact), Side::Text(p.clone())),
    };
    let several = |fact: Fact, list: &[String]| {
        // what is written later wins
        list.iter().fold(Cond::True.not(), |cond, p| match p.strip_prefix('!') {
            Some(p) => pattern(fact, &p.to_owned()).not().and(cond),
            None if cond == Cond::True.not() => pattern(fact, p),
            None => cond.or(pattern(fact, p)),
        })
    };
    let side = |yes: &Option<Vec<String>>, no: &Option<Vec<String>>, fact: Fact| match (yes, no) {
        (Some(list), _) => Some(several(fact, list)),
        (None, Some(list)) => Some(Cond::Set(Side::Fact(fact)).and(several(fact, list).not())),
        (None, None) => None,
    };
    let branches = side(&push.branches, &push.branches_ignore, Fact::Branch);
    let tags = side(&push.tags, &push.tags_ignore, Fact::Tag);
    let mut cond = match (branches, tags) {
        (None, None) => None,
        (Some(b), None) => Some(b),
        (None, Some(t)) => Some(t),
        (Some(b), Some(t)) => Some(b.or(t)),
    };
    if let Some(paths) = push.paths.as_ref().filter(|p| p.iter().all(|p| !p.starts_with('!'))) {
        cond = Some(cond.unwrap_or(Cond::True).and(Cond::Changed(paths.clone())));
    }
    cond
}

/// A pattern of refs as a regular expression.
fn regex(pattern: &str) -> String {
    let mut out = String::from("^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                out.push_str(".*");
            }
            '*' => out.push_str("[^/]*"),
            '?' | '+' | '[' | ']' => out.push(c),
            c if c.is_alphanumeric() || "-_/".contains(c) => out.push(c),
            c => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out.push('$');
    out
}

pub(super) fn workflow(w: &mut Writer<'_>, root: &mut Map<String, Value>) {
    let draft = w.draft;
    let whole = Span::whole("");
    let mut flow = Map::new();
    if let Some(name) = draft.name.as_ref().filter(|n| !n.contains('$') && !n.contains('/')) {
        flow.insert("name".into(), name.as_str().into());
    }
    if let Some(cancel) = draft.alone {
        if cancel {
            flow.insert("auto_cancel".into(), json!({"on_new_commit": "interruptible"}));
            root.insert("default".into(), json!({"interruptible": true}));
            w.differs(
                &whole,
                "concurrency",
                "a newer pipeline stops the interruptible jobs of the older ones of its ref, if the project is set so",
            );
        } else {
            w.lost(&whole, "concurrency", "pipelines of GitLab do not wait for each other as a whole: give the jobs a `resource_group`");
        }
    }
    let is = |event: &str| Cond::Same(Side::Fact(Fact::Event), Side::Text(event.into()));
    let mut rules = Vec::new();
    let plain_push = draft.push.as_ref().is_some_and(|f| *f == RefFilter::default());
    if !plain_push || draft.pull_request.is_some() || !draft.by_hand && draft.push.is_some() {
        let mut rule = |w: &mut Writer<'_>, event: &str, filter: &RefFilter| {
            let filter = if event == "pull_request" {
                // the branches are those that it goes to
                let same = |b: &String| Cond::Same(Side::Fact(Fact::BaseRef), Side::Text(b.clone()));
                let cond = filter.branches.as_ref().and_then(|list| list.iter().map(same).reduce(Cond::or));
                match &filter.paths {
                    Some(paths) => Some(cond.unwrap_or(Cond::True).and(Cond::Changed(paths.clone()))),
                    None => cond,
                }
            } else {
                starts(filter)
            };
            let cond = is(event).and(filter.unwrap_or(Cond::True));
            match one_rule(&cond) {
                Ok(rule) => rules.push(Value::Object(rule)),
                Err(why) => w.lost(&whole, "event", format!("which `{event}` starts the pipeline has to be written by hand: {why}")),
            }
        };
        if let Some(filter) = &draft.push {
            rule(w, "push", filter);
            if filter.paths_ignore.is_some() || filter.paths.iter().flatten().any(|p| p.starts_with('!')) {
                w.lost(&whole, "paths_ignore", "GitLab has no list of files whose changes do not count: every change starts the pipeline");
            }
        }
        if let Some(filter) = &draft.pull_request {
            rule(w, "pull_request", filter);
        }
        if draft.by_hand {
            rules.push(json!({"if": "$CI_PIPELINE_SOURCE == \"web\" || $CI_PIPELINE_SOURCE == \"api\""}));
        }
        if !draft.schedules.is_empty() {
            rules.push(json!({"if": "$CI_PIPELINE_SOURCE == \"schedule\""}));
        }
        if rules.is_empty() {
            w.lost(&whole, "event", "nothing that GitLab knows starts the pipeline: it is started by hand");
            rules.push(json!({"if": "$CI_PIPELINE_SOURCE == \"web\""}));
        }
        flow.insert("rules".into(), rules.into());
    }
    if !flow.is_empty() {
        root.insert("workflow".into(), flow.into());
    }
}

/// A condition as one rule.
pub(super) fn one_rule(cond: &Cond) -> Result<Map<String, Value>, String> {
    let parts = match cond {
        Cond::All(list) => list.clone(),
        one => vec![one.clone()],
    };
    let (mut rule, mut rest) = (Map::new(), Cond::True);
    for part in parts {
        match part {
            Cond::Changed(paths) if !rule.contains_key("changes") => {
                rule.insert("changes".into(), json!(paths));
            }
            Cond::Exists(paths) if !rule.contains_key("exists") => {
                rule.insert("exists".into(), json!(paths));
            }
            other => rest = rest.and(other),
        }
    }
    if rest != Cond::True {
        let mut whole = Map::new();
        whole.insert("if".into(), to_gitlab(&rest, false)?.into());
        whole.extend(rule);
        return Ok(whole);
    }
    Ok(rule)
}
