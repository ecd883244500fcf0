//! Readiness and triggers on compiled files.

use indexmap::IndexMap;
use serde_json::json;

use crate::github::compile;
use crate::plan::Plan;
use crate::ready::{Decision, JobResult, Outcome, decide};
use crate::trigger::{Occasion, starts};

fn plan(text: &str) -> Plan {
    let c = compile("w.yml", text.as_bytes());
    c.plan.unwrap_or_else(|| panic!("{:?}", c.diagnostics))
}

fn results(list: &[(&str, Outcome)]) -> IndexMap<String, JobResult> {
    list.iter().map(|(k, o)| ((*k).to_owned(), JobResult { outcome: *o, outputs: IndexMap::from([("v".into(), "1".into())]) })).collect()
}

#[test]
fn a_skip_runs_down_the_chain_even_past_always() {
    let p = plan(
        "on: push\njobs:\n  a: {runs-on: x, if: false, steps: [{run: a}]}\n  b: {runs-on: x, needs: a, if: always(), steps: [{run: a}]}\n  c: {runs-on: x, needs: b, steps: [{run: a}]}\n  d: {runs-on: x, needs: b, if: \"!cancelled() && needs.b.result == 'success'\", steps: [{run: a}]}\n  e: {runs-on: x, needs: b, if: \"needs.b.outputs.v == '2'\", steps: [{run: a}]}\n",
    );
    let roots = json!({"github": {"ref": "x"}});
    let go = |key: &str, r: &IndexMap<String, JobResult>, cancelled| decide(&p, p.job(key).unwrap(), r, cancelled, &roots);
    assert_eq!(go("a", &results(&[]), false), Decision::Skip("`if: false` is false".into()));
    assert_eq!(go("b", &results(&[]), false), Decision::Wait);
    let r = results(&[("a", Outcome::Skipped)]);
    assert_eq!(go("b", &r, false), Decision::Run);
    let r = results(&[("a", Outcome::Skipped), ("b", Outcome::Success)]);
    assert_eq!(go("c", &r, false), Decision::Skip("job `a`, which it needs indirectly, was skipped".into()));
    assert_eq!(go("d", &r, false), Decision::Run);
    assert!(matches!(go("d", &r, true), Decision::Skip(_)));
    let r = results(&[("a", Outcome::Success), ("b", Outcome::Success)]);
    assert_eq!(go("e", &r, false), Decision::Skip("`if: needs.b.outputs.v == '2'` is false".into()));
    assert_eq!(go("c", &r, false), Decision::Run);
    let r = results(&[("a", Outcome::Success), ("b", Outcome::Failure)]);
    assert_eq!(go("c", &r, false), Decision::Skip("job `b`, which it needs, failed".into()));
    assert_eq!(go("b", &r, true), Decision::Run);
}

#[test]
fn matrices_combine() {
    use Outcome::*;
    assert_eq!(Outcome::combine([Success, Skipped]), Success);
    assert_eq!(Outcome::combine([Success, Cancelled]), Cancelled);
    assert_eq!(Outcome::combine([Cancelled, Failure, Success]), Failure);
    assert_eq!(Outcome::combine([Skipped]), Skipped);
}

#[test]
fn filters_decide_what_starts() {
    let with = |on: &str| plan(&format!("on: {on}\njobs: {{a: {{runs-on: x, steps: [{{run: a}}]}}}}"));
    let changed = ["docs/a.md".to_owned()];
    let push = |on: &str, name: &str, changed: Option<&[String]>| starts(&with(on), &Occasion::Push { name, changed });
    assert_eq!(push("push", "refs/heads/x", None), Ok(()));
    assert_eq!(push("push", "refs/tags/x", None), Ok(()));
    assert_eq!(push("{push: {branches: [main]}}", "refs/heads/main", None), Ok(()));
    assert_eq!(push("{push: {branches: [main]}}", "refs/tags/v1", None), Err("only branches start it".into()));
    assert_eq!(push("{push: {tags: ['v*']}}", "refs/heads/main", None), Err("only tags start it".into()));
    assert_eq!(push("{push: {tags: ['v*']}}", "refs/tags/v1", None), Ok(()));
    assert_eq!(push("{push: {branches: []}}", "refs/heads/main", None), Err("no branch pattern matches `main`".into()));
    assert_eq!(push("{push: {branches-ignore: ['d*']}}", "refs/heads/dev", None), Err("the branch `dev` is ignored".into()));
    assert_eq!(push("{push: {paths: ['src/**']}}", "refs/heads/x", Some(&changed)), Err("no changed file matches `paths`".into()));
    assert_eq!(
        push("{push: {paths-ignore: ['docs/**']}}", "refs/heads/x", Some(&changed)),
        Err("all changed files match `paths-ignore`".into())
    );
    assert_eq!(push("{push: {paths: ['docs/*']}}", "refs/heads/x", Some(&changed)), Ok(()));
    assert_eq!(push("{push: {paths: ['src/**']}}", "refs/heads/x", None), Ok(()));
    assert_eq!(push("workflow_dispatch", "refs/heads/x", None), Err("`on` does not name this event".into()));
    assert_eq!(starts(&with("[push, workflow_dispatch]"), &Occasion::Dispatch), Ok(()));
    // filters that would compare too much are not asked
    let list = vec!["'src/**'"; 500].join(", ");
    let changed = |n: usize| vec!["README.md".to_owned(); n];
    let large = format!("{{push: {{paths: [{list}]}}}}");
    assert!(push(&large, "refs/heads/main", Some(&changed(2))).is_err());
    assert_eq!(push(&large, "refs/heads/main", Some(&changed(2001))), Ok(()));
    let pr = Occasion::PullRequest { event: "pull_request", action: "labeled", base: "main", changed: None };
    assert_eq!(
        starts(&with("pull_request"), &pr),
        Err("the activity `labeled` starts nothing without `types`, only opened, synchronize, reopened do".into())
    );
}
