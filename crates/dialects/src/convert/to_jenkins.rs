//! Writes a draft as a declarative Jenkinsfile: each job is a stage with an agent, and so a directory, of its own.

mod steps;

use crate::diagnostic::Span;
use crate::plan::InputType;

use super::conditions::{groovy_text, to_groovy};
use super::draft::{Base, Cond, Does, Draft, Fact, Gate, Job, Piece, Side, Step, Text};
use super::shell::{PRELUDE, ident, outside, predefined, speaks};
use super::to_gitlab::{axes, given, starts};
use super::{Writer, downstream};

use steps::body;

/// Text with its indentation.
#[derive(Default)]
struct Out {
    text: String,
    depth: usize,
}

impl Out {
    fn line(&mut self, line: &str) {
        if !line.is_empty() {
            self.text.push_str(&"    ".repeat(self.depth));
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    fn open(&mut self, head: &str) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.line("}");
    }
}

pub(super) fn write(w: &mut Writer<'_>) -> String {
    let draft = w.draft;
    let whole = Span::whole("");
    let mut o = Out::default();
    o.open("pipeline");
    o.line("agent none");
    if let Some(cancel) = draft.alone {
        o.open("options");
        o.line(if cancel { "disableConcurrentBuilds(abortPrevious: true)" } else { "disableConcurrentBuilds()" });
        o.close();
    }
    if !draft.inputs.is_empty() {
        parameters(&mut o, draft);
    }
    let cron: Vec<&str> = draft.schedules.iter().map(String::as_str).collect();
    if !cron.is_empty() {
        w.differs(&whole, "schedule", "a schedule of Jenkins starts every branch that has it, and knows no cause in its conditions");
        o.open("triggers");
        o.line(&format!("cron({})", groovy_text(&cron.join("\n"))));
        o.close();
    }
    environment(w, &mut o, &draft.env, None, &whole);
    if draft.pull_request.as_ref().is_some_and(|f| *f != crate::plan::RefFilter::default()) {
        w.differs(&whole, "event", "which pull requests are built is set for the multibranch project in Jenkins");
    }
    if draft.push.is_none() {
        w.differs(&whole, "event", "Jenkins builds every push of a multibranch project, unless the project is set otherwise");
    }
    let outer = outer(w);
    let levels = w.order.levels();
    let main: Vec<usize> = (0..draft.jobs.len()).filter(|&i| draft.jobs[i].when.base == Base::Success).collect();
    o.open("stages");
    let deepest = main.iter().map(|&i| levels[i]).max().unwrap_or(0);
    for level in 0..=deepest {
        let now: Vec<&Job> = main.iter().filter(|&&i| levels[i] == level).map(|&i| &draft.jobs[i]).collect();
        match now.as_slice() {
            [] => {}
            [one] => job(w, &mut o, one, &outer),
            many => {
                o.open(&format!("stage({})", groovy_text(&format!("stage {}", level + 1))));
                o.open("parallel");
                for one in many {
                    job(w, &mut o, one, &outer);
                }
                o.close();
                o.close();
            }
        }
        waits(w, &now, &main, levels, level);
    }
    if main.is_empty() {
        o.open("stage('nothing')");
        o.line("agent any");
        o.open("steps");
        o.line("echo 'every job of this pipeline runs after a failure, or always'");
        o.close();
        o.close();
    }
    o.close();
    post(w, &mut o);
    o.close();
    o.text
}

/// Says where jobs wait for more than they need.
fn waits(w: &mut Writer<'_>, now: &[&Job], main: &[usize], levels: &[usize], level: usize) {
    if level == 0 {
        return;
    }
    let before: Vec<&str> = main.iter().filter(|&&i| levels[i] + 1 == level).map(|&i| w.draft.jobs[i].key.as_str()).collect();
    let eager: Vec<&&Job> = now.iter().filter(|j| before.iter().any(|b| !j.needs.iter().any(|n| n == b))).collect();
    for job in eager {
        let message = format!(
            "`{}` waits for all of {} in Jenkins, where stages are in rows, and does not run if one of them fails",
            job.key,
            before.join(", ")
        );
        w.differs(&job.span, "stages", message);
    }
}

/// What must hold for every stage, because Jenkins starts the pipeline for every push.
fn outer(w: &mut Writer<'_>) -> Cond {
    let draft = w.draft;
    if push_paths(draft) {
        w.lost(
            &Span::whole(""),
            "paths_ignore",
            "files whose changes do not count cannot be listed in Jenkins: every change starts the pipeline",
        );
    }
    let Some(cond) = draft.push.as_ref().and_then(starts) else { return Cond::True };
    w.differs(&Span::whole(""), "event", "Jenkins builds every push: the stages of one that does not count are skipped");
    match &draft.pull_request {
        Some(_) => cond.or(Cond::Same(Side::Fact(Fact::Event), Side::Text("pull_request".into()))),
        None => cond,
    }
}

/// Does the push leave out files?
fn push_paths(draft: &Draft) -> bool {
    draft.push.as_ref().is_some_and(|p| p.paths_ignore.is_some() || p.paths.iter().flatten().any(|p| p.starts_with('!')))
}

fn parameters(o: &mut Out, draft: &Draft) {
    o.open("parameters");
    for (name, input) in &draft.inputs {
        let default = input.default.as_ref().map(|d| d.as_str().map_or_else(|| d.to_string(), str::to_owned)).unwrap_or_default();
        let description = groovy_text(&input.description);
        let name = groovy_text(&ident(name));
        o.line(&match input.r#type {
            InputType::Boolean => format!("booleanParam(name: {name}, defaultValue: {}, description: {description})", default == "true"),
            InputType::Choice => {
                // the first one is the default
                let mut options = input.options.clone();
                options.sort_by_key(|v| *v != default);
                let options: Vec<String> = options.iter().map(|v| groovy_text(v)).collect();
                format!("choice(name: {name}, choices: [{}], description: {description})", options.join(", "))
            }
            _ => format!("string(name: {name}, defaultValue: {}, description: {description})", groovy_text(&default)),
        });
    }
    o.close();
}

/// A text of Groovy in which values are replaced.
fn text(w: &mut Writer<'_>, text: &Text, job: Option<&Job>, span: &Span) -> String {
    if let Some(constant) = w.constant(text, job) {
        return groovy_text(&constant);
    }
    let mut out = String::from("\"");
    for piece in &text.0 {
        let name = match piece {
            Piece::Lit(text) => {
                out.push_str(&text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n"));
                continue;
            }
            Piece::Var(name) => format!("env.{name}"),
            Piece::Secret(name) => format!("env.{name}"),
            Piece::Matrix(name) => format!("env.{}", ident(name)),
            Piece::Input(name) => format!("params.{}", ident(name)),
            Piece::Fact(fact) => match fact.variable(w.to) {
                Some(name) => format!("env.{name}"),
                None => {
                    w.lost(span, "no_such_value", format!("Jenkins has nothing for `{}`", fact.expression()));
                    continue;
                }
            },
            Piece::Output(..) | Piece::Hash(_) | Piece::Foreign(_) => {
                let what = match piece {
                    Piece::Foreign(text) => text.clone(),
                    Piece::Output(step, name) => format!("steps.{step}.outputs.{name}"),
                    _ => "hashFiles(..)".into(),
                };
                w.lost(span, "expression", format!("`{what}` cannot be said in Jenkins: it is left out"));
                continue;
            }
        };
        out.push_str(&format!("${{{name}}}"));
    }
    out.push('"');
    out
}

fn environment<'t>(w: &mut Writer<'_>, o: &mut Out, env: impl IntoIterator<Item = (&'t String, &'t Text)>, job: Option<&Job>, span: &Span) {
    let mut lines = Vec::new();
    for (name, value) in env.into_iter().filter(|(name, value)| !given(name, value)) {
        if let [Piece::Secret(secret)] = value.0.as_slice() {
            w.differs(span, "credentials", format!("`{secret}` has to be set as the credential `{secret}`, a secret text"));
            lines.push(format!("{name} = credentials({})", groovy_text(secret)));
            continue;
        }
        // variables in variables of GitLab and Jenkins are the environment's
        let value = text(w, value, job, span);
        lines.push(format!("{name} = {value}"));
    }
    if !lines.is_empty() {
        o.open("environment");
        lines.iter().for_each(|l| o.line(l));
        o.close();
    }
}

fn job(w: &mut Writer<'_>, o: &mut Out, job: &Job, outer: &Cond) {
    let Some(matrix) = job.matrix.as_ref().filter(|m| m.cells.iter().flatten().count() > 0) else {
        return stage(w, o, job, &job.key, outer, &[]);
    };
    if matrix.max_parallel.is_some() {
        w.lost(&job.span, "max_parallel", "Jenkins does not limit how many cells of a matrix run at once");
    }
    let cells: Vec<_> =
        matrix.cells.iter().map(|c| c.iter().map(|(k, v)| (ident(k), v.clone())).collect::<indexmap::IndexMap<_, _>>()).collect();
    o.open(&format!("stage({})", groovy_text(&job.key)));
    if matrix.fail_fast && cells.len() > 1 {
        o.line("failFast true");
    }
    if let Some(axes) = axes(&cells) {
        o.open("matrix");
        o.open("axes");
        for (name, values) in &axes {
            o.open("axis");
            o.line(&format!("name {}", groovy_text(name)));
            let values: Vec<String> = values.iter().map(|v| groovy_text(v)).collect();
            o.line(&format!("values {}", values.join(", ")));
            o.close();
        }
        o.close();
        o.open("stages");
        stage(w, o, job, &job.key, outer, &[]);
        o.close();
        o.close();
    } else {
        // combinations that are no product
        o.open("parallel");
        for cell in &cells {
            let name = format!("{} ({})", job.key, cell.values().cloned().collect::<Vec<_>>().join(", "));
            let vars: Vec<(String, Text)> = cell.iter().map(|(k, v)| (k.clone(), Text::lit(v.clone()))).collect();
            stage(w, o, job, &name, outer, &vars);
        }
        o.close();
    }
    o.close();
}

fn agent(w: &mut Writer<'_>, o: &mut Out, job: &Job) {
    let labels: Vec<String> = job.labels.iter().filter_map(|l| w.constant(l, Some(job))).collect();
    if labels.len() < job.labels.len() {
        w.lost(&job.span, "label", "the label of an agent has to be a constant in Jenkins");
    }
    let label = groovy_text(&labels.join(" && "));
    match &job.image {
        Some(image) => {
            let name = text(w, &image.name, Some(job), &job.span);
            o.open("agent");
            o.open("docker");
            o.line(&format!("image {name}"));
            if let Some(args) = &image.args {
                o.line(&format!("args {}", groovy_text(args)));
            }
            if !labels.is_empty() {
                o.line(&format!("label {label}"));
            }
            o.close();
            o.close();
            if !image.env.is_empty() {
                w.lost(&job.span, "container_env", "the environment of a job's container has to be set as the stage's");
            }
        }
        None if labels.is_empty() => o.line("agent any"),
        None => o.line(&format!("agent {{ label {label} }}")),
    }
}

fn stage(w: &mut Writer<'_>, o: &mut Out, job: &Job, name: &str, outer: &Cond, vars: &[(String, Text)]) {
    o.open(&format!("stage({})", groovy_text(name)));
    agent(w, o, job);
    if let Some(title) = job.title.as_ref().and_then(Text::plain) {
        w.differs(&job.span, "name", format!("the stage is called `{name}`, not `{title}`"));
    }
    options(w, o, job);
    environment(w, o, job.env.iter().chain(vars.iter().map(|(k, v)| (k, v))), Some(job), &job.span);
    condition(w, o, job, outer);
    match &job.gate {
        Some(Gate::Manual { blocking }) => {
            o.open("input");
            o.line(&format!("message {}", groovy_text(&format!("Run {}?", job.key))));
            o.close();
            let waits = if *blocking { "" } else { "; the stages behind it wait, too" };
            w.differs(&job.span, "manual", format!("a job that is started by hand becomes a question{waits}"));
        }
        Some(Gate::Question(question)) => {
            o.open("input");
            o.line(&format!("message {}", groovy_text(question)));
            o.close();
        }
        _ => {}
    }
    for name in outside(w.draft, job, w.from) {
        w.differs(
            &job.span,
            "project_variable",
            format!("`{name}` has to be in the environment of the Jenkins, or a credential of the stage"),
        );
    }
    not_kept(w, job);
    o.open("steps");
    if let Some(Gate::Delay(seconds)) = job.gate {
        o.line(&format!("sleep {seconds}"));
    }
    if job.may_fail {
        o.open("catchError(buildResult: 'SUCCESS', stageResult: 'UNSTABLE')");
    }
    let (main, late): (Vec<&Step>, Vec<&Step>) =
        job.steps.iter().partition(|s| s.when.base == Base::Success && !matches!(s.does, Does::Report(_)));
    w.shells_differ(job);
    if body(w, o, job, &main) == 0 {
        o.line("echo 'nothing to do'");
    }
    if job.may_fail {
        o.close();
    }
    o.close();
    late_steps(w, o, job, &late);
    o.close();
}

fn late_steps(w: &mut Writer<'_>, o: &mut Out, job: &Job, late: &[&Step]) {
    if late.is_empty() {
        return;
    }
    let mut inner = Out { depth: o.depth + 1, ..Out::default() };
    for (base, word) in [(Base::Always, "always"), (Base::Failure, "failure")] {
        let now: Vec<&Step> =
            late.iter().copied().filter(|s| s.when.base == base || base == Base::Always && s.when.base == Base::Success).collect();
        let mut block = Out { depth: inner.depth + 1, ..Out::default() };
        if !now.is_empty() && body(w, &mut block, job, &now) > 0 {
            inner.open(word);
            inner.text.push_str(&block.text);
            inner.close();
        }
    }
    if !inner.text.is_empty() {
        o.open("post");
        o.text.push_str(&inner.text);
        o.close();
    }
}

fn options(w: &mut Writer<'_>, o: &mut Out, job: &Job) {
    let mut lines = Vec::new();
    if !job.steps.iter().any(|s| matches!(s.does, Does::Checkout)) {
        lines.push("skipDefaultCheckout()".to_owned());
    }
    if let Some(minutes) = job.timeout {
        w.differs(&job.span, "timeout", "the time of a stage of Jenkins includes that in which it waits for its agent");
        lines.push(limit(minutes));
    }
    if job.retry > 0 {
        lines.push(format!("retry({})", u32::from(job.retry) + 1));
    }
    if !lines.is_empty() {
        o.open("options");
        lines.iter().for_each(|l| o.line(l));
        o.close();
    }
}

fn limit(minutes: f64) -> String {
    if minutes.fract() == 0.0 {
        format!("timeout(time: {minutes}, unit: 'MINUTES')")
    } else {
        format!("timeout(time: {}, unit: 'SECONDS')", (minutes * 60.0).ceil())
    }
}

fn condition(w: &mut Writer<'_>, o: &mut Out, job: &Job, outer: &Cond) {
    let cond = outer.clone().and(w.order.condition(job));
    let line = match &cond {
        Cond::True => return,
        Cond::Same(Side::Fact(Fact::Branch), Side::Text(branch)) => Ok(format!("branch {}", groovy_text(branch))),
        Cond::Same(Side::Fact(Fact::Tag), Side::Text(tag)) => Ok(format!("tag {}", groovy_text(tag))),
        Cond::Set(Side::Fact(Fact::Tag)) => Ok("buildingTag()".into()),
        Cond::Changed(paths) => {
            let paths: Vec<String> = paths.iter().map(|p| format!("changeset {}", groovy_text(p))).collect();
            Ok(if paths.len() == 1 { paths[0].clone() } else { format!("anyOf {{ {} }}", paths.join("; ")) })
        }
        // changed files are a condition of their own
        Cond::All(list) if list.iter().filter(|c| matches!(c, Cond::Changed(_))).count() == 1 => {
            let rest = list.iter().filter(|c| !matches!(c, Cond::Changed(_))).cloned().fold(Cond::True, Cond::and);
            let paths = list.iter().find_map(|c| if let Cond::Changed(paths) = c { Some(paths) } else { None });
            let paths: Vec<String> = paths.into_iter().flatten().map(|p| format!("changeset {}", groovy_text(p))).collect();
            to_groovy(&rest).map(|text| format!("allOf {{ anyOf {{ {} }}; expression {{ {text} }} }}", paths.join("; ")))
        }
        cond => to_groovy(cond).map(|text| format!("expression {{ {text} }}")),
    };
    let line = line.unwrap_or_else(|why| {
        w.lost(&job.span, "condition", format!("{why}: `{}` is left out until its condition is written by hand", job.key));
        "expression { false }".into()
    });
    o.open("when");
    o.line("beforeAgent true");
    o.line(&line);
    o.close();
}

fn not_kept(w: &mut Writer<'_>, job: &Job) {
    if !job.services.is_empty() {
        let names: Vec<&str> = job.services.keys().map(String::as_str).collect();
        w.lost(
            &job.span,
            "services",
            format!("Jenkins starts no containers beside a stage: {} have to be started by hand", names.join(", ")),
        );
    }
    if let Some((name, _)) = &job.environment {
        w.lost(&job.span, "environment", format!("Jenkins has no environments: `{}` is not recorded as deployed", name.literals()));
    }
    if job.group.is_some() {
        w.lost(&job.span, "resource_group", "jobs that may not overlap need a lock of the Jenkins");
    }
    if job.interruptible && w.draft.alone.is_none() {
        w.differs(
            &job.span,
            "interruptible",
            "a newer build stops an older one as a whole, with `disableConcurrentBuilds(abortPrevious: true)`",
        );
    }
}

/// Jobs that run whatever happened, or after a failure, come after all the others.
fn post(w: &mut Writer<'_>, o: &mut Out) {
    let draft = w.draft;
    let late: Vec<&Job> = draft.jobs.iter().filter(|j| j.when.base != Base::Success).collect();
    if late.is_empty() {
        return;
    }
    o.open("post");
    for (base, word) in [(Base::Always, "always"), (Base::Failure, "failure")] {
        let now: Vec<&&Job> = late.iter().filter(|j| j.when.base == base).collect();
        if now.is_empty() {
            continue;
        }
        o.open(word);
        for job in now {
            w.differs(&job.span, "late_job", format!("`{}` runs after all stages of the pipeline, in `post`", job.key));
            if job.image.is_some() || job.matrix.is_some() || job.timeout.is_some() {
                w.lost(&job.span, "late_job", "what runs in `post` has no image, matrix or time limit of its own");
            }
            let labels: Vec<String> = job.labels.iter().filter_map(|l| w.constant(l, Some(job))).collect();
            o.open(&format!("node({})", groovy_text(&labels.join(" && "))));
            o.line(&format!("echo {}", groovy_text(&job.key)));
            if job.steps.iter().any(|s| matches!(s.does, Does::Checkout)) {
                o.line("checkout scm");
            }
            let mut inner: Job = (**job).clone();
            for step in &mut inner.steps {
                let own = std::mem::take(&mut step.env);
                step.env = job.env.clone();
                step.env.extend(own);
                if step.when.base == Base::Failure && job.when.base != Base::Failure {
                    w.lost(&step.span, "late_job", "what runs in `post` after a failure of its own has to be written by hand");
                    step.does = Does::Groovy("a step after a failure".into());
                }
                step.when.base = Base::Success;
                step.when.cond = job.when.cond.clone().and(step.when.cond.clone());
            }
            let secret = inner.env.values().any(|t| {
                t.0.iter().any(|p| matches!(p, Piece::Secret(_) | Piece::Var(_)) && !matches!(p, Piece::Var(n) if !predefined(n, w.from)))
            });
            if secret {
                w.lost(&job.span, "credentials", "secrets of what runs in `post` have to be bound with `withCredentials`");
            }
            let steps: Vec<&Step> = inner.steps.iter().collect();
            body(w, o, &inner, &steps);
            not_kept(w, job);
            o.close();
        }
        o.close();
    }
    o.close();
}
