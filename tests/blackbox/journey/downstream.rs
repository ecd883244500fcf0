//! Pipelines that start pipelines: children of files and of an artifact, those of another project, what is passed, how
//! their ends and cancellations meet, and who may do it.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{databases, until};

use super::{Person, text};

const PARENT: &str = r#"
stages: [gen, go, after]
variables: {WHO: world}
gen:
  stage: gen
  script:
    - mkdir out
    - 'printf "made:\n  script: echo of-an-artifact $WHO\n" > out/child.yml'
  artifacts: {paths: [out]}
files:
  stage: go
  variables: {EXTRA: more}
  trigger:
    include: [{local: ci/a.yml}, {local: ci/b.yml, inputs: {word: hi}}]
    strategy: depend
generated:
  stage: go
  trigger: {include: [{artifact: out/child.yml, job: gen}], strategy: mirror}
far:
  stage: go
  variables: {FROM: $CI_PROJECT_PATH}
  trigger: {project: ann/lib, branch: main, strategy: depend}
alone:
  stage: go
  trigger: ann/lib
closed:
  stage: go
  allow_failure: true
  trigger: bob/own
after: {stage: after, script: echo after}
"#;

const A: &str = "a: {script: 'echo \"a $WHO $EXTRA $CI_PIPELINE_SOURCE\"'}
deep: {trigger: {include: ci/deep.yml, strategy: depend}}
";
const B: &str = "spec: {inputs: {word: {}}}\n---\nb: {script: 'echo \"b $[[ inputs.word ]]\"'}\n";
const DEEP: &str = "deeper: {trigger: {include: ci/deeper.yml, strategy: depend}, allow_failure: true}\nd: {script: echo deep}\n";
const LIB: &str = "l: {script: 'echo \"lib for $FROM by $CI_PIPELINE_SOURCE\"', rules: [{if: $CI_PIPELINE_SOURCE == \"pipeline\"}]}\n";

fn job<'r>(run: &'r Value, name: &str) -> &'r Value {
    run["jobs"].as_array().unwrap().iter().find(|j| j["name"] == name).unwrap_or_else(|| panic!("no job {name} in {run:#}"))
}

/// The run that a job of a run started.
fn below(ann: &Person, run: &Value, name: &str) -> Value {
    let id = &job(run, name)["id"];
    let child =
        run["children"].as_array().unwrap().iter().find(|c| c["job"] == *id).unwrap_or_else(|| panic!("nothing below {name}: {run:#}"));
    ann.api.get(&format!("/runs/{}", text(child, "id"))).expect(200).json
}

#[test]
fn pipelines_start_pipelines() {
    for database in databases() {
        let ann = Person::new(database, "process");
        let bob = ann.server.user("bob");
        bob.post("/projects/create", &json!({ "name": "own" })).expect(201);
        for name in ["app", "lib"] {
            ann.api.post("/projects/create", &json!({ "name": name })).expect(201);
        }
        let lib = ann.clone_of("ann/lib");
        lib.write(".gitlab-ci.yml", LIB);
        lib.push("lib");
        let clone = ann.clone_of("ann/app");
        for (path, content) in [(".gitlab-ci.yml", PARENT), ("ci/a.yml", A), ("ci/b.yml", B), ("ci/deep.yml", DEEP), ("ci/deeper.yml", A)] {
            clone.write(path, content);
        }
        let commit = clone.push("all");
        let top = ann.server.anonymous().token(&ann.token);
        let find =
            || top.get(&format!("/projects/ann%2Fapp/runs?commit={commit}")).expect(200).items().into_iter().find(|r| r["event"] == "push");
        let run = until("the run", Duration::from_secs(60), find);
        let run = ann.ended(text(&run, "id"));
        let logs = ann.logs(&run);
        ann.green(&run);
        let files = below(&ann, &run, "files");
        assert_eq!(
            (&files["event"], &files["parent"]["id"], &files["parent"]["number"]),
            (&json!("parent_pipeline"), &run["id"], &run["number"])
        );
        assert_eq!((text(&files, "dialect"), &files["conclusion"]), ("gitlab_ci", &json!("success")));
        let said = ann.logs(&files);
        assert!(said.contains("a world more parent_pipeline") && said.contains("b hi"), "{said}{logs}");
        assert!(ann.logs(&below(&ann, &run, "generated")).contains("of-an-artifact world"));
        let deep = below(&ann, &files, "deep");
        assert!(text(job(&deep, "deeper"), "reason").contains("2 levels"), "{deep:#}");
        let far = below(&ann, &run, "far");
        assert_eq!((text(&far, "project_path"), text(&far, "event")), ("ann/lib", "pipeline"));
        assert!(ann.logs(&far).contains("lib for ann/app by pipeline"), "{}", ann.logs(&far));
        assert!(text(job(&run, "closed"), "reason").contains("no project `bob/own`"), "{run:#}");
        assert_eq!(job(&run, "alone")["conclusion"], "success");
        // the commit is judged by the pipeline that was pushed, its children have a name of their own
        let again = ann.api.post(&format!("/runs/{}/retry", text(&run, "id")), &json!({ "job": job(&run, "far")["id"] })).expect(200).json;
        let again = ann.ended(text(&again, "id"));
        assert_ne!(below(&ann, &again, "far")["id"], far["id"], "another try starts another pipeline");

        // a failure comes up, whether the files are wrong or the jobs fail
        clone.write("ci/a.yml", "a: {script: 'false'}\n");
        clone.write("ci/b.yml", "spec: {inputs: {word: {}}}\n---\nb: {script: [[[1]], {x: y}]}\n");
        clone.write(
            ".gitlab-ci.yml",
            "stages: [one, two]\nbad: {stage: one, trigger: {include: ci/a.yml, strategy: depend}}\n\
             broken: {stage: one, trigger: {include: [{local: ci/b.yml, inputs: {word: x}}]}}\nlast: {stage: two, script: echo last}\n",
        );
        let commit = clone.push("fails");
        let run = until("the run", Duration::from_secs(60), || {
            let all = ann.api.get(&format!("/projects/ann%2Fapp/runs?commit={commit}")).expect(200).items();
            all.into_iter().find(|r| r["event"] == "push")
        });
        let run = ann.ended(text(&run, "id"));
        let how = |name: &str| job(&run, name)["conclusion"].clone();
        assert_eq!((how("bad"), how("broken"), how("last")), (json!("failure"), json!("failure"), json!("skipped")), "{run:#}");
        assert!(text(job(&run, "bad"), "reason").contains("ended as failure"));
        assert!(text(job(&run, "broken"), "reason").contains("have errors"), "{run:#}");
        assert_eq!(below(&ann, &run, "broken")["diagnostics"][0]["file"], "ci/b.yml");

        // a cancellation goes down, two levels
        clone.write("ci/a.yml", "wait: {script: sleep 300}\n");
        clone.write("ci/mid.yml", "mid: {trigger: {include: ci/a.yml, strategy: depend}}\n");
        clone.write(".gitlab-ci.yml", "top: {trigger: {include: ci/mid.yml, strategy: depend}}\n");
        let commit = clone.push("long");
        let run = until("a job deep below runs", Duration::from_secs(90), || {
            let all = ann.api.get(&format!("/projects/ann%2Fapp/runs?commit={commit}")).expect(200).items();
            let run = |workflow: &str| all.iter().find(|r| r["name"].as_str().unwrap().ends_with(workflow)).cloned();
            run("/ mid").filter(|r| r["state"] == "running")?;
            all.iter().find(|r| r["event"] == "push").cloned()
        });
        ann.api.post(&format!("/runs/{}/cancel", text(&run, "id")), &json!({})).expect(200);
        until("all three are cancelled", Duration::from_secs(60), || {
            let all = ann.api.get(&format!("/projects/ann%2Fapp/runs?commit={commit}")).expect(200).items();
            (all.len() == 3 && all.iter().all(|r| r["conclusion"] == "cancelled")).then_some(())
        });
    }
}
