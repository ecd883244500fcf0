//! The conditions of `when`.

use indexmap::IndexMap;

use super::super::interp::{Context, Eval, Value, exception, unsupported};
use super::super::model::{Args, Condition, When};
use super::Runner;

impl Runner<'_> {
    pub(super) fn when(&self, when: &When, ctx: &Context) -> Eval<bool> {
        for condition in &when.conditions {
            if !self.condition(condition, ctx)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn condition(&self, condition: &Condition, ctx: &Context) -> Eval<bool> {
        let at = condition.at.start;
        let env = self.interp.env(ctx);
        let arg = |name: &str| -> Eval<Option<Value>> {
            let found = match condition.args.as_ref() {
                Some(Args::Named(named)) => named.iter().find(|(key, _)| key == name).map(|(_, v)| v),
                Some(Args::Single(value)) => Some(value),
                _ => None,
            };
            found.map(|v| self.written(v, ctx)).transpose()
        };
        let text = |name: &str| arg(name).map(|v| v.map(|v| v.to_string()));
        let comparator = match condition.args.as_ref() {
            Some(Args::Named(_)) => text("comparator")?.unwrap_or_else(|| "GLOB".into()),
            _ => "GLOB".into(),
        };
        Ok(match condition.name.as_str() {
            "expression" => self.interp.block(&condition.code, &self.top, ctx)?.truth(),
            "allOf" => {
                for child in &condition.children {
                    if !self.condition(child, ctx)? {
                        return Ok(false);
                    }
                }
                true
            }
            "anyOf" => {
                for child in &condition.children {
                    if self.condition(child, ctx)? {
                        return Ok(true);
                    }
                }
                false
            }
            "not" => match condition.children.first() {
                Some(child) => !self.condition(child, ctx)?,
                None => true,
            },
            "branch" => match (env.get("BRANCH_NAME"), text("pattern")?) {
                (Some(branch), Some(pattern)) => self.compares(&comparator, &pattern, branch, at)?,
                _ => false,
            },
            "tag" => match (env.get("TAG_NAME"), text("pattern")?) {
                (Some(tag), Some(pattern)) => self.compares(&comparator, &pattern, tag, at)?,
                (Some(_), None) => true,
                _ => false,
            },
            "buildingTag" => env.contains_key("TAG_NAME"),
            "changeRequest" => match (env.get("CHANGE_ID"), env.get("CHANGE_TARGET"), text("target")?) {
                (None, ..) => false,
                (Some(_), Some(target), Some(wanted)) => self.compares(&comparator, &wanted, target, at)?,
                (Some(_), _, wanted) => wanted.is_none(),
            },
            "environment" => {
                let found = env.get(&text("name")?.unwrap_or_default()).cloned().unwrap_or_default();
                let wanted = text("value")?.unwrap_or_default();
                let ignore = arg("ignoreCase")?.is_some_and(|v| v.truth());
                if ignore { found.to_lowercase() == wanted.to_lowercase() } else { found == wanted }
            }
            "equals" => arg("actual")?.unwrap_or(Value::Null) == arg("expected")?.unwrap_or(Value::Null),
            "isRestartedRun" => false,
            "triggeredBy" => self.triggered_by(&text("cause")?.unwrap_or_default(), text("detail")?.as_deref(), &env),
            "changeset" => {
                let glob = text("glob")?;
                let Some(pattern) = text("pattern")?.or(glob) else { return Ok(false) };
                let exact = arg("caseSensitive")?.is_some_and(|v| v.truth());
                let history = &self.interp.shared.history;
                let Some(files) = &history.files else {
                    self.interp.echo(ctx, "Warning, the changes of this build are not known: no file counts as changed")?;
                    return Ok(false);
                };
                for file in files {
                    if self.names(&comparator, &pattern, file, exact, at)? {
                        return Ok(true);
                    }
                }
                false
            }
            "changelog" => {
                let Some(pattern) = text("pattern")? else { return Ok(false) };
                let pattern = self.interp.regex(&format!("(?ms)^[^\\r\\n]*(?:{pattern})[^\\r\\n]*$"), at)?;
                self.interp.shared.history.commits.iter().any(|c| pattern.is_match(&c.message))
            }
            other => return Err(unsupported(&format!("the condition `{other}`"), at)),
        })
    }

    fn compares(&self, comparator: &str, pattern: &str, text: &str, at: u32) -> Eval<bool> {
        self.names(comparator, pattern, text, false, at)
    }

    /// Does the text fit the pattern? `exact` tells capitals apart in globs.
    fn names(&self, comparator: &str, pattern: &str, text: &str, exact: bool, at: u32) -> Eval<bool> {
        match comparator.to_ascii_uppercase().as_str() {
            "EQUALS" => Ok(pattern == text),
            "REGEXP" => Ok(self.interp.regex(&format!("^(?:{pattern})$"), at)?.is_match(text)),
            _ => {
                // as Ant: `*` stays within a part, `**` does not
                let glob = globset::GlobBuilder::new(pattern).literal_separator(true).case_insensitive(!exact).build();
                let glob = glob.map_err(|e| exception("java.lang.IllegalArgumentException", format!("{pattern}: {e}"), at))?;
                Ok(glob.compile_matcher().is_match(text))
            }
        }
    }

    /// The short name of a cause, as Jenkins and its usual plugins have them.
    fn triggered_by(&self, cause: &str, detail: Option<&str>, env: &IndexMap<String, String>) -> bool {
        let short = cause.rsplit(['.', '$']).next().unwrap_or_default();
        let is = |text: &str| env.get("BUILD_CAUSE").is_some_and(|c| c == text);
        match short {
            "UserIdCause" | "UserCause" => is("MANUALTRIGGER") && detail.is_none_or(|d| env.get("BUILD_USER_ID").is_some_and(|u| u == d)),
            "SCMTrigger" | "SCMTriggerCause" | "BranchEventCause" => is("SCMTRIGGER"),
            "TimerTrigger" | "TimerTriggerCause" => is("TIMERTRIGGER"),
            "UpstreamCause" | "BuildUpstreamCause" => is("UPSTREAMTRIGGER"),
            _ => false,
        }
    }
}
