//! The parser and the model.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::ast::{ExprKind, StmtKind};
use super::{parse, read};

fn model(text: &str) -> Value {
    let read = read("Jenkinsfile", text.as_bytes());
    assert!(read.diagnostics.is_empty(), "{:?}", read.diagnostics);
    read.pipeline.unwrap().json()["pipeline"].take()
}

fn errors(text: &str) -> Vec<String> {
    read("Jenkinsfile", text.as_bytes()).diagnostics.iter().map(ToString::to_string).collect()
}

fn steps(body: &str) -> Value {
    let text = format!("pipeline {{\n agent any\n stages {{ stage('a') {{ steps {{\n{body}\n}} }} }}\n}}");
    model(&text)["stages"][0]["branches"][0]["steps"].take()
}

fn literal(value: impl Into<Value>) -> Value {
    json!({"isLiteral": true, "value": value.into()})
}

fn code(text: &str) -> Value {
    json!({"isLiteral": false, "value": text})
}

#[test]
fn a_whole_pipeline() {
    let text = r#"#!/usr/bin/env groovy
@Library('shared@main') _
def version = '1.0'
pipeline {
    agent { docker { image 'alpine:3'
                     args "-v /tmp:/tmp" } }
    environment {
        A = 'x'
        B = "${A}-y"
        C = credentials('deploy')
        D = 'a' + "b" + "${A}"
    }
    options { timeout(time: 5, unit: 'MINUTES'); buildDiscarder(logRotator(numToKeepStr: '3')); timestamps() }
    parameters { string(name: 'WHO', defaultValue: 'me', description: '') }
    triggers { cron('@daily') }
    tools { jdk 'jdk21' }
    stages {
        stage('Build') {
            when { beforeAgent true
                   anyOf { branch 'main'; not { environment name: 'A', value: 'x' } }
                   expression { return params.WHO == 'me' } }
            input { message 'go?'
                    ok 'yes'
                    parameters { booleanParam(name: 'F', defaultValue: true) } }
            steps { sh 'make' }
        }
        stage('Test') {
            failFast true
            parallel {
                stage('one') { agent any; steps { echo "one" } }
                stage('two') { stages { stage('inner') { steps { echo "two ${version}" } } } }
            }
        }
        stage('Cells') {
            matrix {
                axes { axis { name 'OS'
                              values 'linux', "mac" } }
                excludes { exclude { axis { name 'OS'
                                            notValues 'linux' } } }
                stages { stage('cell') { steps { echo OS } } }
            }
        }
    }
    post { always { junit '**/*.xml' }
           cleanup { deleteDir() } }
}
"#;
    let m = model(text);
    assert_eq!(
        m["agent"],
        json!({"type": "docker", "arguments": [{"key": "image", "value": literal("alpine:3")}, {"key": "args", "value": literal("-v /tmp:/tmp")}]})
    );
    assert_eq!(
        m["environment"],
        json!([
            {"key": "A", "value": literal("x")},
            {"key": "B", "value": code("\"${A}-y\"")},
            {"key": "C", "value": {"name": "credentials", "arguments": [literal("deploy")]}},
            {"key": "D", "value": code("ab${A}")},
        ])
    );
    assert_eq!(
        m["options"],
        json!({"options": [
            {"name": "timeout", "arguments": [{"key": "time", "value": literal(5)}, {"key": "unit", "value": literal("MINUTES")}]},
            {"name": "buildDiscarder", "arguments": [{"name": "logRotator", "arguments": [{"key": "numToKeepStr", "value": literal("3")}]}]},
            {"name": "timestamps", "arguments": []},
        ]})
    );
    assert_eq!(m["triggers"], json!({"triggers": [{"name": "cron", "arguments": [literal("@daily")]}]}));
    assert_eq!(m["tools"], json!([{"key": "jdk", "value": literal("jdk21")}]));
    let build = &m["stages"][0];
    assert_eq!(
        build["when"],
        json!({"beforeAgent": true, "conditions": [
            {"name": "anyOf", "children": [
                {"name": "branch", "arguments": literal("main")},
                {"name": "not", "children": [{"name": "environment", "arguments": [
                    {"key": "name", "value": literal("A")}, {"key": "value", "value": literal("x")}]}]},
            ]},
            {"name": "expression", "arguments": [{"key": "scriptBlock", "value": literal("return params.WHO == 'me'")}]},
        ]})
    );
    assert_eq!(
        build["input"],
        json!({"message": literal("go?"), "ok": literal("yes"), "parameters": {"parameters": [
            {"name": "booleanParam", "arguments": [{"key": "name", "value": literal("F")}, {"key": "defaultValue", "value": literal(true)}]}]}})
    );
    assert_eq!(
        build["branches"],
        json!([{"name": "default", "steps": [{"name": "sh", "arguments": [{"key": "script", "value": literal("make")}]}]}])
    );
    assert_eq!(m["stages"][1]["failFast"], true);
    assert_eq!(m["stages"][1]["parallel"][1]["stages"][0]["name"], "inner");
    let matrix = &m["stages"][2]["matrix"];
    assert_eq!(matrix["axes"], json!([{"name": "OS", "values": [literal("linux"), literal("mac")]}]));
    assert_eq!(matrix["excludes"], json!([[{"name": "OS", "values": [literal("linux")], "inverse": true}]]));
    assert_eq!(matrix["stages"][0]["branches"][0]["steps"][0]["arguments"][0]["value"], code("${OS}"));
    assert_eq!(m["post"]["conditions"][1]["branch"]["steps"], json!([{"name": "deleteDir", "arguments": []}]));
}

#[test]
fn arguments_of_steps() {
    assert_eq!(steps("echo 'a'")[0]["arguments"], json!([{"key": "message", "value": literal("a")}]));
    assert_eq!(steps("foo 'a'")[0]["arguments"], literal("a"));
    assert_eq!(steps("foo 'a', 2")[0]["arguments"], json!([literal("a"), literal(2)]));
    assert_eq!(steps("checkout scm")[0]["arguments"], json!([{"key": "scm", "value": code("${scm}")}]));
    assert_eq!(
        steps("step([$class: 'X', a: [1, 2]])")[0]["arguments"],
        json!([{"key": "delegate", "value": code("[$class: 'X', a: [1, 2]]")}])
    );
    assert_eq!(steps("echo a + b  .c")[0]["arguments"][0]["value"], code("${a+b  .c}"));
    assert_eq!(steps("echo \"$a.b\"")[0]["arguments"][0]["value"], code("\"$a.b\""));
    assert_eq!(
        steps("foo(-3, 1.50, 2.0, null, true)")[0]["arguments"],
        json!([literal(-3), literal(1.5), literal(2), literal(Value::Null), literal(true)])
    );
    let tree = steps("timeout(time: 1, unit: 'HOURS') { retry(3) { sh \"\"\"a\n  ${b}\"\"\" } }");
    assert_eq!(tree[0]["children"][0]["arguments"], literal(3));
    assert_eq!(tree[0]["children"][0]["children"][0]["arguments"][0]["value"], code("\"\"\"a\n  ${b}\"\"\""));
    let script = steps("script {\n  def x = [a: 1] // one\n  if (x) {\n    echo 'y'\n  } // two\n}");
    let text = "def x = [a: 1] // one\n  if (x) {\n    echo 'y'\n  } // two";
    assert_eq!(script[0]["arguments"], json!([{"key": "scriptBlock", "value": literal(text)}]));
    // a text with values in it stands as it is written, a constant as it is meant
    assert_eq!(steps(r#"echo "a\\\\b ${N}""#)[0]["arguments"][0]["value"], code(r#""a\\\\b ${N}""#));
    assert_eq!(steps(r#"echo "a\\\\b""#)[0]["arguments"][0]["value"], literal(r"a\\b"));
    let wrapped = steps("box(123) { echo 'x' }");
    assert_eq!((&wrapped[0]["arguments"], &wrapped[0]["children"][0]["name"]), (&literal(123), &json!("echo")));
    let parallel = model(
        "pipeline { agent none; stages { stage('p') { steps { parallel(a: { echo '1' }, \"b\": { echo '2' }, failFast: true) } } } }",
    );
    assert_eq!(parallel["stages"][0]["branches"][1]["name"], "b");
    assert_eq!(parallel["stages"][0]["failFast"], true);
}

#[test]
fn groovy_is_parsed() {
    for text in [
        "def a = [1, 2, 3].collect { it * 2 }.findAll { x -> x > 2 }",
        "def f(String a, b = 2) { return a ?: b }\nf 'x'",
        "for (int i = 0; i < 3; i++) { println i }",
        "for (x in 1..<4) println(x)",
        "try { a() } catch (IOException | Foo e) { throw e } finally { b() }",
        "switch (x) { case 1: a(); break\n case ~/foo/: case [1, 2]: b()\n default: c() }",
        "a?.b?.c()\n  .d { it }\n  .e",
        "def (x, y) = [1, 2]",
        "Map<String, List<Integer>> m = [:]",
        "def s = sh script: 'x', returnStdout: true",
        "def t = a ? b : c\nx = y == 1 && !z || w =~ /a\\/b$/",
        "x = (String) y\nz = y as Integer",
        "m.each { k, v -> echo \"${k}=${v.collect { it.toString() }.join(\", \")}\" }",
        "def d = $/a $x /$",
        "if (a) b() else if (c) d()\nelse { e() }",
        "a << 'x'\nb[1] = c['d'].e += 2",
        "new Date()\nassert x : 'no'",
        "while (true) { break }",
        "foo.\"bar ${x}\"()",
        "'''a\n'b' \\u0041'''",
        "echo 'a'; echo 'b' /* c */ // d",
        "x = [*a, *b]\nf(*c)",
        "final String q = 'a'\nprivate static int z() { 1 }",
        "return\n",
    ] {
        if let Err(e) = parse(text) {
            panic!("{text}: {e:?}");
        }
    }
    let script = parse("a = 1 + 2 * 3 ** 2 - -4").unwrap();
    let StmtKind::Expr(expr) = &script.body[0].kind else { panic!() };
    assert!(matches!(&expr.kind, ExprKind::Assign("", _, right) if matches!(right.kind, ExprKind::Binary("-", ..))));
}

#[test]
fn messages_have_places() {
    let wrap = |body: &str| format!("pipeline {{\n  agent any\n  stages {{\n{body}\n  }}\n}}\n");
    for (text, expected) in [
        (wrap(""), "Jenkinsfile:1:1: error[empty]: No stages specified"),
        (wrap("stage('a') { echo 'x' }"), "Jenkinsfile:4:14: error[unknown_section]: Unknown stage section \"echo\""),
        (wrap("stage('a') { }"), "Jenkinsfile:4:1: error[missing]: Expected one of \"steps\", \"stages\", or \"parallel\" for stage \"a\""),
        (wrap("stage('a') { steps { echo 'x' ) }"), "Jenkinsfile:4:31: error[syntax]: unexpected token: )"),
        (wrap("stage('a') { steps { echo mesage: 'x' } }"), "Invalid parameter \"mesage\", did you mean \"message\"?"),
        (wrap("stage('a') { steps { writeFile file: 'x' } }"), "Missing required parameter: \"text\""),
        (wrap("stage('a') { when { foo() }\nsteps { echo 'x' } }"), "Unknown conditional foo."),
        (wrap("stage('a') { environment { A = b }\nsteps { echo 'x' } }"), "Environment variable values must either be"),
        (wrap("stage('a') { steps { x = 1 } }"), "Expected a step"),
        (wrap("stage('a') { steps { foo.bar() } }"), "Method calls on objects not allowed outside \"script\" blocks."),
        ("pipeline { stages { stage('a') { steps { echo 'x' } } } }".into(), "Missing required section \"agent\""),
        ("pipeline { agent foo\n stages { stage('a') { steps { echo 'x' } } } }".into(), "Only \"agent none\", \"agent any\""),
        ("node { sh 'x' }".into(), "scripted pipelines"),
        ("node { pipeline { agent any } }".into(), "pipeline block must be at the top-level"),
        ("pipeline { agent any; agent none; stages { stage('a') { steps { echo 'x' } } } }".into(), "Multiple occurrences of the agent"),
        ("pipeline { agent any; notifications { } }".into(), "has been removed as of version 0.6"),
        ("def x = 'a\n'".into(), "Jenkinsfile:1:11: error[syntax]: expecting ''', found '\\n'"),
    ] {
        let found = errors(&text);
        assert!(found.iter().any(|e| e.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn hostile_files_are_refused() {
    for text in [
        "(".repeat(200_000),
        "[".repeat(50_000),
        "{".repeat(50_000),
        "\"${".repeat(5_000),
        "a.".repeat(200_000),
        "!".repeat(100_000),
        "-x".repeat(100_000),
        "a?b:".repeat(50_000),
        "if(a)".repeat(50_000),
        "else ".repeat(1000),
        "{ x -> ".repeat(3000),
        "a b ".repeat(50_000),
        "x=".repeat(10_000),
    ] {
        let _ = read("Jenkinsfile", text.as_bytes());
    }
    let _ = read("Jenkinsfile", &vec![b'a'; 3 << 20]);
    let _ = read("Jenkinsfile", &[0xff, 0xfe]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn never_panics(text in "\\PC{0,200}") {
        let _ = read("Jenkinsfile", text.as_bytes());
    }

    #[test]
    fn never_panics_on_tokens(words in proptest::collection::vec(proptest::sample::select(vec![
        "pipeline", "stages", "stage('a')", "steps", "{", "}", "(", ")", "[", "]", "'x'", "\"${", "a", "$b", "\"", "'''", ":", ",", ".", "->", "=", "\n",
        "sh", "def", "if", "else", "for", "in", "1", "2.5", "+", "?", "?:", "/", "agent any", "when", "script", "return", "..", "as", "@", "try", "catch",
        "environment", "matrix", "axes", "parallel", "post", "always", "é",
    ]), 0..60)) {
        let _ = read("Jenkinsfile", words.join(" ").as_bytes());
        let _ = read("Jenkinsfile", words.concat().as_bytes());
    }
}

pub(super) mod pipelines {
    use std::sync::Mutex;

    use indexmap::IndexMap;

    use super::super::interp::{BuildResult, Context, Credential, Host, Refusal, Reply, Request, Start};
    use super::super::library::Library;
    use super::super::{plan, read_with, run};

    /// Notes what it is asked; scripts that begin with `fail` fail.
    #[derive(Default)]
    struct Notes {
        said: Mutex<Vec<String>>,
        rows: Mutex<Vec<String>>,
    }

    impl Host for Notes {
        fn ask(&self, context: &Context, env: &IndexMap<String, String>, request: Request) -> Result<Reply, Refusal> {
            let mut said = self.said.lock().unwrap();
            Ok(match request {
                Request::Echo(text) => {
                    said.push(text);
                    Reply::Done
                }
                Request::Shell { script, .. } => {
                    said.push(format!("sh {script} {}", env.get("A").map_or("", |v| v)));
                    Reply::Shell { code: i32::from(script.starts_with("fail")), stdout: "out\n".into() }
                }
                Request::StageBegin(name) => {
                    let mut rows = self.rows.lock().unwrap();
                    rows.push(name);
                    Reply::Count(rows.len() - 1)
                }
                Request::StageEnd { row, result } => {
                    said.push(format!("{}: {}", self.rows.lock().unwrap()[row], result.as_str()));
                    Reply::Done
                }
                Request::Checkout => {
                    said.push(format!("checkout {}", context.dir));
                    Reply::Done
                }
                Request::ReadFile(_) => Reply::Text("echo 'loading'\nvalue = 7\ndef name(x) { x + '!' }\nreturn this\n".into()),
                Request::Archive { includes, .. } => {
                    said.push(format!("archive {includes}"));
                    Reply::Done
                }
                Request::Pwd => Reply::Text("/w".into()),
                Request::Junit { .. } => Reply::Tests { total: 2, failed: 1, skipped: 0 },
                _ => Reply::Done,
            })
        }

        fn credential(&self, id: &str) -> Option<Credential> {
            (id == "deploy").then(|| Credential::Pair("me".into(), "pw".into()))
        }

        fn now(&self) -> u64 {
            0
        }
    }

    fn go(text: &str) -> (BuildResult, Vec<String>) {
        after(text, run::History::default())
    }

    fn after(text: &str, history: run::History) -> (BuildResult, Vec<String>) {
        let (result, said, _) = begin(text, history, &[]);
        (result, said)
    }

    /// With libraries; a failure's place and message come last.
    pub(in crate::jenkins) fn go_with(text: &str, libraries: &[Library]) -> (BuildResult, Vec<String>) {
        let (result, mut said, failure) = begin(text, run::History::default(), libraries);
        said.extend(failure);
        (result, said)
    }

    fn begin(text: &str, history: run::History, libraries: &[Library]) -> (BuildResult, Vec<String>, Option<String>) {
        let read = read_with("Jenkinsfile", text.as_bytes(), libraries);
        assert!(read.diagnostics.is_empty(), "{:?}", read.diagnostics);
        let host = Notes::default();
        let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let mut env = IndexMap::from([text("BRANCH_NAME", "main"), text("WORKSPACE", "/w")]);
        env.extend(run::environment(&serde_json::json!({"repository": "ann/app", "ref_name": "main"}), "http://x"));
        env.shift_remove("BUILD_CAUSE");
        let github = serde_json::json!({"run_number": "7", "repository": "ann/app", "event_name": "workflow_dispatch", "actor": "ann"});
        let build = run::build_fields(&github, "http://x", &history);
        let ended = run::run(&read, &host, &Start { env, history, build, libraries: libraries.to_vec(), ..Start::default() });
        let said = host.said.lock().unwrap().clone();
        (ended.result, said, ended.failure.map(|f| format!("{}: {}", read.source.span(f.at), f.message)))
    }

    #[test]
    fn stages_run_in_order_with_what_comes_after() {
        let (result, said) = go(r#"
            def tool = 'gcc'
            pipeline {
                agent any
                environment { A = "${B}1"; B = 'b' }
                parameters { string(name: 'P', defaultValue: 'p') }
                stages {
                    stage('build') {
                        environment { D = credentials('deploy') }
                        when { branch 'ma*' }
                        steps { sh "make ${tool} ${params.P} $D_USR" }
                        post { success { echo 'built' } always { echo 'always' } failure { echo 'no' } }
                    }
                    stage('skipped') { when { not { branch 'main' } } steps { echo 'never' } post { always { echo 'never' } } }
                    stage('both') { parallel {
                        stage('one') { steps { echo 'one' } }
                        stage('two') { agent any; steps { sh 'fail' } }
                    } }
                    stage('after') { steps { echo 'never' } }
                }
                post { cleanup { echo 'cleanup' }
                       failure { echo "failed: ${currentBuild.result}" } }
            }
        "#
        .replace("} always", "}\nalways")
        .replace("} failure", "}\nfailure")
        .replace("} steps", "}\nsteps")
        .replace("} post", "}\npost")
        .as_str());
        let expected = [
            "checkout ",
            "Declarative: Checkout SCM: SUCCESS",
            "sh make gcc p me b1",
            "always",
            "built",
            "Post build: SUCCESS",
            "build: SUCCESS",
            "Stage \"skipped\" skipped due to when conditional",
            "skipped: NOT_BUILT",
            "one",
            "one: SUCCESS",
            "checkout @agents/two",
            "two: Checkout SCM: SUCCESS",
            "sh fail b1",
            "two: FAILURE",
            "both: FAILURE",
            "Stage \"after\" skipped due to earlier failure(s)",
            "after: NOT_BUILT",
            "failed: FAILURE",
            "cleanup",
            "Declarative: Post Actions: SUCCESS",
        ];
        assert_eq!((result, said), (BuildResult::Failure, expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn cells_unstable_builds_and_options() {
        let (result, said) = go(r#"
            pipeline {
                agent none
                options { retry(2) }
                stages {
                    stage('m') { matrix {
                        axes { axis { name 'A'; values '1', '2', '3' } axis { name 'X'; values 'x' } }
                        excludes { exclude { axis { name 'A'; notValues '1', '2' } } }
                        stages { stage('cell') { steps { sh 'run' } } }
                    } }
                    stage('t') { steps { junit 'x' } post { unstable { echo 'unstable' } } }
                    stage('u') { steps { script { if (currentBuild.currentResult == 'UNSTABLE') { echo 'seen' } } } }
                }
                post { unstable { echo 'end' } }
            }
        "#
        .replace("} axis", "}\naxis")
        .replace("} post", "}\npost")
        .as_str());
        assert_eq!(result, BuildResult::Unstable);
        for expected in
            ["sh run 1", "sh run 2", "Matrix - A = '2', X = 'x': SUCCESS", "unstable", "t: UNSTABLE", "seen", "u: SUCCESS", "end"]
        {
            assert!(said.iter().any(|s| s == expected), "{expected}: {said:?}");
        }
        assert!(!said.iter().any(|s| s == "sh run 3"));
    }

    #[test]
    fn what_is_known_of_builds_before() {
        let text = r#"
            pipeline {
                agent none
                stages {
                    stage('docs') { when { changeset 'docs/**' }
                                    steps { echo 'docs' } }
                    stage('case') { when { changeset pattern: '.*\\.RS', comparator: 'REGEXP' }
                                    steps { echo 'case' } }
                    stage('log') { when { changelog 'fix(es)? #\\d+' }
                                   steps { echo 'log' } }
                    stage('by') { when { triggeredBy 'UserIdCause' }
                                  steps { echo 'by' } }
                    stage('seen') { steps { script {
                        echo "before ${currentBuild.previousBuild?.result} ${currentBuild.getPreviousBuild()?.getNumber()}"
                        for (set in currentBuild.changeSets) { for (one in set.items) { echo "${one.author.fullName}: ${one.msg}" } }
                        echo "${currentBuild.fullDisplayName} ${currentBuild.getBuildCauses('hudson.model.Cause$UserIdCause')[0].userId}"
                    } } }
                }
                post { changed { echo 'changed' }
                       fixed { echo 'fixed' }
                       regression { echo 'regression' } }
            }
        "#;
        let past = |result: &str| Some(run::Past { number: 6, result: result.into() });
        let change = |message: &str| run::Change { id: "c0".into(), message: message.into(), author: "Bo".into(), time: 0 };
        let history = run::History {
            previous: past("UNSTABLE"),
            success: None,
            commits: vec![change("Tidy\n\nThis fixes #12.")],
            files: Some(vec!["docs/a/b.md".into(), "src/x.rs".into()]),
        };
        let (result, said) = after(text, history);
        assert_eq!(result, BuildResult::Success);
        for expected in ["docs", "log", "before UNSTABLE 6", "Bo: Tidy", "ann/app #7 ann", "changed", "fixed"] {
            assert!(said.iter().any(|s| s == expected), "{expected}: {said:?}");
        }
        // `BUILD_CAUSE` is not in this environment, so nobody started it
        assert!(!said.iter().any(|s| matches!(s.as_str(), "case" | "by" | "regression")), "{said:?}");

        let (_, said) = after(text, run::History { previous: past("SUCCESS"), ..run::History::default() });
        assert!(said.iter().any(|s| s.starts_with("Warning, the changes of this build are not known")), "{said:?}");
        assert!(!said.iter().any(|s| matches!(s.as_str(), "docs" | "log" | "changed" | "fixed")), "{said:?}");
        let (_, said) = go(text);
        assert!(said.iter().any(|s| s == "changed") && said.iter().any(|s| s == "before null null"), "{said:?}");
    }

    #[test]
    fn plans_say_what_is_not_done() {
        let compile = |text: &str| plan::compile("Jenkinsfile", text.as_bytes());
        let good = compile(
            "pipeline { agent { docker 'alpine' }\n options { disableConcurrentBuilds() }\n parameters { choice(name: 'C', choices: ['a', 'b']) }\n stages { stage('a') { steps { sh 'x' } } } }",
        );
        let plan = good.plan.unwrap();
        assert_eq!(plan.jobs[0].container.as_ref().unwrap().image, "alpine");
        assert_eq!(plan.inputs["C"].options, ["a", "b"]);
        assert!(plan.concurrency.unwrap().queue);
        let told = "pipeline { agent any\n stages { stage('a') { steps { lock(resource: 'db') { sh 'x' }\n mail to: 'x', subject: 's', body: 'b' } } } }";
        let locked = compile(told);
        let job = locked.plan.unwrap().jobs.remove(0);
        assert_eq!(job.concurrency.map(|c| (c.group, c.queue)), Some(("lock/db".to_owned(), true)));
        let said: Vec<String> = locked.diagnostics.iter().map(ToString::to_string).collect();
        assert!(
            said[0].contains("2:32: warning[different]: the whole run")
                && said[1].contains("3:2: warning[different]: `mail` sends nothing"),
            "{said:?}"
        );
        let (_, said) = go(told);
        assert!(said.iter().any(|s| s == "mail: not sent, nothing sends messages here: s"), "{said:?}");
        for (text, expected) in [
            ("stages { stage('a') { steps { script { def x = bat 'y' } } } }", "the step `bat` is not supported here"),
            ("stages { stage('a') { steps { nexusUpload 'y' } } }", "the step `nexusUpload` is not known here"),
            (
                "stages { stage('a') { input { message 'm'; parameters { password(name: 'p') } }\n steps { sh 'y' } } }",
                "cannot ask for parameters of type `password`",
            ),
            (
                "options { lock(label: 'x') }\n stages { stage('a') { steps { sh 'y' } } }",
                "this `lock` is not supported here: `label` has no",
            ),
            (
                "stages { stage('a') { steps { lock('a') { lock('b') { sh 'y' } } } } }",
                "holds one resource from its beginning to its end, `a`",
            ),
        ] {
            let compiled = compile(&format!("pipeline {{ agent any\n{text} }}"));
            assert!(compiled.plan.is_none(), "{text}");
            assert!(
                compiled.diagnostics.iter().any(|d| d.message.contains(expected) && d.span.line == 2),
                "{text}: {:?}",
                compiled.diagnostics
            );
        }
    }
}

#[test]
fn triggers_become_schedules_and_followers() {
    let text = r#"pipeline { agent any
    triggers { cron('TZ=Europe/Berlin\nH 2 * * 1-5\n@weekly'); upstream(upstreamProjects: 'Acme/Lib, acme/core', threshold: hudson.model.Result.UNSTABLE) }
    stages { stage('a') { steps { echo 'x' } } } }"#;
    let compiled = super::plan::compile("Jenkinsfile", text.as_bytes());
    let plan = compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let schedules: Vec<(&str, Option<&str>)> = plan.schedules().map(|s| (s.cron.as_str(), s.timezone.as_deref())).collect();
    assert_eq!(schedules, [("H 2 * * 1-5", Some("Europe/Berlin")), ("@weekly", Some("Europe/Berlin"))]);
    let upstream = crate::plan::Trigger::Upstream { projects: vec!["acme/lib".into(), "acme/core".into()], threshold: "UNSTABLE".into() };
    assert!(plan.triggers.contains(&upstream), "{:?}", plan.triggers);
    for (trigger, why) in [
        ("cron('H H H')", "line 1: a cron expression has five fields"),
        ("cron('* * * * *\\nTZ=No/Where')", "line 2: there is no time zone"),
        ("upstream(upstreamProjects: 'a/b', threshold: hudson.model.Result.ABORTED)", "`threshold` is"),
    ] {
        let text = format!("pipeline {{ agent any\n triggers {{ {trigger} }}\n stages {{ stage('a') {{ steps {{ echo 'x' }} }} }} }}");
        let compiled = super::plan::compile("Jenkinsfile", text.as_bytes());
        assert!(
            compiled.plan.is_none() && compiled.diagnostics.iter().any(|d| d.message.contains(why)),
            "{trigger}: {:?}",
            compiled.diagnostics
        );
    }
}
