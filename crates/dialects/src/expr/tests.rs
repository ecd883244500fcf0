//! Tables of what the language must answer.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn roots() -> Json {
    json!({
        "github": {"ref": "refs/heads/main", "event_name": "push", "event": {"commits": [{"id": "a", "author": {"name": "Ann"}}, {"id": "b"}]}},
        "env": {"Name": "x", "NAME": "y"},
        "matrix": {"os": "linux", "n": 3},
        "needs": {"a": {"result": "success", "outputs": {"v": "1"}}, "b": {"result": "failure", "outputs": {}}},
        "steps": {}, "secrets": {"S": "hush"}, "inputs": {"flag": true},
    })
}

fn run(text: &str) -> String {
    let roots = roots();
    match evaluate(text, &Context::new(&roots).with_status(Status::SUCCESS)) {
        Ok(v) => v.to_string(),
        Err(e) => format!("error: {e}"),
    }
}

#[test]
fn values() {
    for (text, expect) in [
        ("1 == '1'", "true"),
        ("'' == 0", "true"),
        ("null == 0", "true"),
        ("null == ''", "true"),
        ("false == ''", "true"),
        ("true == 1", "true"),
        ("true == 'true'", "false"),
        ("'abc' == 'ABC'", "true"),
        ("NaN == NaN", "false"),
        ("'x' == 0", "false"),
        ("'0xff' == 255", "true"),
        ("'+1' == 1", "true"),
        ("' 1e3 ' == 1000", "true"),
        ("'inf' == Infinity", "false"),
        ("'b' > 'A'", "true"),
        ("1 < 'x'", "false"),
        ("1 <= 1 && 2 >= 2", "true"),
        ("true && 0 && 2", "0"),
        ("'' || 'default'", "\"default\""),
        ("'a' && 'b'", "\"b\""),
        ("!''", "true"),
        ("!!github", "true"),
        ("github.event.missing.deeper", "null"),
        ("GITHUB.Event_Name", "\"push\""),
        ("env.Name", "\"x\""),
        ("env.NAME", "\"y\""),
        ("env.name", "null"),
        ("github['ref']", "\"refs/heads/main\""),
        ("github.event.commits[1].id", "\"b\""),
        ("github.event.commits[9].id", "null"),
        ("github.event.commits.*.id", "[\"a\",\"b\"]"),
        ("github.event.commits.*.author.name", "[\"Ann\"]"),
        ("needs.*.result", "[\"success\",\"failure\"]"),
        ("contains(needs.*.result, 'FAILURE')", "true"),
        ("contains('Hello', 'ELL')", "true"),
        ("contains(github, 'x')", "false"),
        ("startsWith(github.ref, 'REFS/heads/')", "true"),
        ("endsWith(github.ref, 'main')", "true"),
        ("format('{0} {{x}} {1}', 'a', 1.50)", "\"a {x} 1.5\""),
        ("format('{0}', -0.0)", "\"0\""),
        ("join(fromJSON('[1,\"b\",null,true]'))", "\"1,b,,true\""),
        ("join('x', '-')", "\"x\""),
        ("join(needs.*.result, ' ')", "\"success failure\""),
        ("toJSON(matrix)", "\"{\\n  \\\"os\\\": \\\"linux\\\",\\n  \\\"n\\\": 3\\n}\""),
        ("toJSON(fromJSON('[]'))", "\"[]\""),
        ("fromJSON('{\"a\":{\"b\":[1,2]}}').a.b[1]", "2"),
        ("fromJSON('3') + 1", "error: Unexpected symbol: '+'. Located at position 15 within expression: fromJSON('3') + 1"),
        ("case(false, 1, matrix.os == 'linux', 2, 3)", "2"),
        ("'it''s'", "\"it's\""),
        ("-1 < 0", "true"),
        ("1e20", "1e+20"),
        ("format('{0}', 1e20)", "\"1E+20\""),
        ("format('{0}', 0.000001)", "\"1E-06\""),
        ("format('{0}', 123456789012345)", "\"123456789012345\""),
        ("format('{0}', 0.1)", "\"0.1\""),
        ("success() && !failure() && !cancelled() && always()", "true"),
        ("matrix.n == 3 && 'yes' || 'no'", "\"yes\""),
        ("inputs.flag == true", "true"),
        ("fromJSON('[1]') == fromJSON('[1]')", "false"),
    ] {
        assert_eq!(run(text), expect, "{text}");
    }
}

#[test]
fn refusals_have_known_words() {
    for (text, expect) in [
        ("foo", "Unrecognized named-value: 'foo'. Located at position 1 within expression: foo"),
        ("foo()", "Unrecognized function: 'foo'. Located at position 1 within expression: foo()"),
        ("github.ref == \"x\"", "Unexpected symbol: '\"x\"'. Located at position 15 within expression: github.ref == \"x\""),
        ("contains('a')", "Too few parameters supplied: 'contains'. Located at position 1 within expression: contains('a')"),
        ("(1", "Unexpected end of expression: '1'. Located at position 2 within expression: (1"),
        ("", "An expression was expected"),
        ("1a", "Unexpected symbol: '1a'. Located at position 1 within expression: 1a"),
        ("format('{1}', 1)", "The following format string references more arguments than were supplied: {1}"),
        ("format('{', 1)", "The following format string is invalid: {"),
        ("fromJSON('')", "empty input"),
        ("case(1, 2)", "Too few parameters supplied: 'case'. Located at position 1 within expression: case(1, 2)"),
        ("hashFiles('x')", "The function 'hashFiles' is not available here"),
    ] {
        assert_eq!(run(text), format!("error: {expect}"), "{text}");
    }
    assert!(run(&format!("{}1{}", "(".repeat(60), ")".repeat(60))).starts_with("error: Exceeded max expression depth 50: '('. Located at"));
    assert!(run(&format!("{}1", "!".repeat(5000))).starts_with("error: Exceeded max expression depth 50: '!'."));
    assert!(run(&vec!["1"; 200].join(" == ")).starts_with("error: Exceeded max expression depth 50"));
    assert!(run(&"1 ".repeat(20_000)).starts_with("error: Exceeded max expression length"));
}

#[test]
fn any_contexts_give_kinds_and_phases() {
    let contexts = json!({"Thing": {"Key": [1, {"x": 2}], "b": true, "Env": "v"}, "env": {"Path": "p"}, "list": [3, 1]});
    for (text, kind, value) in [
        ("", "Null", json!(null)),
        (" \n", "Null", json!(null)),
        ("thing.KEY[0]", "Number", json!(1)),
        ("thing['key'].*", "Array", json!([1, {"x": 2}])),
        ("thing.key.*.X", "Array", json!([2])),
        ("thing.b.*", "Array", json!([])),
        ("env.PATH", "String", json!("p")),
        ("thing.env || true", "String", json!("v")),
        ("thing.true", "Null", json!(null)),
        ("list['1']", "Number", json!(1)),
        ("list[-1]", "Null", json!(null)),
        ("list >= list && list <= list && !(list > list)", "Boolean", json!(true)),
        ("list == thing.key", "Boolean", json!(false)),
        ("null >= null", "Boolean", json!(true)),
        ("'ς' == 'Σ' && 'ı' != 'I' && 'ı' > 'I' && 'a' < '['", "Boolean", json!(true)),
        ("join(list, list)", "String", json!("3,1")),
        ("join(list, null)", "String", json!("31")),
        ("contains(list, '3')", "Boolean", json!(true)),
        ("format('{0}', 0.84551240822557006)", "String", json!("0.84551240822557")),
        ("format('{0:x}{0}', 1)", "String", json!("11")),
        ("toJSON(100000000000000000)", "String", json!("100000000000000000")),
        ("toJSON(NaN)", "String", json!("null")),
        ("fromJSON('-0')", "Number", json!(0)),
        ("-Infinity", "Number", json!("-Infinity")),
        ("case(true, 1, 2,)", "Number", json!(1)),
        ("'it''s ''it'''", "String", json!("it's 'it'")),
        (".5", "Number", json!(0.5)),
        ("(thing).b", "Boolean", json!(true)),
    ] {
        assert_eq!(answer(text, &contexts), Ok(Answer { kind, value }), "{text}");
    }
    for (text, phase, message) in [
        ("thing.b@r", Phase::Lexing, "Unexpected symbol: 'b@r'. Located at position 7 within"),
        ("list+1", Phase::Lexing, "Unexpected symbol: 'list+1'. Located at position 1 within"),
        ("a = b", Phase::Lexing, "Unexpected symbol: '='. Located at position 3 within"),
        ("a =b", Phase::Lexing, "Unexpected symbol: '=b'. Located at position 3 within"),
        ("(\"x\")", Phase::Lexing, "Unexpected symbol: '\"x\"'. Located at position 2 within"),
        ("'abc", Phase::Lexing, "Unexpected symbol: ''abc'. Located at position 1 within"),
        ("'a'.b", Phase::Lexing, "Unexpected symbol: '.b'. Located at position 4 within"),
        ("1-1", Phase::Lexing, "Unexpected symbol: '1-1'. Located at position 1 within"),
        ("thing.1", Phase::Parsing, "Unexpected symbol: '1'. Located at position 7 within"),
        ("thing.", Phase::Parsing, "Unexpected symbol: 'EOF'. Located at position 6 within"),
        ("list[0", Phase::Parsing, "Unexpected symbol: 'EOF'. Located at position 6 within"),
        ("join('a'", Phase::Parsing, "Unexpected symbol: 'EOF'. Located at position 6 within"),
        ("join(", Phase::Parsing, "Unexpected end of expression: '('. Located at position 5 within"),
        ("1 ==", Phase::Parsing, "Unexpected end of expression: '=='. Located at position 3 within"),
        ("'a' 'b'", Phase::Parsing, "Unexpected symbol: 'b'. Located at position 5 within"),
        ("'a'[0]", Phase::Parsing, "Unexpected symbol: '['. Located at position 4 within"),
        ("null()", Phase::Parsing, "Unexpected symbol: '('. Located at position 5 within"),
        ("github", Phase::Parsing, "Unrecognized named-value: 'github'. Located at position 1 within"),
        ("True", Phase::Parsing, "Unrecognized named-value: 'True'. Located at position 1 within"),
        ("always()", Phase::Parsing, "Unrecognized function: 'always'. Located at position 1 within"),
        ("bogus(nope)", Phase::Parsing, "Unrecognized named-value: 'nope'. Located at position 7 within"),
        ("case(1, 2, 3)", Phase::Evaluation, "case predicate must evaluate to a boolean value. Located within expression: case(1, 2, 3)"),
        ("format('{0')", Phase::Evaluation, "The following format string is invalid: {0. Located within expression: format('{0')"),
        ("fromJSON('{')", Phase::Evaluation, "Error parsing JSON when evaluating fromJson. Located within expression: fromJSON('{')"),
        ("fromJSON(' ')", Phase::Evaluation, "empty input. Located within"),
        ("case(true, 1, fromJSON('['))", Phase::Evaluation, "Error parsing JSON when evaluating fromJson. Located within"),
        (
            "case(true, 1, 2, 3)",
            Phase::Parsing,
            "Even number of parameters supplied, requires an odd number of parameters: 'case'. Located at position 1 within",
        ),
        ("list\n  && 'a\nb' no", Phase::Parsing, "Unexpected symbol: 'no'. Located at position 12 within"),
        ("list &&\n", Phase::Parsing, "Unexpected end of expression: '&&'. Located at position 6 within"),
        ("list['a''b''c' 1", Phase::Parsing, "Unexpected symbol: '1'. Located at position 16 within"),
        ("1 'a''b''c'", Phase::Parsing, "Unexpected symbol: 'a'b''c'. Located at position 3 within"),
    ] {
        let (found, error) = answer(text, &contexts).unwrap_err();
        assert_eq!(found, phase, "{text}");
        assert!(error.0.contains(message), "{text}: {error}");
    }
}

#[test]
fn doubling_is_bounded() {
    let mut text = String::from("'0123456789'");
    for _ in 0..40 {
        text = format!("format('{{0}}{{0}}', {text})");
    }
    assert_eq!(run(&text), "error: The maximum allowed memory size was exceeded");
}

#[test]
fn conditions_mean_success_unless_they_ask() {
    let roots = roots();
    let ctx = Context::new(&roots);
    for (condition, on_success, on_failure, on_cancel) in [
        (None, true, false, false),
        (Some("  "), true, false, false),
        (Some("matrix.os == 'linux'"), true, false, false),
        (Some("always()"), true, true, true),
        (Some("failure()"), false, true, false),
        (Some("cancelled()"), false, false, true),
        (Some("!cancelled()"), true, true, false),
        (Some("'always()'"), true, false, false),
        (Some("ALWAYS() && matrix.os == 'win'"), false, false, false),
        (Some("false"), false, false, false),
    ] {
        for (status, expect) in [(Status::SUCCESS, on_success), (Status::FAILURE, on_failure), (Status::CANCELLED, on_cancel)] {
            assert_eq!(eval_condition(condition, &ctx, status).unwrap(), expect, "{condition:?} {status:?}");
        }
    }
}

#[test]
fn texts() {
    let roots = roots();
    let hash = |patterns: &[String]| Ok(format!("h{}", patterns.len()));
    let ctx = Context::new(&roots).with_hash_files(&hash);
    let text = |t: &str| interpolate(t, &ctx).map_err(|e| e.0);
    assert_eq!(text("a ${{ matrix.os }}-${{matrix.n}} $x"), Ok("a linux-3 $x".into()));
    assert_eq!(text("${{ '}}' }}"), Ok("}}".into()));
    assert_eq!(text("${{ github }}|${{ null }}|${{ hashFiles('a', 'b') }}"), Ok("Object||h2".into()));
    assert!(text("${{ 1").unwrap_err().starts_with("The expression is not closed."));
    assert_eq!(evaluate_template("${{ matrix }}", &ctx).unwrap(), roots["matrix"]);
    assert_eq!(evaluate_tree(&json!({"a": ["${{ matrix.n }}", "n${{ matrix.n }}"]}), &ctx).unwrap(), json!({"a": [3, "n3"]}));
}

#[test]
fn scopes_refuse_what_is_not_there() {
    let check = |scope: scope::Scope, text: &str| scope.parse(text).map_err(|e| e.0);
    assert!(
        check(scope::JOB_IF, "env.X == '1'")
            .unwrap_err()
            .starts_with("Unrecognized named-value: 'env'. Located at position 1 within expression: env.X == '1'. In jobs")
    );
    assert!(check(scope::STEP_IF, "secrets.X").is_err());
    assert!(check(scope::STEP, "success()").is_err());
    assert!(check(scope::STEP_IF, "always() && hashFiles('x') != ''").is_ok());
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,60}") {
        let roots = roots();
        let _ = evaluate(&text, &Context::new(&roots));
        let _ = interpolate(&format!("${{{{{text}}}}}"), &Context::new(&roots));
    }

    #[test]
    fn never_panics_on_likely_words(words in prop::collection::vec(prop::sample::select(vec![
        "github", ".", "*", "[", "]", "(", ")", "'a'", "1", "-", "!", "==", "&&", "||", "<", "format", "fromJSON", "toJSON", "join", ",", "'[1]'", "'{0}'", "ref", "case", "contains",
    ]), 0..24)) {
        let roots = roots();
        let _ = evaluate(&words.concat(), &Context::new(&roots));
    }

    #[test]
    fn numbers_round_trip(n in -1e12f64..1e12f64) {
        let text = number_text(n);
        let back: f64 = text.replace('E', "e").parse().unwrap();
        prop_assert!((back - n).abs() <= n.abs() * 1e-13 + 1e-12);
    }
}
