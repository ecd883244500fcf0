//! The oracle: small functions with the values the rules in `metrics` give, worked out by hand.

use super::*;

/// `name cyclomatic cognitive params lines` of each function.
fn shape(path: &str, source: &str) -> Vec<String> {
    let facts = analyze(path, source.as_bytes());
    assert!(!facts.parse_error, "does not parse: {source}");
    facts.functions.iter().map(|f| format!("{} {} {} {} {}", f.name, f.cyclomatic, f.cognitive, f.params, f.lines)).collect()
}

fn check(path: &str, table: &[(&str, &[&str])]) {
    for (source, want) in table {
        assert_eq!(shape(path, source), *want, "{source}");
    }
}

#[test]
fn rust() {
    check(
        "a.rs",
        &[
            ("fn f() {}", &["f 1 0 0 1"]),
            ("fn f(a: i32, b: &str) { if a > 0 { } }", &["f 2 1 2 1"]),
            ("fn f() { if a { } else { } }", &["f 2 2 0 1"]),
            ("fn f() { if a { } else if b { } else { } }", &["f 3 3 0 1"]),
            ("fn f() { if a { } else { if b { } } }", &["f 3 4 0 1"]),
            ("fn f() { if a { if b { while c { } } } }", &["f 4 6 0 1"]),
            ("fn f() { loop { if a { break; } } }", &["f 2 3 0 1"]),
            ("fn f() { for x in y { match x { 1 => a(), 2 => b(), _ => c() } } }", &["f 4 3 0 1"]),
            ("fn f() { match x { 1 if a && b => {} _ => {} } }", &["f 4 2 0 1"]),
            ("fn f() { let Some(x) = y else { return }; }", &["f 2 1 0 1"]),
            ("fn f() -> R { let a = b?; c()?; }", &["f 3 0 0 1"]),
            ("fn f() { a && b || c && d; }", &["f 4 3 0 1"]),
            ("fn f() { if a || b && c || d && e { } }", &["f 6 5 0 1"]),
            ("fn f() { a && !(b && c); }", &["f 3 2 0 1"]),
            ("fn f() { a && b || foo(b && c); }", &["f 4 3 0 1"]),
            ("fn f() { a && (b || c) || d; }", &["f 4 2 0 1"]),
            ("fn f() { ((a && ((b)))) && c; }", &["f 3 1 0 1"]),
            ("fn f() { if let Some(x) = a && let Some(y) = b && c { } }", &["f 4 2 0 1"]),
            ("fn f() { 'a: loop { loop { break 'a; } continue; } }", &["f 1 4 0 1"]),
            ("fn f() { x.map(|y| if y { 1 } else { 2 }); }", &["f 2 3 0 1"]),
            ("fn f(n: u32) { if n > 0 { f(n - 1); f(n - 2) } }", &["f 2 2 1 1"]),
            ("struct S; impl<T> S<T> { fn m(&self, a: A) { self.m(a) } fn n() { m() } }", &["S.m 1 1 1 1", "S.n 1 0 0 1"]),
            ("trait T { fn a(); fn b(&self) { if x {} } }", &["T.b 2 1 0 1"]),
            ("fn outer() {\n  if a {}\n\n  // no\n  fn inner() { if b {} }\n}\n", &["outer 2 1 0 4", "outer.inner 2 1 0 1"]),
            ("fn f() { if a /* x */ { } else /* y */ if b { } }", &["f 3 2 0 1"]),
            ("fn f(#[a] x: u8, mut y: u8) {}", &["f 1 0 2 1"]),
        ],
    );
}

#[test]
fn python() {
    check(
        "a.py",
        &[
            ("def f(self, a, b=1, *c, d: int, **e):\n  pass\n", &["f 1 0 6 2"]),
            ("def f():\n  if a:\n    pass\n  elif b:\n    if c:\n      pass\n  else:\n    pass\n", &["f 4 5 0 8"]),
            ("def f():\n  try:\n    a()\n  except E:\n    if x: pass\n  except F:\n    pass\n  finally:\n    b()\n", &["f 4 4 0 9"]),
            ("def f():\n  return [i for i in x if i and x]\n", &["f 4 1 0 2"]),
            ("def f():\n  for a in b:\n    pass\n  else:\n    pass\n", &["f 2 2 0 5"]),
            ("def f():\n  return a if b else (c if d else e)\n", &["f 3 3 0 2"]),
            ("def f():\n  match x:\n    case 1: pass\n    case 2 if a: pass\n    case _: pass\n", &["f 4 1 0 5"]),
            ("def f():\n  return a and b and c or d\n", &["f 4 2 0 2"]),
            ("def f():\n  return a and not (b and c)\n", &["f 3 2 0 2"]),
            ("def f():\n  x = lambda y: y if y else 0\n", &["f 2 2 0 2"]),
            ("def f(n):\n  return f(n - 1)\n", &["f 1 1 1 2"]),
            ("class A:\n  def m(self):\n    return self.m()\n  class B:\n    def n(self): n()\n", &["A.m 1 1 1 2", "A.B.n 1 0 1 1"]),
            ("def o():\n  def i():\n    if a: pass\n  return i\n", &["o 1 0 0 4", "o.i 2 1 0 2"]),
            ("async def f():\n  \"\"\"doc\"\"\"\n  async for a in b:\n    with c: pass\n", &["f 2 1 0 3"]),
        ],
    );
}

#[test]
fn javascript() {
    check(
        "a.js",
        &[
            ("function f(a, {b}, ...c) { }", &["f 1 0 3 1"]),
            ("const f = x => x ? 1 : 2;", &["f 2 1 1 1"]),
            ("const f = async function () { await g(); }", &["f 1 0 0 1"]),
            ("function f() { switch (a) { case 1: case 2: b(); break; default: c(); } }", &["f 3 1 0 1"]),
            ("function f() { try { a() } catch (e) { if (b) {} } finally { } }", &["f 3 3 0 1"]),
            ("function f() { for (const a of b) { do { } while (c) } }", &["f 3 3 0 1"]),
            ("function f() { if (a) {} else if (b) {} else {} }", &["f 3 3 0 1"]),
            ("function f() { return a ?? b; }", &["f 2 0 0 1"]),
            ("function f() { a ||= b; c += 1; return a?.b; }", &["f 2 0 0 1"]),
            ("function f() { a: for (;;) { for (;;) { continue a } } }", &["f 3 4 0 1"]),
            ("function f() { return a && (b || c) || d }", &["f 4 2 0 1"]),
            ("function f() { xs.map(x => { if (x) {} }) }", &["f 2 2 0 1"]),
            ("app.get('/', (req, res) => { if (req) {} })", &["<anonymous> 2 1 2 1"]),
            (
                "class A { m(a) { return this.m(a) } static n = () => 1; get p() { return a || b } }",
                &["A.m 1 1 1 1", "A.n 1 0 0 1", "A.p 2 1 0 1"],
            ),
            ("const o = { a: function () { if (x) {} }, b() { } }", &["a 2 1 0 1", "b 1 0 0 1"]),
            ("module.exports.f = () => {}", &["module.exports.f 1 0 0 1"]),
            ("function o() { function i() { if (a) {} } const j = () => a ? 1 : 2 }", &["o 1 0 0 1", "o.i 2 1 0 1", "o.j 2 1 0 1"]),
        ],
    );
}

#[test]
fn typescript() {
    check(
        "a.ts",
        &[
            ("export function f<T>(a: T, b?: number): void { if (a) {} }", &["f 2 1 2 1"]),
            ("abstract class A { abstract m(): void; private n(x: string) { return x as any || 1 } }", &["A.n 2 1 1 1"]),
            ("namespace N { export const f = (x: number): number => x > 0 ? f(x - 1) : 0 }", &["N.f 2 2 1 1"]),
            ("function f(a: string): void; function f(a: any) { }", &["f 1 0 1 1"]),
        ],
    );
    check("a.tsx", &[("const C = ({a}: P) => <div>{a && <b/>}</div>", &["C 2 1 1 1"])]);
}

#[test]
fn go() {
    check(
        "a.go",
        &[
            ("package a\nfunc f(a, b int, c string) {}\n", &["f 1 0 3 1"]),
            ("package a\nfunc f() { if a { } else if b { } else { } }\n", &["f 3 3 0 1"]),
            ("package a\nfunc f() { switch x { case 1: a(); case 2, 3: b(); default: if c { } } }\n", &["f 4 3 0 1"]),
            ("package a\nfunc f() { select { case <-a: case b <- 1: default: } }\n", &["f 3 1 0 1"]),
            ("package a\nfunc f() { switch x := y.(type) { case int: } }\n", &["f 2 1 0 1"]),
            ("package a\nfunc f() { for { for i := range x { } } }\n", &["f 3 3 0 1"]),
            ("package a\nfunc f() {\nL:\n for { for { break L } }\n goto L\n}\n", &["f 3 5 0 5"]),
            ("package a\nfunc f() { go func() { if a && b { } }() }\n", &["f 3 3 0 1"]),
            ("package a\nfunc (s *Stack[T]) Pop(int) { s.Pop(1) }\n", &["Stack.Pop 1 1 1 1"]),
            ("package a\nvar f = func() { if a { } }\n", &["<anonymous> 2 1 0 1"]),
        ],
    );
}

#[test]
fn what_cannot_be_measured_is_said() {
    assert_eq!(analyze("a.rs", b"fn\0").skipped, Some(Skipped::Binary));
    assert_eq!(analyze("a.rs", &vec![b'x'; SIZE_LIMIT + 1]).skipped, Some(Skipped::TooLarge));
    let broken = analyze("a.rs", b"fn f( { if a {} } fn g() {}");
    assert!(broken.parse_error);
    let late = analyze_within("a.py", "x = (".repeat(100_000).as_bytes(), Duration::ZERO);
    assert_eq!(late.skipped, Some(Skipped::TimedOut));
    assert_eq!(late.lines.total, 1);
    assert_eq!(analyze("unknown", b"a\n\n").lines, Lines { total: 2, code: 1, comments: 0, blanks: 1 });
    assert_eq!(analyze("a.rs", b"\xff\xfe fn \x80").skipped, None);
}

#[test]
fn depth_is_not_danger() {
    let n = 200_000;
    let cases = [
        ("a.rs", format!("fn f() {{ {}1{} }}", "(".repeat(n), ")".repeat(n))),
        ("a.rs", format!("fn f() {{ {} }}", "if a { ".repeat(n))),
        ("a.js", "x=>".repeat(n)),
        ("a.js", format!("x = {}a", "a && (".repeat(n))),
        ("a.py", format!("x = {}1", "not ".repeat(n))),
        ("a.py", format!("x = {}1", "1 and ".repeat(n))),
        ("a.go", format!("package a\nfunc f() {{ {}", "for { ".repeat(n))),
        ("a.ts", "[{".repeat(n)),
        ("a.tsx", "<a>".repeat(n)),
    ];
    for (path, source) in cases {
        let start = std::time::Instant::now();
        let facts = analyze_within(path, source.as_bytes(), Duration::from_millis(500));
        assert!(start.elapsed() < Duration::from_secs(20), "{path} {:?}: {:?}", &source[..30], start.elapsed());
        assert!(facts.functions.len() <= n + 1);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_accepted(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400), pick in 0usize..6) {
        let path = ["a.rs", "a.py", "a.js", "a.ts", "a.tsx", "a.go"][pick];
        analyze(path, &bytes);
    }

    #[test]
    fn any_soup_of_tokens_is_accepted(words in proptest::collection::vec(proptest::sample::select(vec!["if", "else", "{", "}", "(", ")", "&&", "||", "fn", "def", "func", "=>", "x", ":", "\n", "match", "case", "class", "=", "?", "for", "loop", "'a", "\"", "`"]), 0..120), pick in 0usize..6) {
        let path = ["a.rs", "a.py", "a.js", "a.ts", "a.tsx", "a.go"][pick];
        analyze(path, words.join(" ").as_bytes());
    }
}
