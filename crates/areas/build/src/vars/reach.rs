//! What of all scopes reaches a run and its jobs. Not for any route: here secrets are opened.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use kernel::Result;
use serde_json::{Map, Value};
use store::Q;
use store::project::ProjectRow;
use store::run::Trust;
use store::secret::{Content, Scope, ValueRow, values_of, values_of_environments};
use web_kit::{App, vault};

/// May a run of this trust have the value?
fn reaches(value: &ValueRow, trust: Trust) -> bool {
    match value.content {
        Content::Secret(_) if trust == Trust::Untrusted => false,
        _ => !value.protected || trust == Trust::Protected,
    }
}

/// The variables of a run before its jobs' environments are known, by name.
///
/// # Errors
/// The database's.
pub async fn variables_of_run(q: impl Into<Q<'_>>, project: &ProjectRow, trust: Trust) -> Result<BTreeMap<String, String>> {
    let rows = values_of(q, project.id, &project.namespace, None, false).await?;
    let open = |row: ValueRow| match row.content {
        Content::Variable(text) => Some((row.name, text)),
        Content::Secret(_) => None,
    };
    // of one name the nearest comes last
    Ok(rows.into_iter().filter(|row| reaches(row, trust)).filter_map(open).collect())
}

/// What a job gets.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Secrets of the project and its groups: a called workflow has of these what its caller gives it.
    pub secrets: BTreeMap<String, String>,
    /// Secrets of the job's environment, which win over all others.
    pub own_secrets: BTreeMap<String, String>,
    /// Variables of the job's environment.
    pub own_variables: Map<String, Value>,
}

/// What reaches a job of a project in an environment: one query, whatever there is.
///
/// # Errors
/// The database's; `internal` when a secret was sealed under another key.
pub async fn reach(app: &App, project: &ProjectRow, trust: Trust, environment: Option<&str>) -> Result<Reach> {
    let mut out = Reach::default();
    for row in values_of(app.db(), project.id, &project.namespace, environment, true).await? {
        if !reaches(&row, trust) {
            continue;
        }
        let own = matches!(row.scope, Scope::Environment(_));
        match row.content {
            Content::Secret(sealed) => {
                let value = vault::unseal(app.key(), row.scope, &row.name, &sealed)?;
                if own { &mut out.own_secrets } else { &mut out.secrets }.insert(row.name, value);
            }
            Content::Variable(text) if own => {
                out.own_variables.insert(row.name, Value::String(text));
            }
            // the run has had them since it was made
            Content::Variable(_) => {}
        }
    }
    Ok(out)
}

/// Variables and names of secrets, where both are variables of one kind: of one name the nearest counts, and of one scope
/// the variable.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Values by name.
    pub variables: IndexMap<String, String>,
    /// Names.
    pub secrets: Vec<String>,
}

impl Names {
    fn of(rows: impl Iterator<Item = ValueRow>) -> Self {
        let mut nearest: IndexMap<String, (Scope, Option<String>)> = IndexMap::new();
        for row in rows {
            let text = match row.content {
                Content::Variable(text) => Some(text),
                Content::Secret(_) if nearest.get(&row.name).is_some_and(|(scope, text)| *scope == row.scope && text.is_some()) => continue,
                Content::Secret(_) => None,
            };
            nearest.insert(row.name, (row.scope, text));
        }
        let mut out = Self::default();
        for (name, (_, text)) in nearest {
            match text {
                Some(text) => drop(out.variables.insert(name, text)),
                None => out.secrets.push(name),
            }
        }
        out
    }
}

/// What a pipeline is planned with: what all its jobs have, and by name what the jobs of an environment have besides.
///
/// # Errors
/// The database's.
pub async fn names(app: &App, project: &ProjectRow, trust: Trust) -> Result<(Names, IndexMap<String, Names>)> {
    let all = values_of(app.db(), project.id, &project.namespace, None, false).await?;
    let mut by_name: IndexMap<String, Vec<ValueRow>> = IndexMap::new();
    for (environment, row) in values_of_environments(app.db(), project.id).await? {
        if reaches(&row, trust) {
            by_name.entry(environment).or_default().push(row);
        }
    }
    let environments = by_name.into_iter().map(|(name, rows)| (name, Names::of(rows.into_iter()))).collect();
    Ok((Names::of(all.into_iter().filter(|row| reaches(row, trust))), environments))
}

#[cfg(test)]
mod tests {
    use kernel::{GroupId, ProjectId};

    use super::*;

    #[test]
    fn the_nearest_counts_and_protection_is_kept() {
        let (group, project) = (Scope::Group(GroupId::new()), Scope::Project(ProjectId::new()));
        let row = |scope, name: &str, text: Option<&str>, protected| ValueRow {
            scope,
            name: name.into(),
            content: text.map_or(Content::Secret(Vec::new()), |t| Content::Variable(t.into())),
            protected,
        };
        let rows = || {
            [
                row(group, "A", Some("far"), false),
                row(group, "B", Some("far"), false),
                row(project, "A", None, false),
                row(project, "B", Some("near"), true),
                row(project, "C", Some("c"), false),
                row(project, "C", None, false),
            ]
        };
        let of = |trust| {
            let names = Names::of(rows().into_iter().filter(|r| reaches(r, trust)));
            (names.variables.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "), names.secrets.join(" "))
        };
        assert_eq!(of(Trust::Protected), ("B=near C=c".into(), "A".into()));
        assert_eq!(of(Trust::Member), ("B=far C=c".into(), "A".into()));
        assert_eq!(of(Trust::Untrusted), ("A=far B=far C=c".into(), String::new()));
    }
}
