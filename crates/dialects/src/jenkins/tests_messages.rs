//! What is told of a pipeline that Jenkins would refuse: one case for each of its messages.

use super::read;

/// The messages of a file with their places.
fn messages(text: &str) -> Vec<String> {
    read("Jenkinsfile", text.as_bytes()).diagnostics.iter().map(ToString::to_string).collect()
}

/// A pipeline with one stage and more sections.
fn top(sections: &str) -> String {
    format!("pipeline {{\nagent any\n{sections}\nstages {{ stage('one') {{ steps {{ echo 'x' }} }} }}\n}}")
}

/// A pipeline whose stage has more sections.
fn stage(sections: &str) -> String {
    format!("pipeline {{\nagent any\nstages {{ stage('one') {{\n{sections}\nsteps {{ echo 'x' }} }} }}\n}}")
}

/// A pipeline whose stage has these steps.
fn steps(steps: &str) -> String {
    format!("pipeline {{\nagent any\nstages {{ stage('one') {{ steps {{\n{steps}\n}} }} }}\n}}")
}

/// A pipeline whose stages are these.
fn stages(stages: &str) -> String {
    format!("pipeline {{\nagent any\nstages {{\n{stages}\n}}\n}}")
}

#[test]
fn every_message_at_its_place() {
    let cases: Vec<(String, &[&str])> = vec![
        // the pipeline
        (
            "node {\npipeline { agent any\nstages { stage('a') { steps { echo 'x' } } } } }".into(),
            &["2:1: error[syntax]: pipeline block must be at the top-level"],
        ),
        ("pipeline { }".into(), &["1:1: error[missing]: Missing required section \"stages\"", "Missing required section \"agent\""]),
        (
            "package a.b\npipeline { stages { stage('a') { steps { echo 'x' } } } }".into(),
            &["2:1: error[missing]: Missing required section \"agent\""],
        ),
        (
            "import foo.Bar\ndef f() { 1 }\npipeline { stages { stage('a') { steps { echo 'x' } } } }".into(),
            &["3:1: error[missing]: Missing required section \"agent\""],
        ),
        ("pipeline { agent any }".into(), &["Missing required section \"stages\""]),
        (top("node { echo 'x' }"), &["3:1: error[unknown_section]: Undefined section \"node\""]),
        (top("stages { stage('z') { steps { echo 'x' } } }"), &["4:1: error[duplicate]: Multiple occurrences of the stages section"]),
        (stage("agent any\nagent none"), &["5:1: error[duplicate]: Multiple occurrences of the agent section"]),
        (top("notifications { always { echo 'x' } }"), &["3:1: error[renamed]: The ‘notifications’ section has been removed"]),
        (top("jobProperties { }"), &["3:1: error[renamed]: The ‘jobProperties’ section has been renamed"]),
        // stages
        (stages(""), &["error[empty]: No stages specified"]),
        (stages("echo 'x'"), &["4:1: error[syntax]: Expected a stage"]),
        (stages("stage { steps { echo 'x' } }"), &["4:1: error[syntax]: Expected a stage name but did not find any"]),
        (stages("stage('') { steps { echo 'x' } }"), &["4:1: error[missing]: Stage does not have a name"]),
        (stages("stage('a')"), &["4:1: error[syntax]: Stage does not have a block"]),
        (stages("stage('a') { }"), &["4:1: error[missing]: Expected one of \"steps\", \"stages\", or \"parallel\" for stage \"a\""]),
        (stages("stage('a') { steps { } }"), &["error[empty]: No steps specified for branch"]),
        (stages("stage('a') { steps { echo 'x' } }\nstage('a') { steps { echo 'x' } }"), &["Duplicate stage name: \"a\""]),
        (stages("stage('a') { stages { stage('b') { stages { } } } }"), &["No stages specified"]),
        (
            stages("stage('a') { parallel { stage('b') { steps { echo 'x' } } }\nstages { stage('c') { steps { echo 'x' } } } }"),
            &["Only one of \"matrix\", \"parallel\", \"stages\", or \"steps\" allowed for stage \"a\""],
        ),
        (
            stages("stage('a') { agent any\ntools { maven 'x' }\nparallel { stage('b') { steps { echo 'x' } } } }"),
            &[
                "4:14: error[nesting]: \"agent\" is not allowed in stage \"a\" as it contains parallel stages",
                "\"tools\" is not allowed in stage \"a\" as it contains parallel stages",
            ],
        ),
        (
            stages("stage('a') { parallel { stage('b') { parallel { stage('c') { steps { echo 'x' } } } } } }"),
            &["Parallel stages or branches can only be included in a top-level stage."],
        ),
        (
            stages("stage('a') { parallel { stage('b') { steps { parallel(x: { echo 'x' }, y: { echo 'y' }) } } } }"),
            &["Parallel stages or branches can only be included in a top-level stage."],
        ),
        (
            stages("stage('a') { steps { echo 'x' }\nsteps { echo 'y' } }"),
            &["5:1: error[duplicate]: Multiple occurrences of the steps section"],
        ),
        (
            stages("stage('a') { failFast 'x'\nparallel { stage('b') { steps { echo 'x' } } } }"),
            &["4:14: error[type]: Expected a boolean with failFast"],
        ),
        (stages("stage('a') { steps { parallel(x: { echo 'x' }, failFast: 'x') } }"), &["Expected a boolean with failFast"]),
        (stages("stage('a') { steps { parallel(x: { echo 'x' }, y: 'x') } }"), &["Expected closure or failFast"]),
        (stages("stage('a') { steps { parallel(x: { echo 'x' }, x: { echo 'x' }) } }"), &["Duplicate parallel branch name: \"x\""]),
        ("pipeline {\nagent any\nstages 'x'\n}".into(), &["3:1: error[syntax]: Expected a block for stages"]),
        // directives that are blocks
        (
            top("environment 'x'\nlibraries 'x'\noptions 'x'\ntriggers 'x'\nparameters 'x'\ntools 'x'"),
            &[
                "3:1: error[syntax]: Expected a block for environment",
                "4:1: error[syntax]: Expected a block for libraries",
                "5:1: error[syntax]: Expected a block for options",
                "6:1: error[syntax]: Expected a block for triggers",
                "7:1: error[syntax]: Expected a block for parameters",
                "8:1: error[syntax]: Expected a block for tools",
            ],
        ),
        // agents
        (
            "pipeline {\nagent\nstages { stage('a') { steps { echo 'x' } } } }".into(),
            &["2:1: error[syntax]: Not a valid section definition: \"agent\". Some extra configuration is required."],
        ),
        (stage("agent"), &["Not a valid stage section definition: \"agent\". Some extra configuration is required."]),
        (stage("agent foo"), &["4:1: error[agent]: Only \"agent none\", \"agent any\" or \"agent {...}\" are allowed."]),
        (stage("agent { }"), &["4:1: error[agent]: No agent type specified. Must be one of ["]),
        (stage("agent { foo 'x' }"), &["Invalid agent type \"foo\" specified. Must be one of ["]),
        (stage("agent { label 'x'\ndocker 'y' }"), &["Only one agent type is allowed per agent section"]),
        (
            stage("agent { docker { image 'x'\nfruit 'y' } }"),
            &["Invalid config option \"fruit\" for agent type \"docker\". Valid config options are ["],
        ),
        (stage("agent { docker { args 'x' } }"), &["Missing required parameter for agent type \"docker\": image"]),
        (stage("agent { dockerfile { filename 'a/b' } }"), &["Dockerfile filename cannot contain directory separators."]),
        (stage("agent { label { } }"), &["error"]),
        // environment
        (top("environment { }"), &["No variables specified for environment"]),
        (top("environment { A = 'x'\nA = 'y' }"), &["4:1: error[duplicate]: Duplicate environment variable name: \"A\""]),
        (top("environment { $A = 'x' }"), &["3:15: error[environment]: \"$A\" is not a valid identifier"]),
        (top("environment { echo('x') }"), &["3:15: error[environment]: \"echo('x')\" is not a valid environment expression."]),
        (top("environment { A = 'x' - 'y' }"), &["Environment variable values can only be joined together with ‘+’s."]),
        (
            top("environment { A = 'x' + echo('y') }"),
            &["Environment variable values to be concatenated together must be single or double quoted."],
        ),
        (top("environment { A = [1] }"), &["Environment variable values must either be single quoted, double quoted, or function calls."]),
        (top("environment { A = credentials(foo) }"), &["Internal function call parameters must be strings."]),
        (top("environment { 'a' = 'x' }"), &["error"]),
        (top("environment { a-b = 'x' }"), &["error"]),
        (top("environment { 1_A = 'x' }"), &["error"]),
        // options, parameters, triggers, libraries, tools
        (top("options { }"), &["options can not be empty"]),
        (top("parameters { }"), &["parameters can not be empty"]),
        (top("triggers { }"), &["triggers can not be empty"]),
        (top("libraries { }"), &["libraries can not be empty"]),
        (
            top("libraries { \"oh\"\nfoo('bar')\n1 + 2 }"),
            &[
                "Expected a \"lib(...)\" but got \"oh\"",
                "Expected a \"lib(...)\" but got foo('bar')",
                "Expected a \"lib(...)\" but got 1 + 2",
            ],
        ),
        (top("options { timestamps() { echo 'x' } }"), &["Options definitions cannot have blocks"]),
        (top("parameters { string(name: 'x') { echo 'x' } }"), &["Build parameters definitions cannot have blocks"]),
        (top("triggers { cron('x') { echo 'x' } }"), &["Triggers definitions cannot have blocks"]),
        (top("triggers { [a: 'b'] }"), &["Triggers cannot be defined as maps"]),
        (top("options { 'x' }"), &["3:11: error[syntax]: Expected an option"]),
        (top("options { x.y() }"), &["Method calls on objects not allowed outside \"script\" blocks."]),
        (top("options { banana() }"), &["3:11: error[unknown]: Invalid option type \"banana\". Valid option types: ["]),
        (top("options { echo('x') }"), &["Invalid option type \"echo\". Valid option types: ["]),
        (top("options { properties([]) }"), &["error"]),
        (top("options { skipDefaultCheckout()\nskipDefaultCheckout() }"), &["Duplicate option name: \"skipDefaultCheckout\""]),
        (top("triggers { cron('@daily')\ncron('@daily') }"), &["Duplicate trigger name: \"cron\""]),
        (top("triggers { banana() }"), &["Invalid trigger type \"banana\". Valid trigger types: ["]),
        (top("triggers { cron() }"), &["\"cron\" should have 1 arguments but has 0 arguments instead."]),
        (top("triggers { cron('a', 'b') }"), &["\"cron\" should have 1 arguments but has 2 arguments instead."]),
        (top("parameters { bananaParam(name: 'x') }"), &["Invalid parameter type \"bananaParam\". Valid parameter types: ["]),
        (top("parameters { booleanParam(namd: 'x', defaultValue: true) }"), &["Invalid parameter \"namd\", did you mean \"name\"?"]),
        (
            top("parameters { booleanParam(defaultValue: true, name: 1234) }"),
            &["Expecting \"class java.lang.String\" for parameter \"name\" but got \"1234\" of type class java.lang.Integer instead"],
        ),
        (top("parameters { string(defaultValue: 'x') }"), &["Missing required parameter: \"name\""]),
        (top("parameters { string(name: 'x', 'y') }"), &["mix named and unnamed arguments"]),
        (top("options { timeout(time: { 5 }) }"), &["Method call arguments cannot be closures"]),
        (top("options { timeout(unit: 'HOURS') }"), &["Missing required parameter: \"time\""]),
        (
            stage("options { buildDiscarder(logRotator(numToKeepStr: '1')) }"),
            &["Invalid option type \"buildDiscarder\". Valid option types: ["],
        ),
        (stage("options { }"), &["options can not be empty"]),
        (top("tools { }"), &["No tools specified"]),
        (top("tools { banana '1' }"), &["Invalid tool type \"banana\". Valid tool types: ["]),
        (top("tools { 'maven' }"), &["Expected to find ‘someTool \"someVersion\"’"]),
        (top("tools { maven() }"), &["No argument for tool \"maven\""]),
        // post
        (top("post { }"), &["post can not be empty"]),
        (top("post { banana { echo 'x' } }"), &["3:8: error[unknown]: Invalid condition \"banana\" - valid conditions are ["]),
        (top("post { always { echo 'x' }\nalways { echo 'y' } }"), &["Duplicate build condition name: \"always\""]),
        (top("post { echo 'x' }"), &["section can only contain build condition names with code blocks. Valid condition names are ["]),
        (top("post { always { } }"), &["No steps specified for branch"]),
        // when
        (stage("when { }"), &["Empty when closure, remove the property or add some content."]),
        (stage("when { banana 'x' }"), &["4:8: error[unknown]: Unknown conditional banana. Valid conditionals are: "]),
        (stage("when { branch 4 }"), &["Expecting \"class java.lang.String\" but got \"4\" of type class java.lang.Integer instead"]),
        (stage("when { allOf('x') { branch 'a' } }"), &["No additional arguments are allowed for children when condition \"allOf\"."]),
        (stage("when { branch('a') { branch 'a' } }"), &["No children when conditions are allowed for when condition \"branch\"."]),
        (stage("when { allOf { } }"), &["Nested when condition \"allOf\" requires at least one child condition."]),
        (stage("when { not { branch 'a'\nbranch 'b' } }"), &["Nested when condition \"not\" requires exactly 1 child condition(s)."]),
        (stage("when { environment name: 'x' }"), &["Missing required parameter: \"value\""]),
        (stage("when { environment banana: 'x', value: 'y' }"), &["Invalid parameter \"banana\", did you mean \"name\"?"]),
        (stage("when { environment 'x', 'y' }"), &["Arguments to \"environment\" must be explicitly named."]),
        (stage("when { changelog '(' }"), &["\"(\" is not a valid regular expression."]),
        (stage("when { changelog() }"), &["Changelog is missing required parameter \"pattern\"."]),
        (stage("when { changeset() }"), &["Missing required parameter: \"pattern\""]),
        (stage("when { branch() }"), &["Missing required parameter: \"pattern\""]),
        (stage("when { triggeredBy() }"), &["Missing required parameter: \"cause\""]),
        (stage("when { branch pattern: 'x', comparator: 'foo' }"), &["Invalid comparator \"foo\""]),
        (stage("when { tag pattern: 'x', comparator: 'glob'\nbanana() }"), &["Unknown conditional banana"]),
        (stage("when { beforeAgent 'x'\nbranch 'a' }"), &["Expected a boolean with beforeAgent"]),
        (stage("when { branch 'a'\nbeforeAgent true\nbeforeAgent false }"), &["Multiple occurrences of the beforeAgent section"]),
        (stage("when { expression { def ( } }"), &["error[syntax]"]),
        (stage("when { 'x' }"), &["Expected a when condition"]),
        (stage("when { x.y() }"), &["Method calls on objects not allowed outside \"script\" blocks."]),
        // input
        (stage("input { }"), &["No message specified for input"]),
        (stage("input { message 'x'\nbanana 'y' }"), &["Not a valid field for input: \"banana\""]),
        (stage("input { message 'x'\nmessage 'y' }"), &["Multiple occurrences of the message section"]),
        (
            stage("input { message 'x'\nparameters { banana(name: 'x') } }"),
            &["Invalid parameter type \"banana\". Valid parameter types: ["],
        ),
        (stage("input { message() }"), &["No argument for field \"message\""]),
        (stage("input { message 'x', 'y' }"), &["Too many arguments for field \"message\""]),
        // matrix
        (stages("stage('a') { matrix { stages { stage('b') { steps { echo 'x' } } } } }"), &["Missing required section \"axes\""]),
        (stages("stage('a') { matrix { axes { axis { name 'A'; values 'x' } } } }"), &["Missing required section \"stages\""]),
        (stages("stage('a') { matrix { axes { }\nstages { stage('b') { steps { echo 'x' } } } } }"), &["No axes specified"]),
        (
            stages("stage('a') { matrix { axes { axis { values 'x' } }\nstages { stage('b') { steps { echo 'x' } } } } }"),
            &["Missing required section \"name\""],
        ),
        (
            stages("stage('a') { matrix { axes { axis { name 'A' } }\nstages { stage('b') { steps { echo 'x' } } } } }"),
            &["Missing required section \"values\""],
        ),
        (
            stages("stage('a') { matrix { axes { axis { name 'A'; values 'x', 'x' } }\nstages { stage('b') { steps { echo 'x' } } } } }"),
            &["Duplicate axis value: \"x\""],
        ),
        (
            stages("stage('a') { matrix { axes { axis { name 'A'; values x } }\nstages { stage('b') { steps { echo 'x' } } } } }"),
            &["Expected string literal but got"],
        ),
        (
            stages(
                "stage('a') { matrix { axes { axis { name 'A'; values 'x' }\naxis { name 'A'; values 'y' } }\nstages { stage('b') { steps { echo 'x' } } } } }",
            ),
            &["Duplicate axis name: \"A\""],
        ),
        (
            stages(
                "stage('a') { matrix { axes { axis { name 'A'; values 'x' } }\nexcludes { }\nstages { stage('b') { steps { echo 'x' } } } } }",
            ),
            &["No excludes specified"],
        ),
        (
            stages(
                "stage('a') { matrix { axes { axis { name 'A'; values 'x' } }\nexcludes { exclude { } }\nstages { stage('b') { steps { echo 'x' } } } } }",
            ),
            &["No axes specified"],
        ),
        (
            stages(
                "stage('a') { matrix { axes { axis { name 'A'; values 'x' } }\nexcludes { exclude { axis { name 'A'; values 'x'; notValues 'y' } } }\nstages { stage('b') { steps { echo 'x' } } } } }",
            ),
            &["Only one of \"values\" or \"notValues\" allowed for an exclude axis"],
        ),
        (
            stages(
                "stage('a') { matrix { axes { axis { name 'A'; values 'x' } }\nstages { stage('b') { parallel { stage('c') { steps { echo 'x' } } } } } } }",
            ),
            &["Parallel stages or branches can only be included in a top-level stage."],
        ),
        (top("matrix { }"), &["Undefined section \"matrix\""]),
        // steps
        (
            steps("stage('x') { echo 'x' }"),
            &["Invalid step \"stage\" used - not allowed in this context - The stage step cannot be used in Declarative Pipelines"],
        ),
        (steps("echo 'x'\nparallel(a: { echo 'x' })"), &["5:1: error[blocked_step]: Invalid step \"parallel\" used"]),
        (steps("properties([])"), &["Invalid step \"properties\" used"]),
        (steps("timeout(unit: 'HOURS') { echo 'x' }"), &["Missing required parameter: \"time\""]),
        (
            steps("timeout(time: 'some', unit: 'HOURS') { echo 'x' }"),
            &["Expecting \"int\" for parameter \"time\" but got \"some\" of type class java.lang.String instead"],
        ),
        (steps("timeout(time: 5, banana: 'HOURS') { echo 'x' }"), &["Invalid parameter \"banana\", did you mean \"unit\"?"]),
        (steps("timeout(time: 5, time: 6) { echo 'x' }"), &["Duplicate named parameter"]),
        (
            steps("echo 5"),
            &["Expecting \"class java.lang.String\" for parameter \"message\" but got \"5\" of type class java.lang.Integer instead"],
        ),
        (steps("isUnix 'x'"), &["Step does not take a single required parameter - use named parameters instead"]),
        (
            steps("archiveArtifacts(someRandomField: 'x', artifacts: 'y')"),
            &["Invalid parameter \"someRandomField\", did you mean \"caseSensitive\"?"],
        ),
        (steps("1 + 2"), &["Expected a step"]),
        (steps("def x = 1"), &["4:1: error[syntax]: Expected a step"]),
        (steps("foo.bar(1)"), &["Method calls on objects not allowed outside \"script\" blocks."]),
        (steps("echo ${x}"), &["error"]),
        (steps("foo(99999999999999999999)"), &["BigIntegers cannot be used as constants in Declarative."]),
        (steps("script 'x'"), &["Script step without a block"]),
        (steps("error()"), &["Missing required parameter: \"message\""]),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in &cases {
        let found = messages(text);
        for one in *expected {
            if !found.iter().any(|m| m.contains(one)) {
                wrong.push(format!("{text}\n   wants {one}\n   has {found:#?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}
