//! Pipelines that start pipelines, what the service watches, and the words of mistakes.

use super::tests::{Repo, build, facts, keys, plan, said, steps, with};
use super::*;
use crate::plan::{Environment, EnvironmentAction, Gate};

#[test]
fn a_job_starts_another_pipeline() {
    let p = plan(
        "stages: [make, go]\nvariables: {WHO: all, WHERE: $CI_PROJECT_PATH}\nmake: {stage: make, script: x, artifacts: {paths: [out]}}\n\
         child:\n  stage: go\n  variables: {MORE: $WHO-more, ID: $CI_PIPELINE_ID, KEY: $CI_JOB_TOKEN}\n  trigger:\n    strategy: depend\n    \
         include: [{local: 'ci/$WHO.yml', inputs: {n: 1}}, {artifact: out/b.yml, job: make}]\n\
         far: {stage: go, needs: [], inherit: {variables: false}, trigger: {project: other/one, branch: $CI_COMMIT_REF_NAME, forward: {pipeline_variables: true}}}\n\
         plain: {stage: go, trigger: other/two, when: manual}",
    );
    let (child, far) = (p.job("child").unwrap(), p.job("far").unwrap());
    assert!(child.steps.is_empty() && child.runs_on.is_empty());
    assert_eq!(child.needs, ["make"]);
    let passed: Vec<(&str, &str)> = child.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        passed,
        [("WHO", "all"), ("WHERE", "group/project"), ("MORE", "all-more"), ("ID", "${{ github.run_id }}")],
        "a token is not given away"
    );
    let d = child.downstream.as_deref().unwrap();
    assert_eq!((d.follow, d.project.as_deref(), d.forward_given), (crate::plan::Follow::Depend, None, false));
    assert_eq!(d.include, serde_json::json!([{"local": "ci/all.yml", "inputs": {"n": 1}}, {"artifact": "out/b.yml", "job": "make"}]));
    assert_eq!(d.artifacts["make"], "make");
    let d = far.downstream.as_deref().unwrap();
    assert_eq!((d.project.as_deref(), d.reference.as_deref(), d.forward_given), (Some("other/one"), Some("main"), true));
    assert!(far.needs.is_empty() && far.env.is_empty());
    let plain = p.job("plain").unwrap();
    assert_eq!(
        (plain.gate.clone(), plain.downstream.as_deref().unwrap().follow),
        (Some(Gate::Manual { blocking: false }), crate::plan::Follow::Never)
    );

    // what a child includes is put together, with what it is given
    let repo = Repo {
        files: [("ci/all.yml", "spec: {inputs: {n: {type: number}}}\n---\na: {script: 'echo $[[ inputs.n ]] $WHO', rules: [{if: $CI_PIPELINE_SOURCE == 'parent_pipeline'}]}")].into(),
        others: [(("make", "out/b.yml"), "b: {script: x}")].into(),
        ..Repo::default()
    };
    let facts = Facts { source: "parent_pipeline".into(), passed: [("WHO".to_owned(), "you$$".to_owned())].into(), ..facts() };
    let c = compile_child(FILE, &child.downstream.as_deref().unwrap().include, &child.span, &facts, &repo);
    let p = c.plan.clone().unwrap_or_else(|| panic!("{}", said(&c)));
    assert_eq!((keys(&p), p.job("a").unwrap().env["WHO"].as_str()), (vec!["a", "b"], "you$$"));
    let c = compile_child(FILE, &serde_json::json!("gone.yml"), &child.span, &facts, &repo);
    assert!(said(&c).contains(".gitlab-ci.yml:4:1: error[include_not_found]: `gone.yml`"), "{}", said(&c));
}

#[test]
fn paths_are_looked_for_by_pattern() {
    let repo = Repo { files: [("lib/one.rb", "")].into(), ..Repo::default() };
    let text = "a: {script: x, rules: [{exists: {regexp: '^lib/.*\\.rb$'}}]}\n\
                b: {script: x, rules: [{exists: {regexp: 'o{3}'}}]}\n\
                c: {script: x, rules: [{changes: {regexp: 'never', compare_to: main}}]}\n\
                d: {script: x, rules: [{changes: {paths: [nope], regexp: '.', compare_to: main}}]}";
    let c = build(text, &facts(), &repo);
    let p = c.plan.clone().unwrap_or_else(|| panic!("{}", said(&c)));
    assert_eq!(keys(&p), ["a", "d"]);
    assert!(p.decisions.iter().any(|d| d.job == "b" && d.because.contains("no file matches /o{3}/")), "{:#?}", p.decisions);
    for (text, expect) in [
        ("rules: [{exists: {regexp: '('}}]", "error[bad_value]: `exists:regexp` is no regular expression"),
        ("rules: [{changes: {regexp: 1}}, {exists: {ref: x}}]", "error[bad_combination]: `exists:ref` needs `exists:project`"),
        ("rules: [{exists: {paths: [a], where: b}}]", "error[unknown_key]: `exists` has no key `where`"),
    ] {
        let c = build(&format!("a: {{script: x, {text}}}"), &facts(), &repo);
        assert!(said(&c).contains(expect), "{text}: {}", said(&c));
    }
}

/// What well-known projects write, each in a form of our own.
#[test]
fn what_projects_write() {
    // fragments merged one after the other: the last one counts, also over what stands before it
    let p = plan(
        ".img: &img {image: rust, only: [tags], interruptible: true}\n.main: &main {only: [main]}\n\
         build: {image: own, <<: *img, <<: *main, script: x}\nown: {<<: *img, <<: *main, image: own, script: x}",
    );
    let images: Vec<&str> = p.jobs.iter().map(|j| j.container.as_ref().unwrap().image.as_str()).collect();
    assert_eq!((keys(&p), images), (vec!["build", "own"], vec!["rust", "own"]));
    // two groups of variables under one key, for their anchors
    let c = build(
        "variables: &a {T: one}\nvariables: &b {T: two}\na: {variables: {<<: *a, C: d}, script: x}\nb: {script: x}",
        &facts(),
        &Repo::default(),
    );
    let p = c.plan.clone().unwrap_or_else(|| panic!("{}", said(&c)));
    assert_eq!((p.job("a").unwrap().env["T"].as_str(), p.job("b").unwrap().env["T"].as_str()), ("one", "two"));
    // an empty depth is the whole history
    let p = plan("a: {variables: {GIT_DEPTH: ''}, script: x}\nb: {script: x}");
    assert_eq!(with(&p, "a", "Get sources")["fetch-depth"], "0");
    assert_eq!(with(&p, "b", "Get sources")["fetch-depth"], "20");
    // rules that are a hidden list, patterns that are empty but for a project, texts behind anchors
    let p = plan(
        ".merged:\n  - if: $CI_COMMIT_BRANCH == 'main' && $CI_PROJECT_URL =~ /.*\\/group\\/project/\n.say: &say\n  echo hi || exit 0\n\
         whole: {stage: .pre, rules: !reference [.merged], script: [*say]}\n\
         'with space': {rules: [!reference [.merged], {when: never}], needs: [whole], script: x}\n\
         here: {only: [//@group/project], script: x}\nelsewhere: {only: [//@other/one], script: x}",
    );
    assert_eq!(keys(&p), ["whole", "with space", "here"]);
    assert_eq!(p.job("with space").unwrap().needs, ["whole"]);
    // when there is a pipeline
    for (template, source, branch) in [("Branch-Pipelines.gitlab-ci.yml", "push", true), ("MergeRequest-Pipelines", "push", false)] {
        let text = format!("include: {{template: Workflows/{template}}}\na: {{script: x}}");
        let facts = Facts { source: source.into(), reference: "refs/heads/topic".into(), ..facts() };
        let c = build(&text, &facts, &Repo::default());
        let p = c.plan.clone().unwrap_or_else(|| panic!("{}", said(&c)));
        assert_eq!(!p.jobs.is_empty(), branch, "{template}");
    }
}

#[test]
fn keys_of_other_executors_and_reports() {
    let text = "a:\n  script: x\n  image: {name: i, kubernetes: {user: u}}\n  services: [{name: db, docker: {user: '7'}, kubernetes: {user: u}}]\n  \
         artifacts: {reports: {lsif: l, sarif: s, license_management: m, coverage_report: {coverage_format: jacoco, path: j.xml}}}";
    let c = build(text, &facts(), &Repo::default());
    let p = c.plan.clone().unwrap_or_else(|| panic!("{}", said(&c)));
    let job = p.job("a").unwrap();
    assert_eq!(job.services["db"].options.as_deref(), Some("--user 7"));
    assert_eq!(said(&c).matches("`kubernetes` has no effect").count(), 2);
    assert_eq!(said(&c).matches("is not read here; the file is kept").count(), 3);
    assert_eq!(with(&p, "a", "Reports")["jacoco"], "j.xml");
}

#[test]
fn children_are_not_fetched_from_elsewhere() {
    let c = build("a: {trigger: {include: [{local: a.yml}, {template: T.yml}]}}", &facts(), &Repo::default());
    assert!(said(&c).contains(".gitlab-ci.yml:1:41: error[unsupported_include]: `include:template` is not supported"), "{}", said(&c));
}

/// The same mistake is told in the words of GitLab, so that what people find about it helps them.
#[test]
fn mistakes_are_told_in_gitlabs_words() {
    let script = "config should be a string or a nested array of strings up to 10 levels deep";
    let key = "should be a hash, a string or a symbol";
    for (text, expect) in [
        ("j: {script: x, environment: {name: e, action: halt}}", "action should be start, stop, prepare, verify, or access".into()),
        (
            "j: {script: x, environment: {name: e, deployment_tier: prod}}",
            "deployment tier must be one of production, staging, testing, development, other".into(),
        ),
        ("j: {script: [1]}", format!("jobs:j:script {script}")),
        ("j: {script: x, before_script: {a: b}}", format!("jobs:j:before_script {script}")),
        ("default: {after_script: [[x, [2]]]}\nj: {script: x}", format!("default:after_script {script}")),
        ("image: [a]\nj: {script: x}", "image config should be a hash or a string".into()),
        ("j: {script: x, image: 3}", "jobs:j:image config should be a hash or a string".into()),
        ("j: {script: x, image: i, services: redis}", "jobs:j:services config should be a array".into()),
        ("j: {script: x, image: i, services: [7]}", "jobs:j:services:service config should be a hash or a string".into()),
        ("j: {script: x, tags: fast}", "jobs:j:tags config should be an array of strings".into()),
        ("j: {script: x, allow_failure: often}", "jobs:j allow failure should be a hash or a boolean value".into()),
        (
            "j: {script: x, allow_failure: {exit_codes: a}}",
            "jobs:j:allow_failure exit codes should be an array of integers or an integer".into(),
        ),
        ("j: {script: x, stage: 2}", "jobs:j:stage config should be a string".into()),
        ("stages: [a, b]\nj: {script: x, stage: c}", "j job: chosen stage c does not exist; available stages are .pre, a, b, .post".into()),
        (
            "stages: a\nj: {script: x}",
            "stages config should be an array of strings or a nested array of strings up to 10 levels deep".into(),
        ),
        ("variables: text\nj: {script: x}", "variables config should be a hash".into()),
        ("variables: {A: [1]}\nj: {script: x}", "variable definition must be either a string or a hash".into()),
        ("j: {script: x, artifacts: [a]}", "jobs:j:artifacts config should be a hash".into()),
        ("j: {script: x, artifacts: {name: 1}}", "jobs:j:artifacts name should be a string".into()),
        ("j: {script: x, artifacts: {when: now}}", "jobs:j:artifacts when should be one of: on_success, on_failure, always".into()),
        ("j: {script: x, artifacts: {paths: a}}", "jobs:j:artifacts paths should be an array of strings".into()),
        ("j: {script: x, artifacts: {expire_in: 9 lives}}", "jobs:j:artifacts expire in should be a duration".into()),
        ("cache: {paths: a}\nj: {script: x}", "cache:paths config should be an array of strings".into()),
        ("j: {script: x, cache: {key: [a]}}", format!("jobs:j:cache:key {key}")),
        ("j: {script: x, cache: {key: {prefix: a}}}", "jobs:j:cache:key config missing required keys: files".into()),
        ("j: {script: x, cache: {key: {files: []}}}", "jobs:j:cache:key:files config requires at least 1 item".into()),
        ("j: {script: x, cache: {untracked: a}}", "jobs:j:cache:untracked config should be a boolean value".into()),
        ("j: {script: x, dependencies: a}", "jobs:j dependencies should be an array of strings".into()),
        ("j: {script: x, needs: a}", "jobs:j:needs config can only be a hash or an array".into()),
        ("j: {script: x, needs: [a]}", "j job: undefined need: a".into()),
        ("j: {script: x, dependencies: [a]}", "j job: undefined dependency: a".into()),
        ("j: {script: x, needs: [k, k]}\nk: {script: x}", "j has the following needs duplicated: k.".into()),
        (
            "j: {script: x, needs: [k], dependencies: [l]}\nk: {script: x}\nl: {script: x}",
            "jobs:j dependencies the l should be part of needs".into(),
        ),
        ("j: {script: x, needs: [k]}\nk: {script: x, stage: deploy}", "j job: need k is not defined in current or prior stages".into()),
        ("j: {script: x, needs: [k]}\nk: {script: x, needs: [j]}", "The pipeline has circular dependencies: ".into()),
        (
            "j: {script: x, needs: [k]}\nk: {script: x, rules: [{if: $NO}]}",
            "'j' job needs 'k' job, but 'k' does not exist in the pipeline".into(),
        ),
        ("j: {script: x, extends: .k}", "j: unknown keys in `extends` (.k)".into()),
        ("j: {script: x, parallel: many}", "jobs:j:parallel should be an integer or a hash".into()),
        ("j: {script: x, rules: {if: $A}}", "jobs:j rules should be an array containing hashes and arrays of hashes".into()),
        ("j: {script: x, only: [main], rules: [{if: $A}]}", "jobs:j config key may not be used with `rules`: only".into()),
        ("j: {script: x, odd: 1}", "jobs:j config contains unknown keys: odd".into()),
        ("j: text", "jobs j config should implement the script:, run:, or trigger: keyword".into()),
        (".h: {script: x}", "jobs config should contain at least one visible job".into()),
        ("workflow: {variables: {A: b}}\nj: {script: x}", "workflow config contains unknown keys: variables".into()),
    ] {
        let c = build(text, &facts(), &Repo::default());
        assert!(c.plan.is_none() && said(&c).contains(&expect), "{text}: {}", said(&c));
    }
}

#[test]
fn what_the_service_watches_is_in_the_plan() {
    use crate::plan::{AutoCancel, OnNewCommit};
    let p = plan(
        "workflow:\n  auto_cancel: {on_new_commit: interruptible, on_job_failure: all}\n\
        default: {interruptible: true, hooks: {pre_get_sources_script: [early]}}\n\
        a: {script: x, coverage: '/Total: (\\d+)%/', artifacts: {reports: {codequality: q.json}}}\nb: {script: x, interruptible: false}",
    );
    assert_eq!(p.auto_cancel, Some(AutoCancel { on_new_commit: OnNewCommit::Interruptible, on_job_failure: true }));
    assert_eq!((p.job("a").unwrap().interruptible, p.job("b").unwrap().interruptible), (true, false));
    assert_eq!(p.job("a").unwrap().coverage.as_deref(), Some(r"Total: (\d+)%"));
    assert_eq!(steps(&p, "a")[..2], ["Before the sources", "Get sources"]);
    assert_eq!(with(&p, "a", "Reports")["codequality"], "q.json");
    let p = plan("workflow:\n  rules: [{if: $CI_COMMIT_BRANCH, auto_cancel: {on_new_commit: none}}]\na: {script: x}");
    assert_eq!(p.auto_cancel.unwrap().on_new_commit, OnNewCommit::None);
}

#[test]
fn environments_say_who_stops_them() {
    let p = plan(
        "variables: {KEPT: 2 hours}
deploy:
  script: x
  environment: {name: review/$CI_COMMIT_REF_SLUG, url: 'https://$HOST', on_stop: stop, auto_stop_in: $KEPT}
  artifacts: {paths: [site], expose_as: The site, reports: {dotenv: d.env}}
stop:
  script: x
  when: manual
  environment: {name: review/$CI_COMMIT_REF_SLUG, action: stop}
look:
  script: x
  environment: {name: live, action: verify, auto_stop_in: never, deployment_tier: staging}
",
    );
    let e = p.job("deploy").unwrap().environment.clone().unwrap();
    assert_eq!((e.name.as_str(), e.on_stop.as_deref(), e.auto_stop_seconds), ("review/main", Some("stop"), Some(7200)));
    // the job writes the name of the host itself
    assert_eq!(e.url.as_deref(), Some("https://${{ fromJSON(steps.dotenv.outputs.variables || '{}')['HOST'] }}"));
    assert_eq!(p.job("deploy").unwrap().env["CI_ENVIRONMENT_TIER"], "development");
    assert_eq!(with(&p, "deploy", "Upload artifacts")["expose-as"], "The site");
    assert_eq!(p.job("stop").unwrap().environment.clone().unwrap().action, EnvironmentAction::Stop);
    let look = p.job("look").unwrap().environment.clone().unwrap();
    assert_eq!((look.action, look.auto_stop_seconds, look.tier.as_deref()), (EnvironmentAction::Verify, Some(0), Some("staging")));
    for (name, tier) in
        [("Production", "production"), ("review/x", "development"), ("pre-live", "staging"), ("qa", "testing"), ("x", "other")]
    {
        assert_eq!(Environment::tier_of(name), tier, "{name}");
    }
}

#[test]
fn files_come_from_elsewhere() {
    let repo = Repo {
        others: [
            (("", "https://files.example/a.yml"), "far: {script: [f]}\n"),
            (("", "https://files.example/b.yml"), "include: {local: c.yml}\n"),
            (("group/comp", "templates/lint/template.yml"), "lint: {script: [l]}\n"),
        ]
        .into(),
        ..Repo::default()
    };
    let sum = "sha256-EB4IgBUQ3a43CZpHQIWyMTL5EIqT8HUpH1Q0mD4ZQk0=";
    let whole = build(
        "include:\n- remote: https://files.example/a.yml\n- {component: localhost/group/comp/lint@~latest}\n- template: Workflows/Branch-Pipelines.gitlab-ci.yml\n",
        &facts(),
        &repo,
    );
    let p = whole.plan.clone().unwrap_or_else(|| panic!("{}", said(&whole)));
    assert_eq!(keys(&p), ["far", "lint"]);
    assert_eq!((p.includes.len(), p.includes[0].file.as_str()), (1, "https://files.example/a.yml"));
    assert!(p.includes[0].digest.starts_with("sha256:"));
    for (text, why) in [
        (format!("include: {{remote: 'https://files.example/a.yml', integrity: {sum}}}"), "is not what `integrity` says"),
        ("include: {remote: 'https://files.example/a.yml', integrity: md5-x}".into(), "`sha256-` and the digest"),
        ("include: https://files.example/b.yml".into(), "of no repository can include no file beside it"),
        ("include: {remote: 'ftp://files.example/a.yml'}".into(), "does not have a valid address"),
        ("include: {template: Nodejs.gitlab-ci.yml}".into(), "put a copy of `Nodejs.gitlab-ci.yml`"),
    ] {
        let said = said(&build(&format!("{text}\na: {{script: x}}"), &facts(), &repo));
        assert!(said.contains(why), "{text}: {said}");
    }
}
