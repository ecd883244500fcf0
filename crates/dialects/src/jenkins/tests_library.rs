//! Shared libraries and loaded files.

use indexmap::IndexMap;

use super::interp::BuildResult;
use super::library::{Found, Libraries, Library, Named, named};
use super::tests::pipelines::go_with;
use super::{plan, read, read_with};

fn library(name: &str, files: &[(&str, &str)]) -> Library {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect::<IndexMap<_, _>>();
    Library { name: name.into(), repository: format!("ann/{name}"), commit: "c".repeat(40), files }
}

fn tools() -> Library {
    library(
        "tools",
        &[
            (
                "vars/greet.groovy",
                "@groovy.transform.Field int times = 0\ndef call(String who = 'you', Closure body = null) {\n  times++\n  echo \"hello ${who} ${times}\"\n  if (body) { body() }\n  return twice(who)\n}\ndef twice(x) { \"${x}${x}\" }\ndef getSize() { 3 }\n",
            ),
            (
                "vars/config.groovy",
                "def call(Closure body) {\n  def settings = [:]\n  body.resolveStrategy = Closure.DELEGATE_FIRST\n  body.delegate = settings\n  body()\n  echo \"${settings.name}:${settings.list.join('+')}\"\n}\ndef call(Map args) { echo \"map ${args.a}\" }\n",
            ),
            (
                "vars/flow.groovy",
                "def call(Map config) {\n  def image = config.image\n  pipeline {\n    agent any\n    stages {\n      stage('one') { steps { greet(image) } }\n    }\n  }\n}\n",
            ),
            ("vars/broken.groovy", "def call() {\n  class X { }\n}\n"),
            ("src/org/acme/Names.groovy", "def shout(script, text) { script.echo(text.toUpperCase()); return this }\ndef last = 1\n"),
            ("src/org/acme/Thing.groovy", "class Thing { }\n"),
            ("resources/org/acme/note.txt", "a note"),
        ],
    )
}

const USES: &str = "@Library('tools@v1') _\nimport org.acme.Names\npipeline { agent none\n stages { stage('s') { steps {\n  greet 'ann'\n  script {\n   def r = greet('you') { echo 'inside' }\n   echo \"${r} ${greet.twice('z')} ${greet.size} ${greet.times}\"\n   config { name = 'n'\n     list = ['a', 'b'] }\n   config a: 5\n   new Names().shout(this, 'loud')\n   echo libraryResource('org/acme/note.txt')\n  }\n } } } }";

#[test]
fn variables_scripts_and_resources() {
    let (result, said) = go_with(USES, &[tools()]);
    let expected = ["hello ann 1", "hello you 2", "inside", "youyou zz 3 2", "n:a+b", "map 5", "LOUD", "a note", "s: SUCCESS"];
    assert_eq!((result, said), (BuildResult::Success, expected.map(str::to_owned).to_vec()));
}

#[test]
fn a_pipeline_in_a_library() {
    let text = "@Library('tools') _\nflow(image: 'alpine')\n";
    let (result, said) = go_with(text, &[tools()]);
    assert_eq!(result, BuildResult::Success);
    assert_eq!(said, ["checkout ", "Declarative: Checkout SCM: SUCCESS", "hello alpine 1", "one: SUCCESS"]);
    let found = read_with("Jenkinsfile", text.as_bytes(), &[tools()]);
    assert_eq!(found.pipeline.unwrap().stages.unwrap()[0].name, "one");
}

#[test]
fn libraries_are_named_and_told_when_missing() {
    let text = "@Library(['a@1', 'b']) _\nlibrary 'c@x/y'\nlibrary identifier: 'd@2'\npipeline { agent any\n libraries { lib('e@main') }\n stages { stage('s') { steps { foo 'x' } } } }";
    let names = named(&read("Jenkinsfile", text.as_bytes()));
    let shown: Vec<String> = names.iter().map(|n| format!("{}@{}", n.name, n.reference.as_deref().unwrap_or("-"))).collect();
    assert_eq!(shown, ["a@1", "b@-", "c@x/y", "d@2", "e@main"]);

    // a command without a server says so, and does not guess what the library defines
    let offline = plan::compile("Jenkinsfile", text.as_bytes());
    assert!(offline.plan.is_some(), "{:?}", offline.diagnostics);
    assert_eq!(offline.diagnostics.iter().filter(|d| d.message.contains("is looked up when a run is made")).count(), 5);

    let known = |f: Found| Libraries::known(vec![(Named { name: "tools".into(), reference: None, at: 0 }, f)]);
    let compile = |text: &str, f: Found| {
        let compiled = plan::compile_with("Jenkinsfile", text.as_bytes(), &known(f));
        (compiled.plan.is_some(), compiled.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    let (good, said) = compile(USES, Found::Loaded(tools()));
    assert!(good && said.is_empty(), "{said}");
    let (good, said) = compile(USES, Found::Closed("no such project".into()));
    assert!(!good && said.contains("Jenkinsfile:1:1: error[library]: the shared library tools: no such project"), "{said}");
    let broken = USES.replace("greet 'ann'", "broken()");
    let (good, said) = compile(&broken, Found::Loaded(tools()));
    assert!(!good && said.contains("ann/tools/vars/broken.groovy:2:3: error[syntax]"), "{said}");
    let classes = USES.replace("acme.Names", "acme.Thing");
    let (good, said) = compile(&classes, Found::Loaded(tools()));
    assert!(
        !good && said.contains("Jenkinsfile:2:1: error[unsupported]: org.acme.Thing of the shared library tools cannot be used"),
        "{said}"
    );
}

#[test]
fn failures_in_libraries_have_their_places() {
    let (_, said) =
        go_with("@Library('tools') _\npipeline { agent none\n stages { stage('s') { steps { greet('a', 'b', 'c') } } } }", &[tools()]);
    assert!(said.iter().any(|s| s == "s: FAILURE"), "{said:?}");
    let thrower = library("t", &[("vars/fail.groovy", "def call() {\n  def x = null\n  x.foo()\n}\n")]);
    let (_, said) = go_with("@Library('t') _\npipeline { agent none\n stages { stage('s') { steps { fail() } } } }", &[thrower]);
    assert!(said.last().is_some_and(|s| s.starts_with("ann/t/vars/fail.groovy:3:3: Cannot invoke method foo()")), "{said:?}");
}

#[test]
fn loaded_files() {
    let text = "pipeline { agent none\n stages { stage('s') { steps { script { def m = load 'm.groovy'\n echo m.name('x')\n echo m.value } } } } }";
    let (result, said) = go_with(text, &[]);
    assert_eq!(result, BuildResult::Success, "{said:?}");
    assert_eq!(said, ["loading", "x!", "7", "s: SUCCESS"]);
}
