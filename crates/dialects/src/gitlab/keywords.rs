//! The keys of a job that have a shape of their own.

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostics, Span};
use crate::plan::{EnvironmentAction, Retry};
use crate::yaml::{Node, Value};

use super::read::{self, VarDef, flag, mapping, number, text, texts};

/// Most caches of a job.
const MAX_CACHES: usize = 4;
/// Most combinations of a matrix, and most parallel jobs.
const MAX_PARALLEL: u32 = 200;
/// Most jobs that one needs.
const MAX_NEEDS: usize = 50;

/// `image`, or one of `services`.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) span: Option<Span>,
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) variables: Vec<(String, VarDef)>,
}

pub(super) fn image(node: &Node, service: bool, out: &mut Diagnostics) -> Option<Image> {
    let what = if service { "services" } else { "image" };
    let mut image = Image { span: Some(node.span.clone()), ..Image::default() };
    let Value::Map(entries) = &node.value else {
        image.name = text(node, what, out)?;
        return Some(image);
    };
    for (key, value) in entries {
        match key.name.as_str() {
            "name" => image.name = text(value, "name", out)?,
            "entrypoint" => image.entrypoint = texts(value, "entrypoint", out),
            "alias" if service => {
                image.aliases = text(value, "alias", out)?.split([' ', ',']).filter(|a| !a.is_empty()).map(str::to_owned).collect();
            }
            "command" if service => image.command = texts(value, "command", out),
            "variables" if service => image.variables = read::variables(value, out),
            "pull_policy" => out.warning(
                &key.span,
                "unsupported_key",
                "`pull_policy` has no effect: a tag that is on the machine is used, `latest` is asked for again",
            ),
            "kubernetes" => {
                out.warning(&key.span, "unsupported_key", "`kubernetes` has no effect: a job runs in a container of its runner");
            }
            "docker" => {
                for (key, value) in mapping(value, "docker", out) {
                    match key.name.as_str() {
                        "user" => image.user = text(value, "user", out),
                        other => out.warning(
                            &key.span,
                            "unsupported_key",
                            format!("`docker:{other}` has no effect; images of the machine's own platform are used"),
                        ),
                    }
                }
            }
            other => out.error(&key.span, "unknown_key", format!("`{what}` has no key `{other}`")),
        }
    }
    if !service && image.entrypoint.iter().any(|e| !e.is_empty()) {
        out.warning(&node.span, "image_entrypoint", "the entry point of a job's image is not run; the script is run by the image's shell");
    }
    if image.name.is_empty() {
        out.error(&node.span, "missing_key", format!("`{what}` needs `name`"));
        return None;
    }
    Some(image)
}

pub(super) fn services(node: &Node, out: &mut Diagnostics) -> Vec<Image> {
    match &node.value {
        Value::Seq(items) => items.iter().filter_map(|n| image(n, true, out)).collect(),
        Value::Null => Vec::new(),
        _ => image(node, true, out).into_iter().collect(),
    }
}

/// `cache`.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    pub(super) key: CacheKey,
    pub(super) paths: Vec<String>,
    pub(super) policy: String,
    pub(super) when: String,
    pub(super) fallback_keys: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum CacheKey {
    Text(String),
    Files { files: Vec<String>, prefix: Option<String> },
}

pub(super) fn caches(node: &Node, out: &mut Diagnostics) -> Vec<Cache> {
    let nodes: Vec<&Node> = match &node.value {
        Value::Seq(items) => items.iter().collect(),
        _ => vec![node],
    };
    if nodes.len() > MAX_CACHES {
        out.error(&node.span, "too_many_caches", format!("a job has at most {MAX_CACHES} caches"));
    }
    nodes.into_iter().take(MAX_CACHES).filter_map(|n| cache(n, out)).collect()
}

fn cache(node: &Node, out: &mut Diagnostics) -> Option<Cache> {
    let mut cache = Cache {
        key: CacheKey::Text("default".into()),
        paths: Vec::new(),
        policy: "pull-push".into(),
        when: "on_success".into(),
        fallback_keys: Vec::new(),
    };
    for (key, value) in mapping(node, "cache", out) {
        match key.name.as_str() {
            "key" => cache.key = cache_key(value, out)?,
            "paths" => cache.paths = texts(value, "paths", out),
            "policy" => cache.policy = text(value, "policy", out)?,
            "when" => match text(value, "when", out)?.as_str() {
                when @ ("on_success" | "on_failure" | "always") => cache.when = when.into(),
                other => {
                    out.error(&value.span, "bad_value", format!("`cache:when` must be on_success, on_failure or always, not `{other}`"));
                }
            },
            "fallback_keys" => {
                cache.fallback_keys = texts(value, "fallback_keys", out);
                if cache.fallback_keys.len() > 5 {
                    out.error(&value.span, "bad_value", "at most 5 `fallback_keys`");
                }
            }
            "untracked" => {
                if flag(value, "untracked", out)? {
                    out.error(&key.span, "unsupported_key", "`cache:untracked` is not supported; name the files with `paths`");
                }
            }
            "unprotect" => out.warning(&key.span, "unsupported_key", "`unprotect` has no effect: caches are kept apart by branch"),
            other => out.error(&key.span, "unknown_key", format!("`cache` has no key `{other}`")),
        }
    }
    (!cache.paths.is_empty()).then_some(cache)
}

fn cache_key(node: &Node, out: &mut Diagnostics) -> Option<CacheKey> {
    if !matches!(node.value, Value::Map(_)) {
        return text(node, "key", out).map(CacheKey::Text);
    }
    let (mut files, mut prefix) = (Vec::new(), None);
    for (key, value) in mapping(node, "key", out) {
        match key.name.as_str() {
            "files" => files = texts(value, "files", out),
            "prefix" => prefix = text(value, "prefix", out),
            "files_commits" => {
                files = texts(value, "files_commits", out);
                out.warning(
                    &key.span,
                    "cache_key",
                    "`files_commits`: the key is made from the content of the files, not from their last commits",
                );
            }
            other => out.error(&key.span, "unknown_key", format!("`cache:key` has no key `{other}`")),
        }
    }
    if files.is_empty() || files.len() > 2 {
        out.error(&node.span, "bad_value", "`cache:key:files` takes one or two files");
        return None;
    }
    Some(CacheKey::Files { files, prefix })
}

/// `artifacts`.
#[derive(Clone, Debug)]
pub(super) struct Artifacts {
    pub(super) paths: Vec<String>,
    pub(super) exclude: Vec<String>,
    pub(super) when: String,
    pub(super) junit: Vec<String>,
    pub(super) cobertura: Vec<String>,
    pub(super) jacoco: Vec<String>,
    pub(super) dotenv: Vec<String>,
    pub(super) codequality: Vec<String>,
    /// A name under which they are shown with the run.
    pub(super) expose_as: Option<String>,
    /// Reports that are kept as files.
    pub(super) kept: Vec<String>,
    /// How long it is all kept, within what the service allows.
    pub(super) keep_seconds: Option<u64>,
}

/// Longer than any service keeps an artifact, in seconds.
const CENTURY: u64 = 36_525 * 86_400;

pub(super) fn artifacts(node: &Node, out: &mut Diagnostics) -> Option<Artifacts> {
    let mut a = Artifacts {
        paths: Vec::new(),
        exclude: Vec::new(),
        when: "on_success".into(),
        junit: Vec::new(),
        cobertura: Vec::new(),
        jacoco: Vec::new(),
        dotenv: Vec::new(),
        codequality: Vec::new(),
        expose_as: None,
        kept: Vec::new(),
        keep_seconds: None,
    };
    for (key, value) in mapping(node, "artifacts", out) {
        match key.name.as_str() {
            "paths" => a.paths = texts(value, "paths", out),
            "exclude" => a.exclude = texts(value, "exclude", out),
            "when" => match text(value, "when", out)?.as_str() {
                when @ ("on_success" | "on_failure" | "always") => a.when = when.into(),
                other => {
                    out.error(
                        &value.span,
                        "bad_value",
                        format!("`artifacts:when` must be on_success, on_failure or always, not `{other}`"),
                    );
                }
            },
            "expire_in" => {
                if text(value, "expire_in", out)? == "never" {
                    a.keep_seconds = Some(CENTURY);
                    out.warning(&key.span, "expire_in", "`never`: it is kept for as long as this service keeps any artifact");
                } else {
                    a.keep_seconds = read::duration(value, "expire_in", out);
                }
            }
            "name" => {
                text(value, "name", out);
                out.warning(&key.span, "artifact_name", "an artifact has the name of its job here; `artifacts:name` is not applied");
            }
            "expose_as" => a.expose_as = exposed(value, out),
            "public" | "access" => out.warning(
                &key.span,
                "unsupported_key",
                format!("`artifacts:{}` has no effect: who may read the pipeline may read its artifacts", key.name),
            ),
            "untracked" => {
                if flag(value, "untracked", out)? {
                    out.error(&key.span, "unsupported_key", "`artifacts:untracked` is not supported; name the files with `paths`");
                }
            }
            "reports" => reports(value, &mut a, out),
            other => out.error(&key.span, "unknown_key", format!("`artifacts` has no key `{other}`")),
        }
    }
    if a.expose_as.is_some() {
        if a.paths.is_empty() {
            out.error(&node.span, "bad_combination", "artifacts paths can't be blank when used with `expose_as`");
        } else if a.paths.iter().any(|p| p.contains('*')) {
            out.error(&node.span, "bad_combination", "artifacts paths can't contain '*' when used with `expose_as`");
        }
    }
    Some(a)
}

/// Longest text of `expose_as`.
const MAX_EXPOSED: usize = 100;

fn exposed(node: &Node, out: &mut Diagnostics) -> Option<String> {
    let text = text(node, "expose_as", out)?;
    let plain = text.chars().all(|c| c.is_alphanumeric() || "_- ".contains(c));
    if text.trim().is_empty() || text.chars().count() > MAX_EXPOSED {
        out.error(&node.span, "bad_value", format!("artifacts expose as has 1 to {MAX_EXPOSED} characters"));
    } else if !plain {
        out.error(&node.span, "bad_value", "artifacts expose as can contain only letters, digits, '-', '_' and spaces");
    }
    Some(text)
}

fn reports(node: &Node, a: &mut Artifacts, out: &mut Diagnostics) {
    for (key, value) in mapping(node, "reports", out) {
        match key.name.as_str() {
            "junit" => a.junit = texts(value, "junit", out),
            "codequality" => a.codequality = texts(value, "codequality", out),
            "dotenv" => a.dotenv = texts(value, "dotenv", out),
            "coverage_report" => {
                let format = value.get("coverage_format").and_then(Node::scalar_text).unwrap_or_default();
                let path = value.get("path").and_then(Node::scalar_text);
                match (format.as_str(), path) {
                    ("cobertura", Some(path)) => a.cobertura.push(path),
                    ("jacoco", Some(path)) => a.jacoco.push(path),
                    (_, None) => out.error(&value.span, "missing_key", "`coverage_report` needs `coverage_format` and `path`"),
                    (other, Some(path)) => {
                        out.warning(
                            &value.span,
                            "unsupported_report",
                            format!(
                                "the coverage format `{other}` is not read, only cobertura and jacoco; the file is kept as an artifact"
                            ),
                        );
                        a.kept.push(path);
                    }
                }
            }
            "accessibility"
            | "annotations"
            | "api_fuzzing"
            | "browser_performance"
            | "container_scanning"
            | "coverage_fuzzing"
            | "cyclonedx"
            | "dast"
            | "dependency_scanning"
            | "license_management"
            | "license_scanning"
            | "load_performance"
            | "lsif"
            | "metrics"
            | "performance"
            | "requirements"
            | "repository_xray"
            | "sarif"
            | "sast"
            | "secret_detection"
            | "terraform" => {
                out.warning(
                    &key.span,
                    "unsupported_report",
                    format!("`reports:{}` is not read here; the file is kept as an artifact", key.name),
                );
                a.kept.extend(texts(value, &key.name, out));
            }
            other => out.error(&key.span, "unknown_key", format!("`reports` has no key `{other}`")),
        }
    }
}

pub(super) fn retry(node: &Node, out: &mut Diagnostics) -> Option<Retry> {
    if !matches!(node.value, Value::Map(_)) {
        let max = number(node, "retry", 0, 2, out)?;
        return Some(Retry { max: u8::try_from(max).unwrap_or(0), ..Retry::default() });
    }
    let mut retry = Retry::default();
    for (key, value) in mapping(node, "retry", out) {
        match key.name.as_str() {
            "max" => retry.max = u8::try_from(number(value, "max", 0, 2, out)?).unwrap_or(0),
            "exit_codes" => retry.exit_codes = read::exit_codes(value, out),
            "when" => {
                for kind in texts(value, "when", out) {
                    match kind.as_str() {
                        "always" => {}
                        "script_failure" | "runner_system_failure" | "job_execution_timeout" => retry.when.push(kind),
                        "stuck_or_timeout_failure" => retry.when.push("job_execution_timeout".into()),
                        "unknown_failure"
                        | "api_failure"
                        | "runner_unsupported"
                        | "stale_schedule"
                        | "archived_failure"
                        | "unmet_prerequisites"
                        | "scheduler_failure"
                        | "data_integrity_failure" => {
                            // these do not happen here; a name that never matches keeps an only entry from meaning any
                            retry.when.push(kind);
                        }
                        other => out.error(&value.span, "bad_value", format!("`retry:when` does not know `{other}`")),
                    }
                }
                let always = texts(value, "when", &mut Diagnostics::default()).iter().any(|k| k == "always");
                if always {
                    retry.when.clear();
                }
            }
            other => out.error(&key.span, "unknown_key", format!("`retry` has no key `{other}`")),
        }
    }
    Some(retry)
}

/// `environment`.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    pub(super) name: String,
    pub(super) span: Option<Span>,
    pub(super) url: Option<String>,
    pub(super) action: EnvironmentAction,
    pub(super) tier: Option<String>,
    /// Name of the job that stops it.
    pub(super) on_stop: Option<String>,
    /// A time, or a text with variables that gives one.
    pub(super) auto_stop_in: Option<String>,
}

/// What environments are for.
pub(super) const TIERS: &[&str] = &["production", "staging", "testing", "development", "other"];

pub(super) fn environment(node: &Node, out: &mut Diagnostics) -> Option<Environment> {
    let mut e = Environment { span: Some(node.span.clone()), ..Environment::default() };
    let Value::Map(entries) = &node.value else {
        e.name = text(node, "environment", out)?;
        return Some(e);
    };
    for (key, value) in entries {
        match key.name.as_str() {
            "name" => e.name = text(value, "name", out)?,
            "url" => e.url = text(value, "url", out),
            "action" => {
                let word = text(value, "action", out)?;
                match EnvironmentAction::parse(&word) {
                    Some(action) => e.action = action,
                    None => out.error(&value.span, "bad_value", "environment action should be start, stop, prepare, verify, or access"),
                }
            }
            "deployment_tier" => {
                let word = text(value, "deployment_tier", out)?;
                if !word.contains('$') && !TIERS.contains(&word.as_str()) {
                    out.error(&value.span, "bad_value", format!("environment deployment tier must be one of {}", TIERS.join(", ")));
                }
                e.tier = Some(word);
            }
            "on_stop" => e.on_stop = text(value, "on_stop", out),
            "auto_stop_in" => {
                let word = text(value, "auto_stop_in", out)?;
                if !word.contains('$') && read::parse_stop(&word).is_none() {
                    out.error(&value.span, "bad_duration", "environment auto stop in should be a duration");
                }
                e.auto_stop_in = Some(word);
            }
            "kubernetes" => out.error(&key.span, "unsupported_key", "`environment:kubernetes` is not supported"),
            other => out.error(&key.span, "unknown_key", format!("`environment` has no key `{other}`")),
        }
    }
    if e.name.is_empty() {
        out.error(&node.span, "missing_key", "`environment` needs `name`");
        return None;
    }
    Some(e)
}

/// One of `needs`.
#[derive(Clone, Debug)]
pub(super) struct Need {
    pub(super) span: Span,
    pub(super) job: String,
    pub(super) artifacts: bool,
    pub(super) optional: bool,
    /// Only the jobs with these values of the matrix.
    pub(super) matrix: Vec<IndexMap<String, Vec<String>>>,
}

pub(super) fn needs(node: &Node, out: &mut Diagnostics) -> Vec<Need> {
    let nodes: Vec<&Node> = match &node.value {
        Value::Seq(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        _ => vec![node],
    };
    if nodes.len() > MAX_NEEDS {
        out.error(&node.span, "too_many_needs", format!("a job needs at most {MAX_NEEDS} others"));
    }
    nodes.into_iter().take(MAX_NEEDS).filter_map(|n| need(n, out)).collect()
}

fn need(node: &Node, out: &mut Diagnostics) -> Option<Need> {
    let mut need = Need { span: node.span.clone(), job: String::new(), artifacts: true, optional: false, matrix: Vec::new() };
    let Value::Map(entries) = &node.value else {
        need.job = text(node, "needs", out)?;
        return Some(need);
    };
    for (key, value) in entries {
        match key.name.as_str() {
            "job" => need.job = text(value, "job", out)?,
            "artifacts" => need.artifacts = flag(value, "artifacts", out)?,
            "optional" => need.optional = flag(value, "optional", out)?,
            "parallel" => need.matrix = value.get("matrix").map(|m| matrix_rows(m, out)).unwrap_or_default(),
            "project" | "pipeline" => {
                out.error(
                    &key.span,
                    "unsupported_key",
                    format!("`needs:{}` is not supported: artifacts of other projects and pipelines cannot be fetched", key.name),
                );
                return None;
            }
            "ref" => {}
            other => out.error(&key.span, "unknown_key", format!("`needs` has no key `{other}`")),
        }
    }
    if need.job.is_empty() {
        out.error(&node.span, "missing_key", "an entry of `needs` needs `job`");
        return None;
    }
    Some(need)
}

fn matrix_rows(node: &Node, out: &mut Diagnostics) -> Vec<IndexMap<String, Vec<String>>> {
    let mut rows = Vec::new();
    if let Value::Seq(items) = &node.value {
        for item in items {
            rows.push(mapping(item, "matrix", out).iter().map(|(k, v)| (k.name.clone(), texts(v, &k.name, out))).collect());
        }
    } else {
        out.error(&node.span, "wrong_type", "`matrix` must be a list of mappings");
    }
    rows
}

/// `parallel`.
#[derive(Clone, Debug)]
pub(super) enum Parallel {
    Count(u32),
    /// The values of each job, in order.
    Matrix(Vec<IndexMap<String, String>>),
}

pub(super) fn parallel(node: &Node, out: &mut Diagnostics) -> Option<Parallel> {
    let Some(matrix) = node.get("matrix") else {
        return number(node, "parallel", 1, MAX_PARALLEL, out).map(Parallel::Count);
    };
    let mut cells: Vec<IndexMap<String, String>> = Vec::new();
    for row in matrix_rows(matrix, out) {
        let mut product: Vec<IndexMap<String, String>> = vec![IndexMap::new()];
        for (name, values) in row {
            if !read::is_name(&name) {
                out.error(&matrix.span, "bad_name", format!("`{name}` cannot be the name of a variable"));
                return None;
            }
            let mut next = Vec::new();
            for cell in &product {
                for value in &values {
                    if cells.len() + next.len() > MAX_PARALLEL as usize {
                        out.error(&matrix.span, "matrix_too_large", format!("the matrix makes more than {MAX_PARALLEL} jobs"));
                        return None;
                    }
                    let mut cell = cell.clone();
                    cell.insert(name.clone(), value.clone());
                    next.push(cell);
                }
            }
            product = next;
        }
        cells.extend(product);
    }
    if cells.is_empty() || cells.len() > MAX_PARALLEL as usize {
        out.error(&matrix.span, "matrix_too_large", format!("a matrix makes 1 to {MAX_PARALLEL} jobs, this one {}", cells.len()));
        return None;
    }
    Some(Parallel::Matrix(cells))
}

/// `id_tokens`: variables that hold a token for somebody.
pub(super) fn id_tokens(node: &Node, out: &mut Diagnostics) -> Vec<(String, Vec<String>)> {
    let mut tokens = Vec::new();
    for (name, token) in mapping(node, "id_tokens", out) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !name.name.bytes().all(plain) || name.name.starts_with(|c: char| c.is_ascii_digit()) {
            out.error(&name.span, "bad_name", format!("`{}` is not the name of a variable", name.name));
            continue;
        }
        let mut audiences = Vec::new();
        for (key, value) in mapping(token, "id_tokens", out) {
            match key.name.as_str() {
                "aud" => audiences = texts(value, "aud", out),
                other => out.error(&key.span, "unknown_key", format!("an id token has no key `{other}`, only `aud`")),
            }
        }
        if audiences.is_empty() {
            out.error(&name.span, "missing_key", format!("the id token `{}` needs `aud`: whom it is for", name.name));
        } else {
            tokens.push((name.name.clone(), audiences));
        }
    }
    tokens
}
