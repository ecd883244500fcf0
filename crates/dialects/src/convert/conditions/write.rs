//! Conditions written in each dialect, and as a test of a shell.

use super::super::Target;
use super::super::draft::{Cond, EVENTS, Fact, Side};

/// Why a condition cannot be written.
type Said = Result<String, String>;

fn foreign(text: &str) -> String {
    format!("the condition `{text}` cannot be said there")
}

fn no_fact(fact: Fact, to: Target) -> String {
    format!("{} has nothing for `{}`", to.name(), fact.expression())
}

/// A choice between texts as its alternatives.
fn alternatives(what: &Side, pattern: &str) -> Option<Cond> {
    let (begins, body) = pattern.strip_prefix('^').map_or(("", pattern), |rest| ("^", rest));
    let (body, ends) = body.strip_suffix('$').map_or((body, ""), |rest| (rest, "$"));
    let inner = body.strip_prefix("(?:").or_else(|| body.strip_prefix('(')).and_then(|b| b.strip_suffix(')'));
    let inner = inner.or_else(|| (begins.is_empty() && ends.is_empty()).then_some(body))?;
    if !inner.contains('|') || inner.contains(['(', ')', '[', '^', '$']) {
        return None;
    }
    let each = inner.split('|').map(|part| {
        let part = format!("{begins}{part}{ends}");
        plain_pattern(&part).map(|_| Cond::Matches(what.clone(), part))
    });
    each.collect::<Option<Vec<_>>>().map(Cond::Any)
}

/// A pattern without its anchors, if it is a plain text: begins, text, ends.
fn plain_pattern(pattern: &str) -> Option<(bool, String, bool)> {
    let (begins, body) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let (ends, body) = match body.strip_suffix(".*$").or_else(|| body.strip_suffix(".*")) {
        Some(rest) if begins => (false, rest),
        _ => body.strip_suffix('$').map_or((false, body), |rest| (true, rest)),
    };
    let mut text = String::new();
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(|c| c.is_ascii_punctuation())?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return None,
            c => text.push(c),
        }
    }
    Some((begins, text, ends))
}

/// A condition of GitHub; `vars` is the context that variables are in.
pub(in crate::convert) fn to_github(cond: &Cond, vars: &str) -> Said {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let side = |s: &Side| match s {
        Side::Text(text) => quoted(text),
        Side::Fact(fact) => fact.expression().to_owned(),
        Side::Var(name) => format!("{vars}.{name}"),
        Side::Input(name) => format!("inputs.{name}"),
    };
    let inner = |c: &Cond| match c {
        Cond::Any(_) => to_github(c, vars).map(|t| format!("({t})")),
        _ => to_github(c, vars),
    };
    let of_ref = |fact: &Fact| match fact {
        Fact::Branch => Some("refs/heads/"),
        Fact::Tag => Some("refs/tags/"),
        _ => None,
    };
    Ok(match cond {
        Cond::True => "true".into(),
        Cond::Not(c) => match &**c {
            Cond::Same(a, b) if !matches!(a, Side::Fact(f) if of_ref(f).is_some()) => format!("{} != {}", side(a), side(b)),
            Cond::Same(Side::Fact(fact), Side::Text(text)) => {
                format!("github.ref != {}", quoted(&format!("{}{text}", of_ref(fact).unwrap_or_default())))
            }
            c @ (Cond::Starts(..) | Cond::Ends(..) | Cond::Contains(..) | Cond::Set(Side::Fact(Fact::Branch | Fact::Tag))) => {
                format!("!{}", to_github(c, vars)?)
            }
            c => format!("!({})", to_github(c, vars)?),
        },
        Cond::All(list) => list.iter().map(inner).collect::<Result<Vec<_>, _>>()?.join(" && "),
        Cond::Any(list) => list.iter().map(|c| to_github(c, vars)).collect::<Result<Vec<_>, _>>()?.join(" || "),
        Cond::Same(Side::Fact(fact), Side::Text(text)) if of_ref(fact).is_some() => {
            format!("github.ref == {}", quoted(&format!("{}{text}", of_ref(fact).unwrap_or_default())))
        }
        Cond::Same(Side::Input(name), Side::Text(text)) if text == "true" || text == "false" => format!("inputs.{name} == {text}"),
        Cond::Same(a, b) => format!("{} == {}", side(a), side(b)),
        Cond::Set(Side::Fact(fact)) if of_ref(fact).is_some() => {
            format!("startsWith(github.ref, {})", quoted(of_ref(fact).unwrap_or_default()))
        }
        Cond::Set(s) => format!("{} != ''", side(s)),
        Cond::Starts(Side::Fact(fact), text) if of_ref(fact).is_some() => {
            format!("startsWith(github.ref, {})", quoted(&format!("{}{text}", of_ref(fact).unwrap_or_default())))
        }
        Cond::Starts(s, text) => format!("startsWith({}, {})", side(s), quoted(text)),
        Cond::Ends(s, text) => format!("endsWith({}, {})", side(s), quoted(text)),
        Cond::Contains(s, text) => format!("contains({}, {})", side(s), quoted(text)),
        Cond::Matches(s, pattern) => match plain_pattern(pattern) {
            Some((true, text, true)) => return to_github(&Cond::Same(s.clone(), Side::Text(text)), vars),
            Some((true, text, false)) => return to_github(&Cond::Starts(s.clone(), text), vars),
            Some((begins, text, ends)) => {
                let held = if ends && !begins { Cond::Ends(s.clone(), text) } else { Cond::Contains(s.clone(), text) };
                match s {
                    Side::Fact(f) if of_ref(f).is_some() => {
                        format!("{} && {}", to_github(&Cond::Set(s.clone()), vars)?, to_github(&held, vars)?)
                    }
                    _ => return to_github(&held, vars),
                }
            }
            None => match alternatives(s, pattern) {
                Some(any) => format!("({})", to_github(&any, vars)?),
                None => return Err(format!("GitHub's expressions have no regular expressions: `{pattern}`")),
            },
        },
        Cond::Changed(paths) => {
            return Err(format!("a job of GitHub cannot ask for changed files ({}): `on.push.paths` of a workflow can", paths.join(", ")));
        }
        Cond::Exists(paths) => return Err(format!("the condition of a job of GitHub cannot ask for files ({})", paths.join(", "))),
        Cond::Foreign(text) => return Err(foreign(text)),
    })
}

fn regex_escape(text: &str) -> String {
    text.chars().flat_map(|c| if "\\.+*?()|[]{}^$/".contains(c) { vec!['\\', c] } else { vec![c] }).collect()
}

/// A condition of GitLab, which knows no `not`.
pub(in crate::convert) fn to_gitlab(cond: &Cond, negated: bool) -> Said {
    let side = |s: &Side| match s {
        Side::Text(text) if text.contains('"') => Ok(format!("'{text}'")),
        Side::Text(text) => Ok(format!("\"{text}\"")),
        Side::Var(name) | Side::Input(name) => Ok(format!("${name}")),
        Side::Fact(fact) => fact.variable(Target::Gitlab).map(|n| format!("${n}")).ok_or_else(|| no_fact(*fact, Target::Gitlab)),
    };
    let like = |s: &Side, pattern: String| {
        let (flags, pattern) = match pattern.strip_prefix("(?") {
            Some(rest) if rest.starts_with(['i', 's', 'm']) => rest.split_once(')').map_or(("", rest), |(f, p)| (f, p)),
            _ => ("", pattern.as_str()),
        };
        Ok::<_, String>(format!("{} {} /{pattern}/{flags}", side(s)?, if negated { "!~" } else { "=~" }))
    };
    let group = |list: &[Cond], any: bool| {
        let parts = list.iter().map(|c| {
            let text = to_gitlab(c, negated)?;
            Ok(if text.contains("||") && !any { format!("({text})") } else { text })
        });
        parts.collect::<Result<Vec<_>, String>>().map(|p| p.join(if any { " || " } else { " && " }))
    };
    Ok(match cond {
        Cond::True => (if negated { "\"no\" == \"yes\"" } else { "\"yes\" == \"yes\"" }).into(),
        Cond::Not(c) => return to_gitlab(c, !negated),
        Cond::All(list) => return group(list, negated),
        Cond::Any(list) => return group(list, !negated),
        Cond::Same(Side::Fact(Fact::Event), Side::Text(event)) => {
            let theirs = EVENTS.iter().find(|(ours, _)| ours == event).map(|(_, theirs)| *theirs);
            let theirs = theirs.ok_or_else(|| format!("GitLab has no event `{event}`"))?;
            format!("$CI_PIPELINE_SOURCE {} \"{theirs}\"", if negated { "!=" } else { "==" })
        }
        Cond::Same(a, b) => format!("{} {} {}", side(a)?, if negated { "!=" } else { "==" }, side(b)?),
        Cond::Set(s) if negated => format!("({0} == null || {0} == \"\")", side(s)?),
        Cond::Set(s) => side(s)?,
        Cond::Starts(s, text) => like(s, format!("^{}", regex_escape(text)))?,
        Cond::Ends(s, text) => like(s, format!("{}$", regex_escape(text)))?,
        Cond::Contains(s, text) => like(s, regex_escape(text))?,
        Cond::Matches(s, pattern) => like(s, pattern.replace("\\/", "/").replace('/', "\\/"))?,
        Cond::Changed(_) | Cond::Exists(_) => return Err("`changes` and `exists` cannot be part of a longer condition".into()),
        Cond::Foreign(text) => return Err(foreign(text)),
    })
}

/// A text of Groovy.
pub(in crate::convert) fn groovy_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"))
}

/// An expression of Groovy.
pub(in crate::convert) fn to_groovy(cond: &Cond) -> Said {
    let side = |s: &Side| match s {
        Side::Text(text) => Ok(groovy_text(text)),
        Side::Var(name) => Ok(format!("env.{name}")),
        Side::Input(name) => Ok(format!("params.{name}")),
        Side::Fact(Fact::DefaultBranch) => Err("Jenkins has no name of the default branch".to_owned()),
        Side::Fact(fact) => fact.variable(Target::Jenkins).map(|n| format!("env.{n}")).ok_or_else(|| no_fact(*fact, Target::Jenkins)),
    };
    let call = |s: &Side, method: &str, text: &str| Ok::<_, String>(format!("{}?.{method}({})", side(s)?, groovy_text(text)));
    let inner = |c: &Cond| match c {
        Cond::Any(_) => to_groovy(c).map(|t| format!("({t})")),
        _ => to_groovy(c),
    };
    Ok(match cond {
        Cond::True => "true".into(),
        Cond::Not(c) => match &**c {
            Cond::Same(Side::Fact(Fact::Event), _) | Cond::Same(_, Side::Fact(Fact::DefaultBranch)) => format!("!({})", to_groovy(c)?),
            Cond::Same(Side::Input(_), _) => format!("!({})", to_groovy(c)?),
            Cond::Same(a, b) => format!("{} != {}", side(a)?, side(b)?),
            c => format!("!({})", to_groovy(c)?),
        },
        Cond::All(list) => list.iter().map(inner).collect::<Result<Vec<_>, _>>()?.join(" && "),
        Cond::Any(list) => list.iter().map(to_groovy).collect::<Result<Vec<_>, _>>()?.join(" || "),
        Cond::Same(Side::Fact(Fact::Event), Side::Text(event)) => match event.as_str() {
            "pull_request" => "env.CHANGE_ID".into(),
            "push" => "!env.CHANGE_ID".into(),
            other => return Err(format!("Jenkins does not tell a pipeline that its cause is `{other}`")),
        },
        Cond::Same(Side::Fact(Fact::Branch | Fact::RefName), Side::Fact(Fact::DefaultBranch)) => "env.BRANCH_IS_PRIMARY == 'true'".into(),
        Cond::Same(Side::Fact(Fact::Branch), Side::Text(text)) => format!("!env.TAG_NAME && env.BRANCH_NAME == {}", groovy_text(text)),
        Cond::Same(Side::Input(name), Side::Text(text)) => format!("\"${{params.{name}}}\" == {}", groovy_text(text)),
        Cond::Same(a, b) => format!("{} == {}", side(a)?, side(b)?),
        Cond::Set(Side::Fact(Fact::Branch)) => "!env.TAG_NAME".into(),
        Cond::Set(s) => side(s)?,
        Cond::Starts(s, text) => call(s, "startsWith", text)?,
        Cond::Ends(s, text) => call(s, "endsWith", text)?,
        Cond::Contains(s, text) => call(s, "contains", text)?,
        Cond::Matches(s, pattern) => match plain_pattern(pattern) {
            Some((true, text, true)) => return to_groovy(&Cond::Same(s.clone(), Side::Text(text))),
            Some((true, text, false)) => call(s, "startsWith", &text)?,
            Some((false, text, true)) => call(s, "endsWith", &text)?,
            Some((false, text, false)) => call(s, "contains", &text)?,
            None => format!("({} =~ {})", side(s)?, groovy_text(pattern)),
        },
        Cond::Changed(paths) => return Err(format!("`changeset` is a condition of its own in Jenkins: {}", paths.join(", "))),
        Cond::Exists(paths) => match paths.as_slice() {
            [one] if !one.contains(['*', '?', '[']) => format!("fileExists({})", groovy_text(one)),
            _ => return Err(format!("Jenkins looks for one file, not for patterns ({})", paths.join(", "))),
        },
        Cond::Foreign(text) => return Err(foreign(text)),
    })
}

/// A text of a shell.
fn shell_text(text: &str) -> String {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A command of a shell that holds when the condition does.
pub(in crate::convert) fn to_shell(cond: &Cond, to: Target) -> Said {
    let name = |s: &Side| match s {
        Side::Var(name) | Side::Input(name) => Ok(name.clone()),
        Side::Fact(fact) => fact.variable(to).map(str::to_owned).ok_or_else(|| no_fact(*fact, to)),
        Side::Text(text) => Err(format!("`{text}` is no variable")),
    };
    let value = |s: &Side| match s {
        Side::Text(text) => Ok(shell_text(text)),
        other => name(other).map(|n| format!("\"${{{n}:-}}\"")),
    };
    let group = |list: &[Cond], sign: &str| {
        let parts = list.iter().map(|c| {
            let text = to_shell(c, to)?;
            Ok(if matches!(c, Cond::All(_) | Cond::Any(_)) { format!("{{ {text}; }}") } else { text })
        });
        parts.collect::<Result<Vec<_>, String>>().map(|p| p.join(sign))
    };
    let cut = |s: &Side, sign: &str, text: &str| {
        let name = name(s)?;
        Ok::<_, String>(format!("[ \"${{{name}{sign}{}}}\" != \"${{{name}:-}}\" ]", shell_text(text)))
    };
    Ok(match cond {
        Cond::True => "true".into(),
        Cond::Not(c) if matches!(&**c, Cond::All(_) | Cond::Any(_)) => format!("! {{ {}; }}", to_shell(c, to)?),
        Cond::Not(c) => format!("! {}", to_shell(c, to)?),
        Cond::All(list) => group(list, " && ")?,
        Cond::Any(list) => group(list, " || ")?,
        Cond::Same(Side::Fact(Fact::Event), Side::Text(event)) => match (to, event.as_str()) {
            (Target::Gitlab, event) => {
                let theirs = EVENTS.iter().find(|(ours, _)| *ours == event).map(|(_, theirs)| *theirs);
                format!("[ \"$CI_PIPELINE_SOURCE\" = {} ]", theirs.ok_or_else(|| format!("GitLab has no event `{event}`"))?)
            }
            (Target::Jenkins, "pull_request") => "[ -n \"${CHANGE_ID:-}\" ]".into(),
            (Target::Jenkins, "push") => "[ -z \"${CHANGE_ID:-}\" ]".into(),
            (_, event) => format!("[ \"$GITHUB_EVENT_NAME\" = {event} ]"),
        },
        Cond::Same(a, b) => format!("[ {} = {} ]", value(a)?, value(b)?),
        Cond::Set(s) => format!("[ -n {} ]", value(s)?),
        Cond::Starts(s, text) => cut(s, "#", text)?,
        Cond::Ends(s, text) => cut(s, "%", text)?,
        Cond::Contains(s, text) => cut(s, "#*", text)?,
        Cond::Matches(s, pattern) => format!("printf %s {} | grep -Eq {}", value(s)?, shell_text(pattern)),
        Cond::Exists(paths) => match paths.as_slice() {
            [one] if !one.contains(['*', '?', '[']) => format!("[ -e {} ]", shell_text(one)),
            _ => return Err(format!("patterns of files ({}) cannot be asked for in a script", paths.join(", "))),
        },
        Cond::Changed(paths) => return Err(format!("changed files ({}) cannot be asked for in a script", paths.join(", "))),
        Cond::Foreign(text) => return Err(foreign(text)),
    })
}
