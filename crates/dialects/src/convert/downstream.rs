//! Jobs that start another pipeline: `trigger` of GitLab, `build` of Jenkins, a called workflow of GitHub.

use serde_json::{Map, Value};

use super::conditions::groovy_text;
use super::draft::{Does, Job, Start, Step, Text};
use super::{Target, Writer};

/// What a job starts that does nothing else.
pub(super) fn only(job: &Job) -> Option<(&Step, &Start)> {
    let mut steps = job.steps.iter().filter(|s| !matches!(s.does, Does::Checkout));
    match (steps.next(), steps.next()) {
        (Some(step), None) => match &step.does {
            Does::Start(start) => Some((step, start)),
            _ => None,
        },
        _ => None,
    }
}

impl Start {
    fn title(&self) -> String {
        let shown = |t: &Text| t.plain().unwrap_or_else(|| t.literals());
        match &self.project {
            Some(project) => format!("`{}`", shown(project)),
            None => format!("the child pipeline of {}", self.files.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// The workflow that a child pipeline becomes once its file is converted.
pub(super) fn called(w: &mut Writer<'_>, step: &Step, start: &Start) -> Option<String> {
    let [file] = start.files.as_slice() else { return None };
    let name = file.rsplit('/').next()?.trim_start_matches('.').trim_end_matches(".gitlab-ci.yml");
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let path = format!("./.github/workflows/{stem}.yml");
    let message =
        format!("`{file}` has to be converted by itself, to `{}` with `on: workflow_call` and the inputs that it takes", &path[2..]);
    w.lost(&step.span, "child_pipeline", message);
    if !start.wait {
        w.differs(&step.span, "child_pipeline", "a job that calls a workflow waits for it, and ends as it does");
    }
    Some(path)
}

/// A script that fails, because nothing says the same.
pub(super) fn script(w: &mut Writer<'_>, step: &Step, start: &Start) -> String {
    let title = start.title();
    let why = match (&start.project, w.to) {
        (Some(_), Target::Github) => "a workflow of another repository is started over its API, with a token that may do so",
        (Some(_), _) => "a job of GitLab that starts a pipeline does nothing else: make it a job of its own with `trigger`",
        (None, _) => "convert its file by itself",
    };
    w.lost(&step.span, "start", format!("{title} is not started there; {why}. The step fails until it is written by hand"));
    format!("echo 'starting {} has to be written by hand' >&2; exit 1", title.replace(['`', '\''], ""))
}

/// `trigger`.
pub(super) fn trigger(start: &Start, mut text: impl FnMut(&Text) -> String) -> Value {
    let mut o = Map::new();
    if let Some(project) = &start.project {
        o.insert("project".into(), text(project).into());
    }
    if let Some(branch) = &start.branch {
        o.insert("branch".into(), text(branch).into());
    }
    if start.wait {
        o.insert("strategy".into(), "depend".into());
    }
    Value::Object(o)
}

/// `build`, or a step that fails.
pub(super) fn build(
    w: &mut Writer<'_>,
    job: &Job,
    step: &Step,
    start: &Start,
    mut text: impl FnMut(&mut Writer<'_>, &Text) -> String,
) -> String {
    let Some(project) = &start.project else {
        let title = start.title();
        let message = format!("{title} is no job of Jenkins: convert its file by itself and start the job that runs it with `build`");
        w.lost(&step.span, "child_pipeline", message);
        return format!("error {}", groovy_text(&format!("to be written by hand: start {}", title.replace('`', ""))));
    };
    let name = match &start.branch {
        // a job of a multibranch project is called like its branch
        Some(branch) => Text([project.0.clone(), Text::lit("/").0, branch.0.clone()].concat()),
        None => project.clone(),
    };
    let mut line = format!("build job: {}, wait: {}", text(w, &name), start.wait);
    let given: Vec<String> = job
        .env
        .iter()
        .chain(&start.given)
        .map(|(name, value)| format!("string(name: {}, value: {})", groovy_text(name), text(w, value)))
        .collect();
    if !given.is_empty() {
        line.push_str(&format!(", parameters: [{}]", given.join(", ")));
    }
    let message = format!("{} is started as the job of that name, which has to take what it is given as parameters", start.title());
    w.differs(&step.span, "start", message);
    line
}
