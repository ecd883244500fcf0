//! The interpreter against a host that only notes what it is asked.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use proptest::prelude::*;

use super::super::{Source, parse};
use super::{Answer, Context, Credential, Exception, Host, Interp, Refusal, Reply, Request, Start, Value};

#[derive(Default)]
struct Notes {
    said: Mutex<Vec<String>>,
    clock: AtomicU64,
}

impl Host for Notes {
    fn ask(&self, context: &Context, env: &IndexMap<String, String>, request: Request) -> Result<Reply, Refusal> {
        let mut said = self.said.lock().unwrap();
        Ok(match request {
            Request::Echo(text) => {
                said.push(text);
                Reply::Done
            }
            Request::Shell { script, capture, .. } => {
                said.push(format!("sh {script}"));
                match script.as_str() {
                    "fail" => Reply::Shell { code: 3, stdout: String::new() },
                    "refuse" => return Err(Refusal::Failed("no".into())),
                    _ if capture => Reply::Shell { code: 0, stdout: format!("out of {script} with {}\n", env.get("A").map_or("", |v| v)) },
                    _ => Reply::Shell { code: 0, stdout: String::new() },
                }
            }
            Request::Sleep(ms) => {
                self.clock.fetch_add(ms, Ordering::Relaxed);
                Reply::Done
            }
            Request::ReadFile(path) => Reply::Text(format!("{}/{path}", context.dir)),
            Request::Exists(path) => Reply::Flag(path == "there"),
            Request::StageBegin(name) => {
                said.push(format!("[{name}"));
                Reply::Count(7)
            }
            Request::StageEnd { result, .. } => {
                said.push(format!("{}]", result.as_str()));
                Reply::Done
            }
            Request::Input { question, outside } => {
                let values: Vec<String> = question.parameters.iter().map(|p| format!("{}:{}={}", p.name, p.kind, p.default)).collect();
                let who = question.submitters.join("+");
                said.push(format!("? {} [{}] {who} {} {outside}", question.message, question.ok, values.join(" ")));
                let values = question.parameters.into_iter().map(|p| (p.name, p.default)).collect();
                Reply::Answer(Answer { proceed: question.message != "no", values, by: "ann".into() })
            }
            Request::Milestone(ordinal) => {
                said.push(format!("milestone {ordinal}"));
                if ordinal > 7 { Reply::Text("#9".into()) } else { Reply::Done }
            }
            Request::Service { action, with } => {
                said.push(format!("{} {with:?}", action.as_str()));
                Reply::Done
            }
            Request::Junit { .. } => Reply::Tests { total: 3, failed: 1, skipped: 0 },
            _ => Reply::Done,
        })
    }

    fn credential(&self, id: &str) -> Option<Credential> {
        match id {
            "pair" => Some(Credential::Pair("me".into(), "pw".into())),
            "text" => Some(Credential::Text("tt".into())),
            _ => None,
        }
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }
}

fn run(text: &str) -> (Result<Value, Exception>, Vec<String>) {
    let script = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let source = Source::new("Jenkinsfile", text);
    let host = Notes::default();
    let start = Start { params: IndexMap::from([("WHO".to_owned(), "you".into())]), ..Start::default() };
    let interp = Interp::new(&host, &source, &script, &start);
    let result = interp.run(&script, &Context::default());
    let said = host.said.lock().unwrap().clone();
    (result, said)
}

fn value(text: &str) -> String {
    match run(text).0 {
        Ok(value) => value.to_string(),
        Err(e) => format!("{}: {}", e.class, e.message),
    }
}

#[test]
fn values_are_as_in_groovy() {
    for (text, expected) in [
        ("1 + 2 * 3", "7"),
        ("7 / 2", "3.5"),
        ("6 / 2", "3"),
        ("2 ** 10", "1024"),
        ("7 % 3", "1"),
        ("'a' + 1 + null", "a1null"),
        ("\"${1 + 1} $env.X ${[1, 'a', [b: 2]]}\"", "2 null [1, a, [b:2]]"),
        ("def x = null; x?.foo ?: 'none'", "none"),
        ("[1, 2, 3].collect { it * 2 }.findAll { x -> x > 2 }.join('-')", "4-6"),
        ("def m = [a: 1, 'b': 2]; m.c = 3; m.collect { k, v -> \"$k=$v\" }.join(',')", "a=1,b=2,c=3"),
        ("[3, 1, 2].sort().reverse()", "[3, 2, 1]"),
        ("['bb', 'a'].sort { it.size() }[0]", "a"),
        ("(1..3).inject(0) { a, b -> a + b }", "6"),
        ("'a,b,,c,,'.split(',').size()", "4"),
        ("'a b  c'.tokenize()", "[a, b, c]"),
        ("'v1.2.3'.replaceAll(/v(\\d+)\\..*/, 'x$1')", "x1"),
        ("def t = 0; for (int i = 0; i < 5; i++) { if (i == 3) continue; t += i }; t", "7"),
        ("def t = []; for (x in ['a', 'b']) { t << x }; t", "[a, b]"),
        ("def t = 0; while (true) { t++; if (t > 4) break }; t", "5"),
        ("def r = 0; switch ('b') { case 'a': r = 1; break; case ['b', 'c']: r = 2; break; default: r = 3 }; r", "2"),
        ("try { error 'no' } catch (e) { e.message } finally { echo 'f' }", "no"),
        ("try { [][0].foo } catch (NullPointerException e) { 'npe' }", "npe"),
        ("try { throw new RuntimeException('x') } catch (Exception e) { e.getMessage() }", "x"),
        ("def f(a, b = 2) { return a + b }\nf(1)", "3"),
        ("def fib(n) { n < 2 ? n : fib(n - 1) + fib(n - 2) }\nfib(12)", "144"),
        ("def c = { a, b -> a * b }; c(3, 4)", "12"),
        ("def add = { x -> { y -> x + y } }; add(1)(2)", "3"),
        ("('abc' =~ /b(.)/)[0][1]", "c"),
        ("'abc' ==~ /a.c/", "true"),
        ("'x'.equals('x') && !('a' in ['b']) && 'k' in [k: 1]", "true"),
        ("'hello'[1..3] + 'hello'[-1] + 'hello'[0..-2]", "ellohell"),
        ("[1, [2, [3]]].flatten().sum()", "6"),
        ("['a', 'b'].withIndex().collect { v, i -> \"$i$v\" }", "[0a, 1b]"),
        ("def (a, b) = [1, 2]; b", "2"),
        ("int n = '42'.toInteger() as int; n + 1", "43"),
        ("[a: 1, b: 2].findAll { it.value > 1 }.keySet()", "[b]"),
        ("['x', 'y'].collectEntries { [it, it.toUpperCase()] }", "[x:X, y:Y]"),
        ("params.WHO + WHO", "youyou"),
        ("'%' * 3", "%%%"),
        ("'a\\nb'.readLines().size()", "2"),
        ("readJSON(text: '{\"a\": [1, {\"b\": true}]}').a[1].b", "true"),
        ("currentBuild.result == null && currentBuild.currentResult == 'SUCCESS'", "true"),
        ("nothing", "groovy.lang.MissingPropertyException: No such property: nothing for class: groovy.lang.Binding"),
        ("1 / 0", "java.lang.ArithmeticException: Division by zero"),
        ("9223372036854775807 + 1", "java.lang.ArithmeticException: long overflow"),
        ("x = 1\ndef g() { x + 1 }\ng()", "2"),
        ("def y = 1\ndef g() { y }\ng()", "groovy.lang.MissingPropertyException: No such property: y for class: groovy.lang.Binding"),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn steps_ask_the_host() {
    let (result, said) = run(r#"
        withEnv(['A=1']) { echo sh(script: 'x', returnStdout: true).trim() }
        env.A = 'global'
        echo "$A ${env.A}"
        def code = sh script: 'fail', returnStatus: true
        echo "code $code"
        catchError(buildResult: 'UNSTABLE', stageResult: 'FAILURE', message: 'oops') { sh 'fail' }
        echo currentBuild.currentResult
        retry(2) { echo 'try'; sh 'fail' }
    "#);
    assert_eq!(result.unwrap_err().message, "script returned exit code 3");
    let expected = [
        "sh x",
        "out of x with 1",
        "global global",
        "sh fail",
        "code 3",
        "sh fail",
        "ERROR: oops: script returned exit code 3",
        "UNSTABLE",
        "try",
        "sh fail",
        "ERROR: script returned exit code 3",
        "Retrying",
        "try",
        "sh fail",
    ];
    assert_eq!(said, expected);
}

#[test]
fn blocks_keep_their_surroundings() {
    let (result, said) = run(r#"
        dir('a') { dir('b/../c') { echo readFile('f') } }
        withCredentials([usernamePassword(credentialsId: 'pair', usernameVariable: 'U', passwordVariable: 'P'), string(credentialsId: 'text', variable: 'T')]) {
            echo "$U $P ${env.T}"
        }
        parallel one: { echo '1' }, two: { error 'two' }, three: { unstable 'u' }
    "#);
    assert_eq!(result.unwrap_err().message, "two");
    let expected = ["a/c/f", "me pw tt", "[one", "1", "SUCCESS]", "[two", "FAILURE]", "[three", "WARNING: u", "UNSTABLE]"];
    assert_eq!(said, expected);
    assert_eq!(
        value("timeout(time: 2, unit: 'SECONDS') { waitUntil { false } }"),
        "org.jenkinsci.plugins.workflow.steps.FlowInterruptedException: Timeout has been exceeded"
    );
    assert!(
        value("withCredentials([string(credentialsId: 'none', variable: 'T')]) { }")
            .contains("Could not find credentials entry with ID 'none'")
    );
    assert!(value("dir('../x') { }").contains("a directory outside the workspace is not supported here"));
    assert!(value("bat 'x'").contains("Batch scripts can only be run on Windows nodes"));
    assert!(value("frobnicate 'x'").contains("No such DSL method 'frobnicate' found among steps"));
    assert!(value("echo mesage: 'x'").contains("[mesage:x]") || value("sh scrip: 'x'").contains("did you mean \"script\"?"));
}

#[test]
fn scripts_are_bounded() {
    let bounded = |text: &'static str| {
        let thread = std::thread::Builder::new().stack_size(super::STACK_BYTES).spawn(move || value(text)).unwrap();
        thread.join().unwrap()
    };
    for (text, expected) in [
        ("def f() { f() }\nf()", "too deeply"),
        ("def s = 'aaaaaaaaaaaaaaaa'; while (true) { s += s }", "16 MiB"),
        ("def l = []; while (true) { l << 'x'.padLeft(100000) + l.size() }", "MiB of values"),
        ("('a'..'zz')", ""),
        ("1..99999999999", "longer than"),
        ("def l = []; l << l; l << l; l == l; [l] in l; l.remove(l); ''", ""),
        ("'x' * 99999999999", "16 MiB"),
        ("timeout(1) { while (true) { sleep 30 } }", "Timeout has been exceeded"),
        ("while (true) { }", "steps"),
        ("try { while (true) { } } catch (e) { 'caught' }", "steps"),
    ] {
        let said = bounded(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn never_panics(words in proptest::collection::vec(proptest::sample::select(vec![
        "x", "y", "=", "1", "-2", "'a'", "[", "]", "(", ")", "{", "}", "it", ".size()", ".collect", ".join(',')", "+", "-", "*", "/", "?", ":", "?:", "..",
        "def ", "\n", ";", "if (x)", "[a: 1]", "[1, 2]", ".each", "\"${x}\"", "null", "true", "!", "==", "<", "in ", "=~", "[0]", ".a", "echo ", "sh ",
        "return ", "for (i in x)", ".split('')", ".substring(1)", ".take(2)", ".sort()", "%", "**", "é",
    ]), 0..25)) {
        let text = words.concat();
        if let Ok(script) = parse(&text) {
            let source = Source::new("Jenkinsfile", &text);
            let host = Notes::default();
            let interp = Interp::new(&host, &source, &script, &Start::default());
            let _ = interp.run(&script, &Context { deadline: Some(1), ..Context::default() });
        }
    }
}

#[test]
fn people_are_asked() {
    let (result, said) = run("input 'plain'\n\
        def one = input(message: 'one', ok: 'Yes', submitter: 'a, b', parameters: [choice(name: 'C', choices: ['x', 'y'])])\n\
        def two = input(message: 'two', parameters: [string(name: 'S', defaultValue: 's'), booleanParam(name: 'B', defaultValue: true)], submitterParameter: 'W')\n\
        node { input 'inside' }\n\
        def why = ''\n\
        try { input 'no' } catch (e) { why = e.message }\n\
        return \"$one ${two.S} ${two.B} ${two.W} $why ${input(message: 'who', submitterParameter: 'W')}\"");
    assert_eq!(result.unwrap().to_string(), "x s true ann Rejected by ann ann");
    let asked: Vec<&str> = said.iter().filter_map(|s| s.strip_prefix("? ")).collect();
    assert_eq!(
        asked,
        [
            "plain [Proceed]   true",
            "one [Yes] a+b C:choice=\"x\" true",
            "two [Proceed]  S:string=\"s\" B:boolean=true true",
            "inside [Proceed]   false",
            "no [Proceed]   true",
            "who [Proceed]   true",
        ]
    );
    for (wrong, why) in [
        ("input(message: 'x', parameters: [password(name: 'P')])", "password"),
        ("input(message: 'x', parameters: [choice(name: 'P', choices: [])])", "a choice needs `choices`"),
        ("input(message: 'x', parameters: [string(defaultValue: 'P')])", "needs a name"),
    ] {
        let thrown = run(wrong).0.unwrap_err();
        assert!(thrown.message.contains(why), "{wrong}: {}", thrown.message);
    }
}

#[test]
fn milestones_and_the_service() {
    let (result, said) = run("milestone(); milestone 3; milestone label: 'x', ordinal: 5\n\
        devmentorBuildImage context: '.', tags: ['a', \"b${1 + 1}\"], buildArgs: [A: 1], push: false\n\
        devmentorDeploy environment: 'live', image: 'a'");
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(said[..3], ["milestone 0", "milestone 3", "milestone 5"]);
    assert_eq!(
        said[3..],
        [
            "devmentor/build-image {\"context\": \".\", \"tags\": \"a\\nb2\", \"build-args\": \"A=1\", \"push\": \"false\"}",
            "devmentor/deploy {\"environment\": \"live\", \"image\": \"a\"}",
        ]
    );
    for (wrong, why) in [
        ("milestone 3; milestone 3", "must be greater than 3"),
        ("milestone 8", "Superseded by #9 at milestone 8"),
        ("devmentorDeploy image: 'a'", "Missing required parameter: \"environment\""),
        ("devmentorBuildImage squash: true", "Invalid parameter \"squash\""),
    ] {
        let thrown = run(wrong).0.unwrap_err();
        assert!(thrown.message.contains(why), "{wrong}: {}", thrown.message);
    }
}
