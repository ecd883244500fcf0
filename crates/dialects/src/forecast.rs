//! What an event would start: asked on the command line and in tests, before anything happens.
//!
//! Jobs are taken to succeed, so a condition on the result of another job is answered for the good case; one that reads
//! what only exists at run time (outputs) is said to be decided then.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::expr::Expr;
use crate::plan::{Decision, Job, Plan};
use crate::ready::{self, JobResult, Outcome, decide};
use crate::trigger::{BadInput, Occasion, check_inputs, starts};

/// An event that has not happened.
#[derive(Clone, Debug)]
pub struct Facts<'f> {
    /// `push`, `pull_request`, `workflow_dispatch`, ...
    pub event: &'f str,
    /// Full ref name, or a branch.
    pub r#ref: &'f str,
    /// Changed files; none when not known, which counts as all.
    pub changed: Option<&'f [String]>,
    /// Activity, such as `opened`; none is the usual one of the event, or any.
    pub action: Option<&'f str>,
    /// Name of the other workflow of a `workflow_run`.
    pub workflow: &'f str,
    /// Branch that a pull request goes to.
    pub base: &'f str,
    /// The default branch.
    pub default_branch: &'f str,
    /// Inputs of a manual start.
    pub inputs: Map<String, Value>,
}

impl Facts<'_> {
    fn full_ref(&self) -> String {
        match self.event {
            "pull_request" => return "refs/pull/1/merge".into(),
            "pull_request_target" => return format!("refs/heads/{}", self.base),
            // these always see the default branch
            "schedule" | "workflow_run" | "issues" | "issue_comment" => return format!("refs/heads/{}", self.default_branch),
            _ => {}
        }
        if self.r#ref.starts_with("refs/") { self.r#ref.into() } else { format!("refs/heads/{}", self.r#ref) }
    }

    fn branch(&self) -> &str {
        self.r#ref.strip_prefix("refs/heads/").unwrap_or(self.r#ref)
    }

    /// The activity that is meant when none was named.
    fn usual_action(&self) -> Option<&str> {
        self.action.or(match self.event {
            "pull_request" | "pull_request_target" => Some("opened"),
            "release" => Some("published"),
            "workflow_run" => Some("completed"),
            _ => None,
        })
    }

    /// The contexts as a run of the event would have them.
    fn roots(&self, plan: &Plan, inputs: &Map<String, Value>) -> Value {
        let name = self.full_ref();
        let (kind, short) = match name.strip_prefix("refs/tags/") {
            Some(tag) => ("tag", tag),
            None => ("branch", name.strip_prefix("refs/heads/").or(name.strip_prefix("refs/pull/")).unwrap_or(&name)),
        };
        let pull = matches!(self.event, "pull_request" | "pull_request_target");
        let head = self.branch();
        let mut event = json!({ "ref": name, "repository": { "default_branch": self.default_branch }, "inputs": inputs });
        if let Some(action) = self.usual_action() {
            event["action"] = json!(action);
        }
        if self.event == "workflow_run" {
            event["workflow_run"] = json!({ "name": self.workflow, "head_branch": head, "status": "completed", "conclusion": "success" });
            event["workflow"] = json!({ "name": self.workflow });
        }
        if pull {
            event["number"] = json!(1);
            event["pull_request"] = json!({ "number": 1, "draft": false, "base": { "ref": self.base }, "head": { "ref": head } });
        }
        json!({
            "github": {
                "event_name": self.event, "ref": name, "ref_name": short, "ref_type": kind,
                "head_ref": if pull { head } else { "" }, "base_ref": if pull { self.base } else { "" },
                "workflow": plan.name, "event": event,
            },
            "inputs": inputs,
            "vars": {},
        })
    }
}

/// Leaves in the plan the jobs that the event starts, and writes down about each job of the file why it is in or out.
///
/// # Errors
/// Why the event does not start the workflow at all; then no job is left.
pub fn forecast(plan: &mut Plan, facts: &Facts<'_>) -> Result<(), String> {
    let name = facts.full_ref();
    let action = facts.usual_action();
    let occasion = match facts.event {
        "push" => Occasion::Push { name: &name, changed: facts.changed },
        "pull_request" | "pull_request_target" => {
            let action = action.unwrap_or("opened");
            Occasion::PullRequest { event: facts.event, action, base: facts.base, changed: facts.changed }
        }
        "workflow_dispatch" => Occasion::Dispatch,
        "schedule" => Occasion::Schedule { cron: None },
        "workflow_run" => Occasion::WorkflowRun { workflow: facts.workflow, action: action.unwrap_or("completed"), branch: facts.branch() },
        other => Occasion::Other { event: other, action, branch: facts.base },
    };
    let started = starts(plan, &occasion).and_then(|()| match facts.event {
        "workflow_dispatch" => {
            let told = |bad: &BadInput| format!("the input `{}` {}", bad.name, bad.message);
            check_inputs(plan, &facts.inputs).map_err(|wrong| wrong.iter().map(told).collect::<Vec<_>>().join("; "))
        }
        _ => Ok(facts.inputs.clone()),
    });
    let decisions: Vec<Decision> = match started {
        Ok(inputs) => decisions(plan, &facts.roots(plan, &inputs)),
        Err(why) => {
            plan.decisions = plan.jobs.drain(..).map(|job| out(&job, format!("the workflow does not start: {why}"))).collect();
            return Err(why);
        }
    };
    plan.jobs.retain(|job| decisions.iter().any(|d| d.included && d.job == job.key));
    plan.decisions = decisions;
    Ok(())
}

fn out(job: &Job, because: String) -> Decision {
    Decision { job: job.key.clone(), included: false, span: job.span.clone(), because }
}

/// Decides about the jobs in the order in which they can be decided, and tells it in the order of the file.
fn decisions(plan: &Plan, roots: &Value) -> Vec<Decision> {
    let mut results: IndexMap<String, JobResult> = IndexMap::new();
    let mut found: IndexMap<String, Decision> = IndexMap::new();
    while found.len() < plan.jobs.len() {
        let before = found.len();
        for job in &plan.jobs {
            if found.contains_key(&job.key) {
                continue;
            }
            if job.result_of.is_some() {
                let Some(result) = ready::call_result(job, &results, roots) else { continue };
                let result = result.unwrap_or(JobResult { outcome: Outcome::Success, outputs: IndexMap::new() });
                let included = result.outcome != Outcome::Skipped;
                let because =
                    if included { "it ends with the jobs of the workflow it calls" } else { "no job of the workflow it calls runs" };
                results.insert(job.key.clone(), result);
                found.insert(job.key.clone(), Decision { included, because: because.into(), ..out(job, String::new()) });
                continue;
            }
            let (included, because) = match decide(plan, job, &results, false, roots) {
                ready::Decision::Wait => continue,
                _ if late(job) => (true, "its `if` reads outputs of other jobs and is decided when they have ended".into()),
                ready::Decision::Run => (true, in_because(job)),
                ready::Decision::Skip(why) => (false, why),
                ready::Decision::Fail(why) => (true, format!("it fails: {why}")),
            };
            let outcome = if included { Outcome::Success } else { Outcome::Skipped };
            results.insert(job.key.clone(), JobResult { outcome, outputs: IndexMap::new() });
            found.insert(job.key.clone(), Decision { included, because, ..out(job, String::new()) });
        }
        if found.len() == before {
            // a circle, which the compiler has refused
            break;
        }
    }
    plan.jobs.iter().filter_map(|job| found.shift_remove(&job.key)).collect()
}

fn in_because(job: &Job) -> String {
    match (job.condition.as_deref(), job.needs.as_slice()) {
        (Some(condition), _) => format!("`if: {condition}` is true"),
        (None, []) => "it has no condition".into(),
        (None, needs) => format!("it runs when {} succeeded", needs.join(", ")),
    }
}

/// Does the condition read outputs of other jobs?
fn late(job: &Job) -> bool {
    let mut found = false;
    if let Some(expr) = job.condition.as_deref().and_then(|c| Expr::parse(c).ok()) {
        expr.walk(&mut |e| found |= matches!(e, Expr::Index(_, key) if **key == Expr::String("outputs".into())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::compile;

    const FILE: &str = "on: {push: {branches: [main], paths: ['src/**']}, workflow_dispatch: {inputs: {deep: {type: boolean}}}}
jobs:
  a: {runs-on: x, steps: [{run: a}]}
  b: {runs-on: x, needs: c, steps: [{run: a}]}
  c: {runs-on: x, if: \"github.event_name == 'pull_request'\", steps: [{run: a}]}
  d: {runs-on: x, needs: a, if: needs.a.outputs.x == 'y', steps: [{run: a}]}
  e: {runs-on: x, if: inputs.deep, steps: [{run: a}]}
";

    fn told(event: &str, name: &str, changed: &[&str], inputs: &[(&str, &str)]) -> Result<Vec<(String, bool, String)>, String> {
        let changed: Vec<String> = changed.iter().map(|&c| c.into()).collect();
        let inputs = inputs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let facts =
            Facts { event, r#ref: name, changed: Some(&changed), action: None, workflow: "", base: "main", default_branch: "main", inputs };
        let mut plan = compile(".github/workflows/x.yml", FILE.as_bytes()).plan.unwrap();
        let answer = forecast(&mut plan, &facts);
        let kept: Vec<&str> = plan.jobs.iter().map(|j| j.key.as_str()).collect();
        let included: Vec<&str> = plan.decisions.iter().filter(|d| d.included).map(|d| d.job.as_str()).collect();
        assert_eq!(kept, included);
        assert_eq!(plan.decisions.len(), 5);
        answer.map(|()| plan.decisions.into_iter().map(|d| (d.job, d.included, d.because)).collect())
    }

    #[test]
    fn every_job_is_in_or_out_for_a_reason() {
        let push = told("push", "refs/heads/main", &["src/x.rs"], &[]).unwrap();
        let short: Vec<(&str, bool)> = push.iter().map(|(j, i, _)| (j.as_str(), *i)).collect();
        assert_eq!(short, [("a", true), ("b", false), ("c", false), ("d", true), ("e", false)]);
        assert!(push[1].2.contains("`c`, which it needs, was skipped"), "{}", push[1].2);
        assert!(push[2].2.contains("is false") && push[3].2.contains("outputs"));
        assert!(told("workflow_dispatch", "main", &[], &[("deep", "true")]).unwrap()[4].1);
        assert_eq!(told("push", "dev", &["src/x.rs"], &[]).unwrap_err(), "no branch pattern matches `dev`");
        assert_eq!(told("push", "main", &["README"], &[]).unwrap_err(), "no changed file matches `paths`");
        assert_eq!(told("release", "main", &[], &[]).unwrap_err(), "`on` does not name this event");
    }

    #[test]
    fn events_are_filtered_as_written() {
        let asked = |on: &str, facts: &Facts<'_>| {
            let file = format!("on: {on}\njobs: {{a: {{runs-on: x, steps: [{{run: a}}]}}}}");
            let compiled = compile(".github/workflows/x.yml", file.as_bytes());
            let mut plan = compiled.plan.unwrap_or_else(|| panic!("{on}: {:?}", compiled.diagnostics));
            forecast(&mut plan, facts).map_err(|why| why.chars().take(40).collect::<String>())
        };
        let changed = ["src/a.rs".to_owned()];
        let facts = Facts {
            event: "push",
            r#ref: "topic",
            changed: Some(&changed),
            action: None,
            workflow: "CI",
            base: "main",
            default_branch: "main",
            inputs: Map::new(),
        };
        let pull = Facts { event: "pull_request", ..facts.clone() };
        let target = Facts { event: "pull_request_target", ..facts.clone() };
        let release = Facts { event: "release", r#ref: "refs/tags/v1", ..facts.clone() };
        let run = Facts { event: "workflow_run", ..facts.clone() };
        let schedule = Facts { event: "schedule", ..facts.clone() };
        let dispatch = Facts { event: "workflow_dispatch", ..facts.clone() };
        for (on, facts, expect) in [
            ("pull_request", &pull, None),
            ("{pull_request: {branches: [main], paths: ['src/**']}}", &pull, None),
            ("{pull_request: {branches: [topic]}}", &pull, Some("no branch pattern matches `main`")),
            ("{pull_request: {paths-ignore: ['src/**']}}", &pull, Some("all changed files match `paths-ignore`")),
            ("{pull_request: {types: [labeled]}}", &pull, Some("the activity `opened` is not in `types` ")),
            ("pull_request", &Facts { action: Some("labeled"), ..pull.clone() }, Some("the activity `labeled` starts nothing wi")),
            ("{pull_request: {types: [labeled]}}", &Facts { action: Some("labeled"), ..pull.clone() }, None),
            ("pull_request", &target, Some("`on` does not name this event")),
            ("{pull_request_target: {branches: ['ma*']}}", &target, None),
            ("release", &release, None),
            ("{release: {types: [published, edited]}}", &release, None),
            ("{release: {types: [edited]}}", &release, Some("the activity `published` is not in `type")),
            ("{workflow_run: {workflows: [CI, Lint], types: [completed]}}", &run, None),
            ("{workflow_run: {workflows: [Lint]}}", &run, Some("`CI` is not in `workflows` (Lint)")),
            ("{workflow_run: {workflows: [CI], types: [requested]}}", &run, Some("the activity `completed` is not in `type")),
            ("{workflow_run: {workflows: [CI], branches: [main]}}", &run, Some("no branch pattern matches `topic`")),
            ("{schedule: [{cron: '0 3 * * 1'}]}", &schedule, None),
            ("push", &schedule, Some("`on` does not name this event")),
            ("{issues: {types: [opened]}}", &Facts { event: "issues", ..facts.clone() }, None),
            (
                "{issues: {types: [opened]}}",
                &Facts { event: "issues", action: Some("closed"), ..facts.clone() },
                Some("the activity `closed` is not in `types` "),
            ),
            ("{workflow_dispatch: {inputs: {n: {type: number, required: true}}}}", &dispatch, Some("the input `n` is required")),
            ("{workflow_dispatch: {inputs: {n: {type: choice, options: [a], default: a}}}}", &dispatch, None),
            (
                "{workflow_dispatch: {inputs: {n: {type: boolean}}}}",
                &Facts { inputs: Map::from_iter([("n".into(), json!("maybe"))]), ..dispatch.clone() },
                Some("the input `n` must be a boolean"),
            ),
        ] {
            assert_eq!(asked(on, facts).err().as_deref(), expect, "{on} {}", facts.event);
        }
    }
}
