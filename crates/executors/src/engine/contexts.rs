//! The contexts of a job as its steps see them, and the environment of its programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dialects::expr::{self, ExprError, Status};
use dialects::plan::{Late, Map as TextMap};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::protocol::{Conclusion, JobSpec};
use crate::sandbox::{JobDirs, open_beneath};

/// Most files one `hashFiles` reads.
const HASH_FILES_MAX: usize = 50_000;

/// What a step wrote and how it ended, for the `steps` context.
pub(crate) struct StepRecord<'a> {
    pub(crate) id: &'a str,
    pub(crate) outputs: &'a IndexMap<String, String>,
    pub(crate) outcome: Conclusion,
    pub(crate) conclusion: Conclusion,
}

/// What steps wrote for those after them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Written {
    /// To `GITHUB_ENV`, in order.
    env: Vec<(String, String)>,
    /// To `GITHUB_PATH`, the last one first.
    path: Vec<String>,
    /// The `steps` context.
    steps: Value,
}

/// Values for expressions and programs.
pub(crate) struct Contexts {
    roots: Value,
    /// Workflow and job environment, and what steps wrote to `GITHUB_ENV`.
    env: IndexMap<String, String>,
    /// What steps wrote to `GITHUB_PATH`, last one first.
    path: Vec<String>,
    workspace: PathBuf,
    /// What steps wrote to `GITHUB_ENV`; inside an action, what its own steps wrote.
    written: Vec<(String, String)>,
}

impl Contexts {
    /// The contexts of a job before its first step.
    pub(crate) fn new(spec: &JobSpec, dirs: &JobDirs, runner_name: &str, event_path: &Path) -> Result<Self, ExprError> {
        let mut roots = spec.contexts.clone();
        let text = |path: &Path| Value::from(path.to_string_lossy().into_owned());
        let github = object(&mut roots, "github");
        github.insert("token".into(), spec.job_token.clone().into());
        github.insert("workspace".into(), text(&dirs.workspace));
        github.insert("event_path".into(), text(event_path));
        github.insert("job".into(), spec.job.key.clone().into());
        for (key, value) in [
            ("server_url", Value::from(spec.api_url.clone())),
            ("api_url", spec.api_url.clone().into()),
            ("repository", spec.project.path.clone().into()),
            ("sha", spec.checkout.sha.clone().into()),
            ("ref", spec.checkout.r#ref.clone().into()),
            ("run_id", spec.run_id.to_string().into()),
            ("run_attempt", spec.attempt.to_string().into()),
        ] {
            github.entry(key).or_insert(value);
        }
        let mut secrets: Map<String, Value> = spec.secrets.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        secrets.insert("GITHUB_TOKEN".into(), spec.job_token.clone().into());
        roots.insert("secrets".into(), secrets.into());
        let arch = match std::env::consts::ARCH {
            "x86_64" => "X64",
            "aarch64" => "ARM64",
            other => other,
        };
        let runner = json!({
            "os": "Linux", "arch": arch, "name": runner_name, "environment": "self-hosted",
            "temp": text(&dirs.temp), "tool_cache": text(&dirs.tools), "workspace": text(&dirs.workspace),
        });
        roots.insert("runner".into(), runner);
        roots.insert("job".into(), json!({ "id": spec.job_id.to_string(), "status": "success", "services": {}, "container": {} }));
        roots.insert("steps".into(), json!({}));
        roots.insert("env".into(), json!({}));

        let mut contexts =
            Self { roots: roots.into(), env: IndexMap::new(), path: Vec::new(), workspace: dirs.workspace.clone(), written: Vec::new() };
        for level in [&spec.workflow_env, &spec.job.env] {
            let values =
                level.iter().map(|(name, value)| Ok((name.clone(), contexts.text(value)?))).collect::<Result<Vec<_>, ExprError>>()?;
            contexts.env.extend(values);
            contexts.show_env();
        }
        Ok(contexts)
    }

    fn show_env(&mut self) {
        let env: Map<String, Value> = self.env.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        self.roots["env"] = env.into();
    }

    /// `job.status`.
    pub(crate) fn set_status(&mut self, status: Conclusion) {
        self.roots["job"]["status"] = status.as_str().into();
    }

    /// `job.container`.
    pub(crate) fn set_container(&mut self, container: Value) {
        self.roots["job"]["container"] = container;
    }

    /// `job.services`.
    pub(crate) fn set_services(&mut self, services: Value) {
        self.roots["job"]["services"] = services;
    }

    /// `steps.<id>`.
    pub(crate) fn record(&mut self, record: &StepRecord<'_>) {
        // nobody can mean an id that nobody wrote
        if record.id.starts_with("__") {
            return;
        }
        let outputs: Map<String, Value> = record.outputs.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        self.roots["steps"][record.id] =
            json!({ "outputs": outputs, "outcome": record.outcome.as_str(), "conclusion": record.conclusion.as_str() });
    }

    /// `github.action`.
    pub(crate) fn set_action(&mut self, action: &str) {
        self.roots["github"]["action"] = action.into();
    }

    /// What a step wrote to `GITHUB_ENV`.
    pub(crate) fn extend_env(&mut self, pairs: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in pairs {
            self.written.push((name.clone(), value.clone()));
            self.env.insert(name, value);
        }
        self.show_env();
    }

    /// What the steps so far wrote for those after them.
    pub(crate) fn written(&self) -> Written {
        Written { env: self.written.clone(), path: self.path.clone(), steps: self.roots["steps"].clone() }
    }

    /// As if the steps had been run that wrote this.
    pub(crate) fn restore(&mut self, written: &Written) {
        self.extend_env(written.env.iter().cloned());
        self.path.clone_from(&written.path);
        self.roots["steps"] = written.steps.clone();
    }

    /// The contexts of the steps of an action. `self` holds the environment of the step that uses it.
    pub(crate) fn of_action(&self, inputs: &IndexMap<String, String>) -> Self {
        let mut inner = self.copy();
        inner.roots["inputs"] = json!(inputs);
        inner.roots["steps"] = json!({});
        if let Value::Object(roots) = &mut inner.roots {
            for hidden in ["secrets", "needs", "vars"] {
                roots.remove(hidden);
            }
        }
        inner
    }

    /// Takes over what the steps of an action changed for the job.
    pub(crate) fn take_back(&mut self, mut inner: Self) {
        self.extend_env(std::mem::take(&mut inner.written));
        self.path = inner.path;
    }

    fn copy(&self) -> Self {
        Self {
            roots: self.roots.clone(),
            env: self.env.clone(),
            path: self.path.clone(),
            workspace: self.workspace.clone(),
            written: Vec::new(),
        }
    }

    /// `github.action_path`, inside an action.
    pub(crate) fn set_action_path(&mut self, path: &Path) {
        self.roots["github"]["action_path"] = path.to_string_lossy().into_owned().into();
    }

    /// The address of the server.
    pub(crate) fn server(&self) -> &str {
        self.roots["github"]["server_url"].as_str().unwrap_or_default()
    }

    /// What a step wrote to `GITHUB_PATH`.
    pub(crate) fn extend_path(&mut self, paths: impl IntoIterator<Item = String>) {
        for path in paths {
            self.path.retain(|known| *known != path);
            self.path.insert(0, path);
        }
    }

    /// With the environment of a step in the `env` context.
    pub(crate) fn with_step_env(&self, env: &TextMap) -> Result<(Self, IndexMap<String, String>), ExprError> {
        let own = env.iter().map(|(k, v)| Ok((k.clone(), self.text(v)?))).collect::<Result<IndexMap<_, _>, ExprError>>()?;
        let mut inner = self.copy();
        inner.env.extend(own.clone());
        inner.show_env();
        Ok((inner, own))
    }

    /// Replaces the expressions of a text.
    pub(crate) fn text(&self, text: &str) -> Result<String, ExprError> {
        let hash = |patterns: &[String]| hash_files(&self.workspace, patterns);
        expr::interpolate(text, &expr::Context::new(&self.roots).with_hash_files(&hash))
    }

    /// Decides an `if`.
    pub(crate) fn condition(&self, condition: Option<&str>, status: Conclusion) -> Result<bool, ExprError> {
        let status = match status {
            Conclusion::Failure => Status::FAILURE,
            Conclusion::Cancelled => Status::CANCELLED,
            Conclusion::Success | Conclusion::Skipped => Status::SUCCESS,
        };
        let hash = |patterns: &[String]| hash_files(&self.workspace, patterns);
        expr::eval_condition(condition, &expr::Context::new(&self.roots).with_hash_files(&hash), status)
    }

    fn late(&self, text: &str) -> Result<Value, ExprError> {
        expr::evaluate_template(text, &expr::Context::new(&self.roots))
    }

    /// A yes or no that may be an expression.
    pub(crate) fn flag(&self, late: &Late<bool>) -> Result<bool, ExprError> {
        let text = match late {
            Late::Known(value) => return Ok(*value),
            Late::Expr(text) => text,
        };
        match self.late(text)? {
            Value::Bool(value) => Ok(value),
            Value::Null => Ok(false),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.is_empty() || text.eq_ignore_ascii_case("false") => Ok(false),
            other => Err(ExprError(format!("expected true or false, got {other}"))),
        }
    }

    /// A number that may be an expression.
    pub(crate) fn number(&self, late: &Late<f64>) -> Result<f64, ExprError> {
        let text = match late {
            Late::Known(value) => return Ok(*value),
            Late::Expr(text) => text,
        };
        let value = self.late(text)?;
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|n| n.is_finite()).ok_or_else(|| ExprError(format!("expected a number, got {value}")))
    }

    /// The environment of a program: the place's, the workflow's and job's, `own`, and ours, which cannot be replaced.
    pub(crate) fn process_env(&self, base: BTreeMap<String, String>, own: &IndexMap<String, String>) -> BTreeMap<String, String> {
        let mut env = base;
        env.extend(self.env.iter().map(|(k, v)| (k.clone(), v.clone())));
        env.extend(own.iter().map(|(k, v)| (k.clone(), v.clone())));
        if !self.path.is_empty() {
            let path = env.get("PATH").cloned().unwrap_or_default();
            env.insert("PATH".into(), self.path.iter().map(String::as_str).chain([path.as_str()]).collect::<Vec<_>>().join(":"));
        }
        env.entry("CI".into()).or_insert_with(|| "true".into());
        // tools look for this to know whose log they write to
        if !env.contains_key("GITLAB_CI") {
            env.insert("GITHUB_ACTIONS".into(), "true".into());
        }
        env.insert("DEVMENTOR_CI".into(), "true".into());
        for (prefix, root) in [("GITHUB", "github"), ("RUNNER", "runner")] {
            for (key, value) in self.roots[root].as_object().into_iter().flatten() {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Bool(value) => value.to_string(),
                    _ => continue,
                };
                // the token is for those who ask for it
                if key != "token" {
                    env.insert(format!("{prefix}_{}", key.to_ascii_uppercase()), value);
                }
            }
        }
        env
    }
}

fn object<'m>(map: &'m mut Map<String, Value>, key: &str) -> &'m mut Map<String, Value> {
    let slot = map.entry(key).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    match slot {
        Value::Object(object) => object,
        _ => unreachable!("just made an object"),
    }
}

/// SHA-256 over the SHA-256 of every matching file of the workspace, in the order of their paths.
fn hash_files(workspace: &Path, patterns: &[String]) -> Result<String, String> {
    let mut wanted = globset::GlobSetBuilder::new();
    let mut unwanted = globset::GlobSetBuilder::new();
    for pattern in patterns.iter().flat_map(|p| p.split('\n')).map(str::trim).filter(|p| !p.is_empty() && !p.starts_with('#')) {
        let (set, pattern) = match pattern.strip_prefix('!') {
            Some(rest) => (&mut unwanted, rest),
            None => (&mut wanted, pattern),
        };
        let workspace = workspace.to_string_lossy();
        let pattern = pattern.strip_prefix(&*workspace).map_or(pattern, |p| p.trim_start_matches('/'));
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build().map_err(|e| e.to_string())?;
        set.add(glob);
    }
    let (wanted, unwanted) = (wanted.build().map_err(|e| e.to_string())?, unwanted.build().map_err(|e| e.to_string())?);
    let mut whole = Sha256::new();
    let mut count = 0;
    for entry in walkdir::WalkDir::new(workspace).follow_links(false).sort_by_file_name().into_iter().flatten() {
        let Ok(path) = entry.path().strip_prefix(workspace) else { continue };
        if entry.file_type().is_dir() || !wanted.is_match(path) || unwanted.is_match(path) {
            continue;
        }
        let Ok(mut file) = open_beneath(workspace, path, true) else { continue };
        count += 1;
        if count > HASH_FILES_MAX {
            return Err(format!("hashFiles matches more than {HASH_FILES_MAX} files"));
        }
        let mut one = Sha256::new();
        let mut buffer = vec![0u8; 64 * 1024];
        loop {
            match std::io::Read::read(&mut file, &mut buffer) {
                Ok(0) => break,
                Ok(n) => one.update(&buffer[..n]),
                Err(e) => return Err(format!("{}: {e}", path.display())),
            }
        }
        whole.update(one.finalize());
    }
    Ok(if count == 0 { String::new() } else { hex::encode(whole.finalize()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/x.lock"), "1").unwrap();
        std::fs::write(dir.path().join("y.lock"), "2").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("z.lock")).unwrap();
        let hash = |patterns: &[&str]| hash_files(dir.path(), &patterns.iter().map(|&p| p.to_owned()).collect::<Vec<_>>()).unwrap();
        let digest = |text: &str| Sha256::digest(text);
        let both = hex::encode(Sha256::digest([digest("1"), digest("2")].concat()));
        assert_eq!(hash(&["**/*.lock"]), both);
        assert_eq!(hash(&["**/*.lock", "!a/**"]), hex::encode(Sha256::digest(digest("2"))));
        assert_eq!(hash(&["none"]), "");
    }
}
