//! `pipeline lint|plan`: the compiler of pipeline files, without a server.

use std::fs;
use std::path::{Path, PathBuf};

use dialects::github::{self, Compiled};
use dialects::{Plan, Severity};
use serde_json::{Value, json};

use crate::args::Pipeline;
use crate::failure::{Failure, Result};
use crate::output::{Format, line, plain};

/// Larger files are no pipelines.
const MAX_FILE: u64 = 1 << 20;

pub(super) fn run(command: Pipeline, json: bool) -> Result {
    let format = if json { Format::Json } else { Format::Human };
    match command {
        Pipeline::Lint { files } => lint(&if files.is_empty() { workflows_here()? } else { files }, format),
        Pipeline::Plan { file } => {
            let compiled = compile(&file)?;
            report(&compiled);
            let plan = compiled.plan.ok_or_else(|| Failure::Failed("the file has errors".to_owned()))?;
            format.show(&serde_json::to_value(&plan)?, |_| describe(&plan))
        }
    }
}

/// Every workflow below the repository that the current directory is in.
fn workflows_here() -> Result<Vec<PathBuf>> {
    let here = std::env::current_dir()?;
    let folder = here.ancestors().map(|a| a.join(github::DIRECTORY)).find(|f| f.is_dir());
    let folder = folder.ok_or_else(|| Failure::Usage(format!("there is no {} here; name the files", github::DIRECTORY)))?;
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yml" || e == "yaml"))
        .collect();
    files.sort();
    Ok(files)
}

fn compile(path: &Path) -> Result<Compiled> {
    let told = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Failure::NotFound(format!("{}: there is no such file", path.display())),
        _ => Failure::Failed(format!("{}: {e}", path.display())),
    };
    if fs::metadata(path).map_err(told)?.len() > MAX_FILE {
        return Err(Failure::Usage(format!("{} is larger than {MAX_FILE} bytes", path.display())));
    }
    let bytes = fs::read(path).map_err(told)?;
    Ok(github::compile(&path.to_string_lossy(), &bytes))
}

fn lint(files: &[PathBuf], format: Format) -> Result {
    let mut all: Vec<Value> = Vec::new();
    let mut errors = 0;
    for file in files {
        let compiled = compile(file)?;
        errors += compiled.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        if format == Format::Human {
            report(&compiled);
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

fn report(compiled: &Compiled) {
    for diagnostic in &compiled.diagnostics {
        eprintln!("{}", plain(&diagnostic.to_string()));
    }
}

/// The jobs of a plan and their steps, in the order of the file.
fn describe(plan: &Plan) -> String {
    let mut out = format!("{} ({})\n", plain(&plan.name), plain(&plan.source));
    for job in &plan.jobs {
        let needs = if job.needs.is_empty() { String::new() } else { format!(" after {}", job.needs.join(", ")) };
        out.push_str(&format!("\n{}{}\n", plain(&job.key), plain(&needs)));
        for (index, step) in job.steps.iter().enumerate() {
            out.push_str(&format!("  {:>2}. {}\n", index + 1, plain(&step.title())));
        }
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
        assert!(lint(std::slice::from_ref(&good), Format::Human).is_ok());
        assert_eq!(lint(&[good.clone(), bad], Format::Json).unwrap_err().exit_code(), 1);
        assert_eq!(compile(&folder.path().join("none.yml")).unwrap_err().exit_code(), 4);
        assert!(describe(&compile(&good).unwrap().plan.unwrap()).contains("   1. "));
    }

    #[test]
    fn the_templates_compile_without_a_word() {
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
        let mut seen = 0;
        for template in fs::read_dir(templates).unwrap() {
            let file = template.unwrap().path().join("files").join(github::DIRECTORY).join("ci.yml");
            let compiled = compile(&file).unwrap();
            assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
            seen += 1;
        }
        assert_eq!(seen, 5);
    }
}
