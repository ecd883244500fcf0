//! The steps of a job as steps of a stage.

use super::*;

/// A script as a text of Groovy.
pub(super) fn script(o: &mut Out, text: &str) {
    if text.contains('\n') {
        let quoted = text.replace('\\', "\\\\").replace("'''", "\\'\\'\\'");
        let end = if quoted.ends_with('\'') { "\n" } else { "" };
        o.text.push_str(&format!("{}sh '''{quoted}{end}'''\n", "    ".repeat(o.depth)));
    } else {
        o.line(&format!("sh {}", groovy_text(text)));
    }
}

/// Writes steps; how many came of them.
pub(super) fn body(w: &mut Writer<'_>, o: &mut Out, job: &Job, steps: &[&Step]) -> usize {
    let mut count = 0;
    let joined = speaks(job);
    let mut together: Vec<String> = Vec::new();
    let flush = |o: &mut Out, together: &mut Vec<String>| {
        if !together.is_empty() {
            script(o, &format!("{PRELUDE}\n{}", together.join("\n")));
            together.clear();
        }
    };
    for step in steps {
        if let Does::Script { .. } = &step.does {
            let Some(text) = w.shell_step(job, step, !joined) else { continue };
            count += 1;
            if joined {
                together.push(text);
                continue;
            }
            let text = if needs_bash(&text) { format!("#!/usr/bin/env bash\nset -e\n{text}") } else { text };
            if step.may_fail {
                o.open("catchError(buildResult: 'SUCCESS', stageResult: 'SUCCESS')");
            }
            match step.timeout {
                Some(minutes) => {
                    o.open(&limit(minutes));
                    script(o, &text);
                    o.close();
                }
                None => script(o, &text),
            }
            if step.may_fail {
                o.close();
            }
            continue;
        }
        flush(o, &mut together);
        count += other(w, o, job, step);
    }
    flush(o, &mut together);
    count
}

/// Does a script say what only bash understands?
pub(super) fn needs_bash(text: &str) -> bool {
    ["[[", "<(", "pipefail", "=(", "shopt ", "$'", "&>", "source ", "function ", "${BASH", "<<<", "(("]
        .iter()
        .any(|word| text.contains(word))
}

fn other(w: &mut Writer<'_>, o: &mut Out, job: &Job, step: &Step) -> usize {
    let before = o.text.len();
    match &step.does {
        Does::Upload { name, paths, exclude } => {
            let pattern = |p: &String| {
                let p = p.trim_start_matches("./").trim_end_matches('/');
                if p.contains(['*', '?']) { p.to_owned() } else { format!("{p},{p}/**") }
            };
            let includes = groovy_text(&paths.iter().map(pattern).collect::<Vec<_>>().join(","));
            let excludes = if exclude.is_empty() { String::new() } else { format!(", excludes: {}", groovy_text(&exclude.join(","))) };
            o.line(&format!("archiveArtifacts artifacts: {includes}{excludes}, allowEmptyArchive: true"));
            let name = name.plain().unwrap_or_default();
            let wanted = w.draft.jobs.iter().flat_map(|j| &j.steps).any(|s| match &s.does {
                Does::Download { name: Some(n), .. } => n.plain().as_deref() == Some(name.as_str()),
                Does::Download { name: None, .. } => true,
                _ => false,
            });
            if wanted {
                if job.matrix.is_some() {
                    w.lost(&step.span, "matrix_artifacts", "the files of the cells of a matrix take each other's place in Jenkins");
                }
                o.line(&format!("stash name: {}, includes: {includes}{excludes}, allowEmpty: true", groovy_text(&name)));
            }
        }
        Does::Download { name, path } => {
            let names: Vec<String> = match name.as_ref().and_then(Text::plain) {
                Some(name) => vec![name],
                None => w
                    .draft
                    .makers(None)
                    .iter()
                    .flat_map(|m| &m.steps)
                    .filter_map(|s| if let Does::Upload { name, .. } = &s.does { name.plain() } else { None })
                    .collect(),
            };
            for name in names {
                if w.draft.makers(Some(&name)).is_empty() {
                    w.lost(&step.span, "artifact", format!("no job leaves files as `{name}`"));
                    continue;
                }
                o.line(&format!("unstash {}", groovy_text(&name)));
            }
            let elsewhere = path.as_deref().filter(|p| *p != ".").is_some_and(|path| {
                let makers = w.draft.makers(name.as_ref().and_then(Text::plain).as_deref());
                makers.iter().flat_map(|m| &m.steps).any(|s| match &s.does {
                    Does::Upload { paths, .. } => !paths.iter().all(|p| p.trim_start_matches("./").starts_with(path.trim_end_matches('/'))),
                    _ => false,
                })
            });
            if elsewhere {
                w.lost(
                    &step.span,
                    "artifact_path",
                    format!("a stash comes back to where it was, not to `{}`", path.clone().unwrap_or_default()),
                );
            }
        }
        Does::Report(kinds) => {
            for (kind, files) in kinds {
                if kind == "junit" {
                    o.line(&format!(
                        "junit testResults: {}, allowEmptyResults: true, skipMarkingBuildUnstable: true",
                        groovy_text(&files.join(","))
                    ));
                } else {
                    w.lost(&step.span, "report", format!("a plain Jenkins reads no `{kind}` report ({})", files.join(", ")));
                }
            }
        }
        Does::Setup { action, with } => {
            let which: Vec<String> = with.values().filter_map(Text::plain).collect();
            w.differs(
                &step.span,
                "setup",
                format!("`{action}` ({}): the tool of the machine is used; name an image, or a tool of the Jenkins", which.join(", ")),
            );
        }
        Does::Cache { paths, .. } => {
            w.differs(&step.span, "cache", format!("Jenkins keeps no caches between machines: {} is made anew", paths.join(", ")));
        }
        Does::Action { uses, with } => {
            let text = w.action(step, uses, with);
            script(o, &text);
        }
        Does::Start(start) => {
            let line = downstream::build(w, job, step, start, |w, t| text(w, t, Some(job), &step.span));
            o.line(&line);
        }
        Does::Groovy(code) => o.line(&format!("error {}", groovy_text(&format!("to be written by hand: {code}")))),
        Does::Checkout | Does::Script { .. } => {}
    }
    usize::from(o.text.len() > before)
}
