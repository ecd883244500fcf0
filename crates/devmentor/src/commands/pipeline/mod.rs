//! `pipeline lint|plan|model|convert|detect|test|eval`: the compiler of pipeline files and their expressions, without a server;
//! and `run`, which brings one of its own.

mod compile;
mod convert;
mod eval;
mod expect;
mod local;

use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use dialects::{Diagnostic, Plan, Severity, github, jenkins, trial};
use serde_json::{Value, json};

use compile::compile;

use crate::args::{ExpressionDialect, FileDialect, Global, Pipeline, PlanOf};
use crate::failure::{Failure, Result};
use crate::output::{Format, line, plain};

/// Larger files are no pipelines.
const MAX_FILE: u64 = 1 << 20;

pub(super) async fn run(command: Pipeline, global: &Global) -> Result {
    let json = global.json;
    let format = if json { Format::Json } else { Format::Human };
    match command {
        Pipeline::Lint { files, dialect } => lint(&if files.is_empty() { workflows_here()? } else { files }, dialect, format),
        Pipeline::Plan(asked) => plan(&asked, format),
        Pipeline::Model { file } => model(&file, format),
        Pipeline::Convert { file, to, from, output } => convert::file(&file, from, to, output.as_deref(), format),
        Pipeline::Detect { directory, to, output } => convert::detect(directory.as_deref(), to, output.as_deref(), format),
        Pipeline::Run(asked) => local::run(&asked, global).await,
        Pipeline::Test { file } => expect::run(file.as_deref(), format),
        Pipeline::Eval { dialect: ExpressionDialect::Github, expression, context } => match expression.as_str() {
            "-" => eval::stream(io::stdin().lock(), io::stdout().lock()),
            text => eval::one(text, context.as_deref()),
        },
    }
}

fn plan(asked: &PlanOf, format: Format) -> Result {
    let tried = compile::plan(asked)?;
    // a program that reads the plan should not have to ask twice
    let format = if io::stdout().is_terminal() { format } else { Format::Json };
    tell(&tried.diagnostics);
    let Some(plan) = &tried.plan else {
        return broken(&tried.diagnostics, format);
    };
    let mut value = trial::json(&tried);
    if asked.event.is_none()
        && let Value::Object(all) = &mut value
    {
        // without an event nothing starts
        all.remove("starts");
        all.remove("because");
    }
    format.show(&value, |_| match &tried.quiet {
        Some(why) => format!("{} does not start: {}\n", plain(&plan.name), plain(why)),
        None => describe(plan),
    })
}

/// Every workflow below the repository that the current directory is in.
fn workflows_here() -> Result<Vec<PathBuf>> {
    let here = std::env::current_dir()?;
    let mut files = Vec::new();
    if let Some(folder) = here.ancestors().map(|a| a.join(github::DIRECTORY)).find(|f| f.is_dir()) {
        let found = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        files.extend(found.filter(|path| path.extension().is_some_and(|e| e == "yml" || e == "yaml")));
    }
    files.extend(here.ancestors().map(|a| a.join(dialects::gitlab::FILE)).find(|f| f.is_file()));
    if files.is_empty() {
        let why = format!("there is neither {} nor {} here; name the files", github::DIRECTORY, dialects::gitlab::FILE);
        return Err(Failure::Usage(why));
    }
    files.sort();
    Ok(files)
}

/// Prints the declarative model of a Jenkinsfile, always as JSON: that is what it is for.
fn model(path: &Path, format: Format) -> Result {
    let read = jenkins::read(&path.to_string_lossy(), &bytes(path)?);
    tell(&read.diagnostics);
    match read.pipeline {
        Some(pipeline) => line(&serde_json::to_string_pretty(&pipeline.json())?),
        None => broken(&read.diagnostics, format),
    }
}

/// The end of a command whose file has errors; a program gets them on standard output.
fn broken(diagnostics: &[Diagnostic], format: Format) -> Result {
    if format == Format::Json {
        line(&serde_json::to_string_pretty(&json!({ "diagnostics": diagnostics }))?)?;
    }
    Err(Failure::Failed("the file has errors".to_owned()))
}

/// Messages for people.
fn tell(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        eprintln!("{}", plain(&diagnostic.to_string()));
    }
}

/// The bytes of a file of a sensible size.
fn bytes(path: &Path) -> Result<Vec<u8>> {
    let too_large = || Failure::Usage(format!("{} is larger than {MAX_FILE} bytes", path.display()));
    if path == Path::new("-") {
        let mut read = Vec::new();
        io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut read)?;
        return if read.len() as u64 > MAX_FILE { Err(too_large()) } else { Ok(read) };
    }
    let told = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Failure::Usage(format!("{}: there is no such file", path.display())),
        _ => Failure::Usage(format!("{}: {e}", path.display())),
    };
    let facts = fs::metadata(path).map_err(told)?;
    if facts.is_dir() {
        return Err(Failure::Usage(format!("{} is a directory; name the files", path.display())));
    }
    if facts.len() > MAX_FILE {
        return Err(too_large());
    }
    fs::read(path).map_err(told)
}

fn lint(files: &[PathBuf], dialect: Option<FileDialect>, format: Format) -> Result {
    let mut all: Vec<Value> = Vec::new();
    let mut errors = 0;
    for file in files {
        let compiled = compile(file, dialect)?;
        errors += compiled.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        if format == Format::Human {
            tell(&compiled.diagnostics);
        }
        all.push(json!({ "file": file, "name": compiled.name, "diagnostics": compiled.diagnostics }));
    }
    match format {
        Format::Json => format.list(&all, &[])?,
        Format::Human => {
            let found = all.iter().map(|f| f["diagnostics"].as_array().map_or(0, Vec::len)).sum::<usize>();
            line(&format!("{} files, {errors} errors, {} warnings", files.len(), found - errors))?;
        }
    }
    if errors > 0 { Err(Failure::Failed("there are errors".to_owned())) } else { Ok(()) }
}

/// The jobs of a plan and their steps, in the order of the file.
fn describe(plan: &Plan) -> String {
    let mut out = format!("{} ({})\n", plain(&plan.name), plain(&plan.source));
    for job in &plan.jobs {
        let needs = if job.needs.is_empty() { String::new() } else { format!(" after {}", job.needs.join(", ")) };
        out.push_str(&format!("\n{}{}\n", plain(&job.key), plain(&needs)));
        if let Some(decision) = plan.decisions.iter().find(|d| d.job == job.key) {
            out.push_str(&format!("  in: {}\n", plain(&decision.because)));
        }
        for (index, step) in job.steps.iter().enumerate() {
            out.push_str(&format!("  {:>2}. {}\n", index + 1, plain(&step.title())));
        }
    }
    for decision in plan.decisions.iter().filter(|d| !d.included) {
        out.push_str(&format!("\n{}\n  out: {}\n", plain(&decision.job), plain(&decision.because)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_judged() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let good = write("good.yml", "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: true\n");
        let bad = write("bad.yml", "on: push\njobs: 3\n");
        assert!(lint(std::slice::from_ref(&good), None, Format::Human).is_ok());
        assert_eq!(lint(&[good.clone(), bad], None, Format::Json).unwrap_err().exit_code(), 1);
        assert_eq!(compile(&folder.path().join("none.yml"), None).unwrap_err().exit_code(), 2);
        assert!(describe(&compile(&good, None).unwrap().plan.unwrap()).contains("   1. "));
    }

    #[test]
    fn the_templates_compile_without_a_word() {
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
        let mut seen = 0;
        for template in fs::read_dir(templates).unwrap() {
            let file = template.unwrap().path().join("files").join(github::DIRECTORY).join("ci.yml");
            let compiled = compile(&file, None).unwrap();
            assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
            seen += 1;
        }
        assert_eq!(seen, 5);
    }
}
