//! The steps of a job as its script, caches, artifacts and reports.

use super::*;

pub(super) fn steps(w: &mut Writer<'_>, job: &Job, o: &mut Map<String, Value>) {
    w.shells_differ(job);
    let (mut script, mut after): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut caches = Vec::new();
    let mut artifacts = Map::new();
    let mut keeps: Vec<(Base, Vec<String>, Vec<String>)> = Vec::new();
    if speaks(job) {
        script.push(PRELUDE.to_owned());
    }
    let mut ran = false;
    for step in &job.steps {
        match &step.does {
            Does::Script { .. } if step.when.base == Base::Success => {
                script.extend(w.shell_step(job, step, false));
                ran = true;
            }
            Does::Script { .. } => {
                let Some(mut text) = w.shell_step(job, step, false) else { continue };
                if step.when.base == Base::Failure {
                    text = format!("if [ \"$CI_JOB_STATUS\" = failed ]; then\n{text}\nfi");
                }
                w.differs(
                    &step.span,
                    "after_script",
                    "`after_script` has five minutes and a shell of its own, and its failure does not fail the job",
                );
                after.push(text);
            }
            Does::Checkout => {
                if ran {
                    w.differs(&step.span, "checkout", "GitLab gets the sources before the script begins");
                }
            }
            Does::Setup { action, with } => {
                let which: Vec<String> = with.values().filter_map(Text::plain).collect();
                w.differs(
                    &step.span,
                    "setup",
                    format!("`{action}` ({}): the tool of the machine is used, or an `image` has to be named", which.join(", ")),
                );
            }
            Does::Cache { key, restore, paths, pull, push } => caches.extend(cache(w, step, key, restore, paths, (*pull, *push))),
            Does::Upload { paths, exclude, .. } => keeps.push((step.when.base, paths.clone(), exclude.clone())),
            Does::Download { .. } => {}
            Does::Report(kinds) => report(w, step, kinds, &mut artifacts),
            Does::Action { uses, with } => {
                script.push(w.action(step, uses, with));
                ran = true;
            }
            Does::Start(start) => {
                script.push(downstream::script(w, step, start));
                ran = true;
            }
            Does::Groovy(_) => script.push("echo 'this step has to be written by hand' >&2; exit 1".into()),
        }
    }
    if let Some((base, ..)) = keeps.first() {
        let base = if keeps.iter().all(|(b, ..)| b == base) {
            *base
        } else {
            w.differs(&job.span, "artifacts_when", "the files of a job are kept together: always, as one of the steps says");
            Base::Always
        };
        artifacts.insert("paths".into(), json!(keeps.iter().flat_map(|(_, p, _)| p).collect::<Vec<_>>()));
        let exclude: Vec<&String> = keeps.iter().flat_map(|(_, _, e)| e).collect();
        if !exclude.is_empty() {
            artifacts.insert("exclude".into(), json!(exclude));
        }
        if base != Base::Success {
            artifacts.insert("when".into(), when_word(base).into());
        }
        if job.key != "artifact" {
            w.differs(&job.span, "artifact_names", "a job of GitLab leaves one archive, which has the name of the job");
        }
    }
    if !caches.is_empty() {
        o.insert("cache".into(), if caches.len() == 1 { caches.remove(0) } else { caches.into() });
    }
    if script.is_empty() || !ran && script.len() == usize::from(speaks(job)) {
        script.push("true".into());
    }
    o.insert("script".into(), json!(script));
    if !after.is_empty() {
        o.insert("after_script".into(), json!(after));
    }
    if !artifacts.is_empty() {
        o.insert("artifacts".into(), artifacts.into());
    }
}

fn cache(w: &mut Writer<'_>, step: &Step, key: &Text, restore: &[Text], paths: &[String], flow: (bool, bool)) -> Option<Value> {
    let inside = |p: &&String| !p.starts_with('~') && !p.starts_with('/') && !p.starts_with("${{");
    let (inner, outer): (Vec<&String>, Vec<&String>) = paths.iter().partition(inside);
    if !outer.is_empty() {
        let list: Vec<&str> = outer.iter().map(|p| p.as_str()).collect();
        w.differs(&step.span, "cache_outside", format!("GitLab keeps files of the project only: {} is not cached", list.join(", ")));
    }
    if inner.is_empty() {
        return None;
    }
    let mut cache = Map::new();
    let files: Option<&Vec<String>> = key.0.iter().find_map(|p| if let Piece::Hash(files) = p { Some(files) } else { None });
    match files {
        Some(files) => {
            let named: Vec<&String> = files.iter().filter(|f| !f.contains(['*', '!'])).take(2).collect();
            if named.len() < files.len() {
                w.differs(&step.span, "cache_key", "the key of a cache is made of two named files at most in GitLab");
            }
            let prefix: Vec<Piece> = key.0.iter().filter(|p| !matches!(p, Piece::Hash(_))).cloned().collect();
            let prefix = expand(w, &Text(prefix), &step.span);
            let prefix = prefix.trim_matches('-').to_owned();
            if named.is_empty() {
                cache.insert("key".into(), if prefix.is_empty() { json!("default") } else { prefix.into() });
            } else if prefix.is_empty() {
                cache.insert("key".into(), json!({"files": named}));
            } else {
                cache.insert("key".into(), json!({"files": named, "prefix": prefix}));
            }
        }
        None => {
            let key = expand(w, key, &step.span);
            cache.insert("key".into(), if key.trim().is_empty() { json!("default") } else { key.into() });
        }
    }
    cache.insert("paths".into(), json!(inner));
    let keys: Vec<String> = restore.iter().map(|k| expand(w, k, &step.span)).filter(|k| !k.is_empty()).take(5).collect();
    if !keys.is_empty() {
        w.differs(&step.span, "cache_fallback", "`fallback_keys` of GitLab are whole keys, not their beginnings");
        cache.insert("fallback_keys".into(), json!(keys));
    }
    match flow {
        (true, false) => {
            cache.insert("policy".into(), "pull".into());
        }
        (false, true) => {
            cache.insert("policy".into(), "push".into());
        }
        _ => {}
    }
    Some(Value::Object(cache))
}

fn report(w: &mut Writer<'_>, step: &Step, kinds: &[(String, Vec<String>)], artifacts: &mut Map<String, Value>) {
    let mut reports = match artifacts.remove("reports") {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    for (kind, files) in kinds {
        match (kind.as_str(), files.as_slice()) {
            ("junit", files) => {
                reports.insert("junit".into(), json!(files));
            }
            ("cobertura" | "jacoco", [one]) => {
                reports.insert("coverage_report".into(), json!({"coverage_format": kind, "path": one}));
            }
            (other, files) => {
                w.lost(
                    &step.span,
                    "report",
                    format!("GitLab reads no `{other}` report ({}): convert it to JUnit or Cobertura", files.join(", ")),
                );
            }
        }
    }
    if !reports.is_empty() {
        artifacts.insert("reports".into(), reports.into());
    }
}
