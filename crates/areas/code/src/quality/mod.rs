//! Lines by language, and the size and complexity of every function.
//!
//! A file's figures hold as long as its content does: a file is read when its content is new to the project, once, and
//! sums are moved by differences. Nothing here reads the whole repository but the first time.

pub(crate) mod routes;

use std::collections::{HashMap, HashSet};

use git::{GitError, Reader};
use kernel::{Context, Permission, ProjectId, Result};
use store::metric::{
    FunctionRow, FunctionSort, MetricRow, TotalRow, function_list, metric_apply, metric_of_content, metric_paths, metric_some, total_list,
};
use store::progress::{ProgressRow, progress_get, progress_hold, progress_set};
use syntax::Purpose;
use web_kit::App;

use crate::follow::{self, Consumer, FileChange, Now, Way, in_database};

/// The name in the progress table.
pub(crate) const CONSUMER: &str = "quality";

/// Functions shown as the worst.
const WORST: i64 = 10;

/// Brings the figures to the head, and tells the project its language where its owner has not.
pub(crate) async fn update(app: &App, project: ProjectId) -> Result<()> {
    follow::follow(app, project, &mut Quality).await?;
    let totals = total_list(app.db(), project).await?;
    if let Some((main, _)) = totals.iter().find(|(name, _)| purpose(name) == Some(Purpose::Code)) {
        store::project::project_language_found(app.db(), project, main).await?;
    }
    Ok(())
}

fn purpose(language: &str) -> Option<Purpose> {
    syntax::language::by_name(language).map(|l| l.purpose)
}

struct Quality;

type Measured = (MetricRow, Vec<FunctionRow>);

impl Consumer for Quality {
    async fn load(&self, app: &App, project: ProjectId) -> Result<ProgressRow> {
        in_database::load(app, project, CONSUMER).await
    }

    async fn begin(&mut self, app: &App, way: &Way) -> Result<()> {
        in_database::begin(app, way, CONSUMER).await
    }

    async fn batch(&mut self, app: &App, way: &Way, changes: &[FileChange]) -> Result<()> {
        let paths: Vec<&str> = changes.iter().map(|c| c.path.as_str()).collect();
        let known: HashMap<String, String> =
            metric_some(app.db(), way.project, &paths).await?.into_iter().map(|m| (m.path, m.oid)).collect();
        let (mut put, mut read) = (Vec::new(), Vec::new());
        for change in changes {
            // a symbolic link has no lines of its own
            let Some(now) = change.now.as_ref().filter(|n| !n.symlink) else { continue };
            let oid = now.oid.to_hex();
            if known.get(&change.path) == Some(&oid) {
                continue;
            }
            match same_content(app, way.project, &change.path, &oid).await? {
                Some(measured) => put.push(measured),
                None => read.push((change.path.clone(), now.clone())),
            }
        }
        let measured: Vec<Measured> =
            way.repository.read(move |reader| read.iter().map(|(path, now)| measure(reader, path, now)).collect()).await?;
        put.extend(measured);
        let gone: Vec<&str> = changes.iter().filter(|c| c.now.as_ref().is_none_or(|n| n.symlink)).map(|c| c.path.as_str()).collect();
        let mut tx = app.db().begin_soft().await?;
        progress_hold(&mut tx, way.project, CONSUMER, &way.target).await?;
        metric_apply(&mut tx, way.project, &put, &gone).await?;
        tx.commit().await
    }

    async fn sweep(&mut self, app: &App, way: &Way, kept: &HashSet<&str>) -> Result<()> {
        let mut after = String::new();
        loop {
            let paths = metric_paths(app.db(), way.project, &after, 300).await?;
            let Some(last) = paths.last().cloned() else { return Ok(()) };
            let gone: Vec<&str> = paths.iter().map(String::as_str).filter(|p| !kept.contains(p)).collect();
            if !gone.is_empty() {
                let mut tx = app.db().begin_soft().await?;
                progress_hold(&mut tx, way.project, CONSUMER, &way.target).await?;
                metric_apply(&mut tx, way.project, &[], &gone).await?;
                tx.commit().await?;
            }
            after = last;
        }
    }

    async fn finish(&mut self, app: &App, way: &Way) -> Result<()> {
        in_database::finish(app, way, CONSUMER).await
    }

    async fn clear(&mut self, app: &App, project: ProjectId) -> Result<()> {
        loop {
            let paths = metric_paths(app.db(), project, "", 300).await?;
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let mut tx = app.db().begin_soft().await?;
            metric_apply(&mut tx, project, &[], &paths).await?;
            if paths.is_empty() {
                progress_set(&mut tx, project, CONSUMER, None).await?;
            }
            tx.commit().await?;
            if paths.is_empty() {
                return Ok(());
            }
        }
    }
}

/// The figures of another file with the same content and language: a rename, a copy, a revert of one.
async fn same_content(app: &App, project: ProjectId, path: &str, oid: &str) -> Result<Option<Measured>> {
    // where the language depends on the content too, it must be read
    let Some(language) = syntax::language::by_path(path) else { return Ok(None) };
    let Some((metric, functions)) = metric_of_content(app.db(), project, oid, language.name).await? else { return Ok(None) };
    let functions = functions.into_iter().map(|f| FunctionRow { path: path.to_owned(), ..f }).collect();
    Ok(Some((MetricRow { path: path.to_owned(), ..metric }, functions)))
}

fn measure(reader: &Reader, path: &str, now: &Now) -> Result<Measured, GitError> {
    let size = i64::try_from(now.size).unwrap_or(i64::MAX);
    let base = MetricRow { path: path.to_owned(), oid: now.oid.to_hex(), bytes: size, ..MetricRow::default() };
    let Some(data) = reader.blob(now.oid, syntax::SIZE_LIMIT as u64)?.data else {
        let language = syntax::language::by_path(path).map_or(String::new(), |l| l.name.to_owned());
        return Ok((MetricRow { language, skipped: Some(syntax::Skipped::TooLarge.as_str().to_owned()), ..base }, Vec::new()));
    };
    let facts = syntax::analyze(path, &data);
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let functions: Vec<FunctionRow> = facts
        .functions
        .iter()
        .enumerate()
        .map(|(seq, f)| FunctionRow {
            path: path.to_owned(),
            seq: i64::try_from(seq).unwrap_or(i64::MAX),
            // databases take no NUL in a text
            name: f.name.replace('\0', "\u{fffd}"),
            line: i64::from(f.line),
            end_line: i64::from(f.end_line),
            lines: i64::from(f.lines),
            params: i64::from(f.params),
            cyclomatic: i64::from(f.cyclomatic),
            cognitive: i64::from(f.cognitive),
        })
        .collect();
    let metric = MetricRow {
        language: facts.language.map_or(String::new(), |l| l.name.to_owned()),
        lines: count(facts.lines.total),
        code: count(facts.lines.code),
        comments: count(facts.lines.comments),
        blanks: count(facts.lines.blanks),
        functions: i64::try_from(functions.len()).unwrap_or(i64::MAX),
        cyclomatic: functions.iter().map(|f| f.cyclomatic).sum(),
        cognitive: functions.iter().map(|f| f.cognitive).sum(),
        parse_error: facts.parse_error,
        skipped: facts.skipped.map(|s| s.as_str().to_owned()),
        ..base
    };
    Ok((metric, functions))
}

/// The languages of a project, most code first, with the share of its code. Data and prose have no share.
pub(crate) async fn language_list(app: &App, ctx: &Context, project: &str) -> Result<Vec<(String, TotalRow, f64)>> {
    let project = app.project(ctx, project, Permission::RepositoryRead).await?;
    let totals = total_list(app.db(), project.id()).await?;
    let counts = |name: &str| matches!(purpose(name), Some(Purpose::Code | Purpose::Markup));
    let all: i64 = totals.iter().filter(|(name, _)| counts(name)).map(|(_, t)| t.code).sum();
    let with_share = |(name, total): (String, TotalRow)| {
        let share = if counts(&name) && all > 0 { total.code as f64 / all as f64 } else { 0.0 };
        (name, total, share)
    };
    Ok(totals.into_iter().filter(|(name, _)| !name.is_empty()).map(with_share).collect())
}

/// A project's figures in one place.
pub(crate) struct Summary {
    pub(crate) progress: ProgressRow,
    pub(crate) total: TotalRow,
    pub(crate) cyclomatic_max: i64,
    pub(crate) cognitive_max: i64,
    pub(crate) worst: Vec<FunctionRow>,
}

/// The sums over all languages.
pub(crate) async fn sum(app: &App, project: ProjectId) -> Result<TotalRow> {
    let mut total = TotalRow::default();
    for (_, t) in total_list(app.db(), project).await? {
        total.files += t.files;
        total.bytes += t.bytes;
        total.lines += t.lines;
        total.code += t.code;
        total.comments += t.comments;
        total.blanks += t.blanks;
        total.functions += t.functions;
        total.cyclomatic += t.cyclomatic;
        total.cognitive += t.cognitive;
        total.parse_errors += t.parse_errors;
        total.skipped += t.skipped;
    }
    Ok(total)
}

/// The sums over all languages, and the worst functions.
pub(crate) async fn quality_get(app: &App, ctx: &Context, project: &str) -> Result<Summary> {
    let project = app.project(ctx, project, Permission::RepositoryRead).await?;
    let progress = progress_get(app.db(), project.id(), CONSUMER).await?;
    let total = sum(app, project.id()).await?;
    let worst = function_list(app.db(), project.id(), FunctionSort::Cognitive, None, None, WORST).await?;
    let cyclomatic = function_list(app.db(), project.id(), FunctionSort::Cyclomatic, None, None, 1).await?;
    Ok(Summary {
        progress,
        total,
        cyclomatic_max: cyclomatic.first().map_or(0, |f| f.cyclomatic),
        cognitive_max: worst.first().map_or(0, |f| f.cognitive),
        worst,
    })
}

/// One page of functions by a figure.
pub(crate) async fn function_page(
    app: &App,
    ctx: &Context,
    project: &str,
    sort: FunctionSort,
    path: Option<&str>,
    after: Option<(i64, String, i64)>,
    limit: i64,
) -> Result<Vec<FunctionRow>> {
    let project = app.project(ctx, project, Permission::RepositoryRead).await?;
    let after = after.as_ref().map(|(value, path, seq)| (*value, path.as_str(), *seq));
    function_list(app.db(), project.id(), sort, path, after, limit).await
}

#[cfg(test)]
pub(crate) fn consumer() -> impl Consumer {
    Quality
}
