//! Each format with what matters in it, then inputs that want to hurt.

use super::*;

/// `name version flags` where flags are `L`ocked, `D`irect/`t`ransitive/`?`, and the scope's first letter or `?`.
fn shape(path: &str, text: &str) -> Vec<String> {
    let list = parse(path, text.as_bytes()).expect("a known file").unwrap_or_else(|e| panic!("{path}: {e}"));
    list.iter()
        .map(|d| {
            let locked = if d.locked { "L" } else { "" };
            let direct = d.direct.map_or('?', |b| if b { 'D' } else { 't' });
            let scope = d.scope.map_or("?", |s| &s.as_str()[..1]);
            format!("{} {} {locked}{direct}{scope}", d.name, d.version)
        })
        .collect()
}

#[test]
fn cargo() {
    let toml = r#"
[package]
name = "x"
[dependencies]
serde = "1"
tokio = { version = "1.2", features = ["full"], optional = true }
own = { path = "../own" }
renamed = { package = "real", git = "https://h/r", rev = "abc" }
shared.workspace = true
[dev-dependencies]
insta = "1"
[build-dependencies]
cc = "1"
[target.'cfg(unix)'.dependencies]
nix = "0.31"
[workspace.dependencies]
shared = "3"
"#;
    assert_eq!(
        shape("Cargo.toml", toml),
        ["cc 1 Db", "insta 1 Dd", "nix 0.31 Dr", "real git+https://h/r#abc Dr", "serde 1 Dr", "shared  Dr", "shared 3 Dr", "tokio 1.2 Do"]
    );
    let lock = r#"
version = 4
[[package]]
name = "x"
version = "0.1.0"
dependencies = ["serde", "rand 0.8.5"]
[[package]]
name = "serde"
version = "1.0.1"
source = "registry+https://h"
dependencies = ["serde_core"]
[[package]]
name = "serde_core"
version = "1.0.1"
source = "registry+https://h"
[[package]]
name = "rand"
version = "0.8.5"
source = "registry+https://h"
[[package]]
name = "rand"
version = "0.9.0"
source = "registry+https://h"
"#;
    assert_eq!(shape("Cargo.lock", lock), ["rand 0.8.5 LD?", "rand 0.9.0 Lt?", "serde 1.0.1 LD?", "serde_core 1.0.1 Lt?"]);
}

#[test]
fn npm() {
    let package = r#"{"dependencies":{"a":"^1","b":"npm:@s/real@^2","own":"workspace:*"},"devDependencies":{"c":"~3"},"peerDependencies":{"d":"*"},"optionalDependencies":{"e":"5"}}"#;
    assert_eq!(shape("package.json", package), ["@s/real ^2 Dr", "a ^1 Dr", "c ~3 Dd", "d * Dp", "e 5 Do"]);
    let v3 = r#"{"lockfileVersion":3,"packages":{
        "":{"dependencies":{"a":"^1"},"devDependencies":{"@s/c":"1"}},
        "packages/own":{"dependencies":{"w":"1"}},
        "node_modules/own":{"link":true,"resolved":"packages/own"},
        "node_modules/a":{"version":"1.0.1"},
        "node_modules/a/node_modules/w":{"version":"2.0.0","optional":true},
        "node_modules/w":{"version":"1.1.0"},
        "node_modules/@s/c":{"version":"1.0.0","dev":true}}}"#;
    assert_eq!(shape("package-lock.json", v3), ["@s/c 1.0.0 LDd", "a 1.0.1 LDr", "w 1.1.0 LDr", "w 2.0.0 Lto"]);
    let v1 = r#"{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0","dependencies":{"b":{"version":"2.0.0","dev":true}}},"f":{"version":"file:x"}}}"#;
    assert_eq!(shape("web/package-lock.json", v1), ["a 1.0.0 L?r", "b 2.0.0 Ltd"]);
}

#[test]
fn yarn() {
    let v1 = "# yarn lockfile v1\n\n\n\"@s/a@^1.0.0\", \"@s/a@^1.2.0\":\n  version \"1.2.3\"\n  resolved \"https://h/a.tgz#x\"\n  dependencies:\n    b \"^2\"\n\nb@^2:\n  version \"2.0.0\"\n\nx@npm:real@^1:\n  version \"1.1.1\"\n";
    assert_eq!(shape("yarn.lock", v1), ["@s/a 1.2.3 L??", "b 2.0.0 L??", "real 1.1.1 L??"]);
    let berry = "__metadata:\n  version: 8\n  cacheKey: 10\n\n\"app@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"app@workspace:.\"\n  dependencies:\n    \"@s/a\": \"npm:^1.0.0\"\n  languageName: unknown\n\n\"@s/a@npm:^1.0.0\":\n  version: 1.2.3\n  resolution: \"@s/a@npm:1.2.3\"\n  dependencies:\n    b: \"npm:^2\"\n\n\"b@npm:^2\":\n  version: 2.0.0\n  resolution: \"b@npm:2.0.0\"\n";
    assert_eq!(shape("yarn.lock", berry), ["@s/a 1.2.3 LD?", "b 2.0.0 Lt?"]);
}

#[test]
fn pnpm() {
    let v9 = "lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n      react:\n        specifier: ^18\n        version: 18.2.0\n    devDependencies:\n      '@s/dom':\n        specifier: ^1\n        version: 1.0.0(react@18.2.0)\n\npackages:\n\n  '@s/dom@1.0.0':\n    resolution: {integrity: sha512-x}\n\n  react@18.2.0:\n    resolution: {integrity: sha512-y}\n    engines: {node: '>=0.10.0'}\n\n  loose@1.4.0:\n    resolution: {integrity: sha512-z}\n\nsnapshots:\n\n  react@18.2.0:\n    dependencies:\n      loose: 1.4.0\n";
    assert_eq!(shape("pnpm-lock.yaml", v9), ["@s/dom 1.0.0 LDd", "loose 1.4.0 Lt?", "react 18.2.0 LDr"]);
    let v5 = "lockfileVersion: 5.4\n\nspecifiers:\n  a: ^1\n\ndependencies:\n  a: 1.0.0\n\npackages:\n\n  /@s/b/2.0.0_a@1.0.0:\n    resolution: {integrity: x}\n    dev: true\n\n  /a/1.0.0:\n    resolution: {integrity: y}\n    dev: false\n";
    assert_eq!(shape("pnpm-lock.yaml", v5), ["@s/b 2.0.0 Ltd", "a 1.0.0 LDr"]);
    let v6 = "lockfileVersion: '6.0'\n\ndependencies:\n  a:\n    specifier: ^1\n    version: 1.0.0\n\npackages:\n\n  /a@1.0.0:\n    resolution: {integrity: y}\n";
    assert_eq!(shape("pnpm-lock.yaml", v6), ["a 1.0.0 LDr"]);
}

#[test]
fn python() {
    let pyproject = r#"
[build-system]
requires = ["hatchling"]
[project]
dependencies = ["Flask_Thing[async] >=2,<3 ; python_version > '3.8'", "req @ https://h/x.whl", "plain", "paren (>=1)"]
[project.optional-dependencies]
fast = ["orjson~=3"]
[dependency-groups]
dev = ["pytest>=8", { include-group = "lint" }]
[tool.poetry.dependencies]
python = "^3.11"
attrs = "^23"
own = { path = "../x" }
extra = { version = "1", optional = true }
[tool.poetry.group.test.dependencies]
cov = "*"
"#;
    assert_eq!(
        shape("pyproject.toml", pyproject),
        [
            "attrs ^23 Dr",
            "cov * Dd",
            "extra 1 Do",
            "flask-thing >=2,<3 Dr",
            "hatchling  Db",
            "orjson ~=3 Do",
            "paren >=1 Dr",
            "plain  Dr",
            "pytest >=8 Dd",
            "req https://h/x.whl Dr"
        ]
    );
    let requirements =
        "# c\nA.b==1.0 \\\n  --hash=sha256:aa\n-r other.txt\n--index-url https://h\nc>=1,!=2 # why\n./local\ngit+https://h/x\nd[x]\n";
    assert_eq!(shape("requirements.txt", requirements), ["a-b 1.0 Dr", "c >=1,!=2 Dr", "d  Dr"]);
    assert_eq!(shape("requirements/dev.txt", "x==1\n"), ["x 1 Dd"]);
    let poetry = "[[package]]\nname = \"A\"\nversion = \"1\"\ngroups = [\"dev\"]\n[[package]]\nname = \"b\"\nversion = \"2\"\ngroups = [\"main\"]\n[[package]]\nname = \"c\"\nversion = \"3\"\ncategory = \"dev\"\n";
    assert_eq!(shape("poetry.lock", poetry), ["a 1 L?d", "b 2 L?r", "c 3 L?d"]);
    let uv = "version = 1\n[[package]]\nname = \"app\"\nversion = \"0.1\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"a\" }]\n[package.dev-dependencies]\ndev = [{ name = \"b\" }]\n[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { registry = \"https://h\" }\n[[package]]\nname = \"b\"\nversion = \"2\"\nsource = { registry = \"https://h\" }\n[[package]]\nname = \"c\"\nversion = \"3\"\nsource = { registry = \"https://h\" }\n";
    assert_eq!(shape("uv.lock", uv), ["a 1 LDr", "b 2 LDd", "c 3 Lt?"]);
}

#[test]
fn go() {
    let text = "module example.com/x\n\ngo 1.22\n\nrequire a.com/one v1.2.3\nrequire (\n\tb.com/two/v2 v2.0.0 // indirect\n\tc.com/three v0.0.0-2020-abc\n)\nreplace a.com/one => ../one\ntool a.com/one/cmd\n";
    assert_eq!(shape("go.mod", text), ["a.com/one v1.2.3 LDr", "b.com/two/v2 v2.0.0 Ltr", "c.com/three v0.0.0-2020-abc LDr"]);
    assert_eq!(shape("go.sum", "a v1 h1:x=\na v1/go.mod h1:y=\nb v2/go.mod h1:z=\n"), ["a v1 L??"]);
}

#[test]
fn maven() {
    let text = "<?xml version=\"1.0\"?>\n<project xmlns=\"x\"><groupId>me</groupId><version>9</version><properties><v>1.0</v><w>${v}.1</w></properties>\n<dependencyManagement><dependencies><dependency><groupId>m</groupId><artifactId>bom</artifactId></dependency></dependencies></dependencyManagement>\n<dependencies><dependency><groupId>g</groupId><artifactId>a</artifactId><version>${w}</version><exclusions><exclusion><groupId>no</groupId></exclusion></exclusions></dependency>\n<dependency><groupId>${project.groupId}</groupId><artifactId>b&amp;c</artifactId><version>${project.version}</version><scope>test</scope></dependency></dependencies>\n<build><plugins><plugin><dependencies><dependency><groupId>p</groupId><artifactId>p</artifactId></dependency></dependencies></plugin></plugins></build></project>";
    assert_eq!(shape("pom.xml", text), ["g:a 1.0.1 Dr", "me:b&c 9 Dd"]);
}

#[test]
fn ruby_and_php() {
    let gem = "GEM\n  remote: https://rubygems.org/\n  specs:\n    rack (2.0.1)\n    rails (7.0)\n      rack (>= 2)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  rails (~> 7)\n\nBUNDLED WITH\n   2.4\n";
    assert_eq!(shape("Gemfile.lock", gem), ["rack 2.0.1 Lt?", "rails 7.0 LD?"]);
    assert_eq!(shape("composer.json", r#"{"require":{"php":">=8","A/b":"^1"},"require-dev":{"c/d":"*"}}"#), ["a/b ^1 Dr", "c/d * Dd"]);
    assert_eq!(
        shape("composer.lock", r#"{"packages":[{"name":"a/b","version":"1.0"}],"packages-dev":[{"name":"c/d","version":"2"}]}"#),
        ["a/b 1.0 L?r", "c/d 2 L?d"]
    );
}

#[test]
fn merged() {
    let files = [
        ("Cargo.toml", "[dependencies]\na = \"1\"\nonly = \"2\"\n[dev-dependencies]\nb = \"1\"\n"),
        (
            "Cargo.lock",
            "[[package]]\nname = \"a\"\nversion = \"1.0.5\"\nsource = \"r\"\n[[package]]\nname = \"b\"\nversion = \"1.1.0\"\nsource = \"r\"\n[[package]]\nname = \"c\"\nversion = \"3.0.0\"\nsource = \"r\"\n",
        ),
    ];
    let all =
        files.iter().flat_map(|(path, text)| parse(path, text.as_bytes()).unwrap().unwrap().into_iter().map(|d| ((*path).to_owned(), d)));
    let got: Vec<String> = merge(all)
        .iter()
        .map(|(path, d)| format!("{} {} {:?} {:?} {path}", d.name, d.version, d.direct, d.scope.map(Scope::as_str)))
        .collect();
    assert_eq!(
        got,
        [
            "a 1.0.5 Some(true) Some(\"runtime\") Cargo.lock",
            "b 1.1.0 Some(true) Some(\"development\") Cargo.lock",
            "c 3.0.0 Some(false) None Cargo.lock",
            "only 2 Some(true) Some(\"runtime\") Cargo.toml"
        ]
    );
}

#[test]
fn errors_have_a_place() {
    let table = [
        ("Cargo.toml", "[dependencies]\na = \n", Some(2)),
        ("Cargo.toml", "[dependencies]\na = 1\n", None),
        ("Cargo.toml", "dependencies = 1\n", None),
        ("Cargo.lock", "package = 1\n", None),
        ("Cargo.lock", "[[package]]\nsource = \"x\"\n", None),
        ("package.json", "{\n\"dependencies\": {", Some(2)),
        ("package.json", "[]", Some(1)),
        ("package.json", "{\"dependencies\":{\"a\":1}}", None),
        ("package-lock.json", "{\"packages\":[]}", None),
        ("yarn.lock", "a@1:\n  resolved \"x\"\n", Some(1)),
        ("yarn.lock", "what\n", Some(1)),
        ("pnpm-lock.yaml", "packages:\n", Some(1)),
        ("requirements.txt", "ok\n!!!\n", Some(2)),
        ("go.mod", "module x\nrequire (\n  a\n)\n", Some(3)),
        ("go.mod", "requires x\n", Some(1)),
        ("go.sum", "a b\n", Some(1)),
        ("pom.xml", "<project>\n<a></b></project>", Some(2)),
        ("pom.xml", "<project>", Some(1)),
        ("pom.xml", "<!DOCTYPE p [<!ENTITY a \"b\">]><project/>", Some(1)),
        ("pom.xml", "<project>\n<dependencies><dependency/><dependency></dependency></dependencies></project>", Some(2)),
        ("Gemfile.lock", "GEM\n    bad\n", Some(2)),
        ("composer.lock", "{\"packages\":[{}]}", None),
        ("package.json", "{\"dependencies\":{\"a b\":\"1\"}}", None),
        ("package.json", "{\"dependencies\":{\"\":\"1\"}}", None),
    ];
    for (path, text, line) in table {
        let error = parse(path, text.as_bytes()).unwrap().expect_err(text);
        assert_eq!(error.line, line, "{path} {text:?}: {error}");
    }
    assert_eq!(parse("go.sum", b"a b c\n\xff").unwrap().unwrap_err().line, Some(2));
}

#[test]
fn hostile_input_is_refused_or_bounded() {
    let table = [
        ("package.json", "[".repeat(1_000_000)),
        ("package-lock.json", "{\"dependencies\":".repeat(100_000)),
        ("Cargo.toml", format!("a = {}", "[".repeat(100_000))),
        ("Cargo.toml", "a.".repeat(100_000)),
        ("pom.xml", "<a>".repeat(1_000_000)),
        (
            "pom.xml",
            format!(
                "<project><properties><a>${{a}}${{a}}</a></properties><dependencies><dependency><groupId>${{a}}</groupId><artifactId>x</artifactId></dependency></dependencies>{}",
                "<b/>".repeat(1000)
            ),
        ),
        ("yarn.lock", format!("{}:\n  version \"1\"\n", "a@1,".repeat(200_000))),
        ("pnpm-lock.yaml", (0..2000).map(|i| format!("{}a:\n", " ".repeat(i))).collect()),
        ("requirements.txt", "a\\\n".repeat(300_000)),
        ("go.sum", "a v1 h\n".repeat(300_000)),
        ("Gemfile.lock", format!("GEM\n{}", "    a (1)\n".repeat(300_000))),
        ("composer.lock", "9".repeat(1_000_000)),
    ];
    for (path, text) in table {
        let start = std::time::Instant::now();
        let result = parse(path, text.as_bytes()).unwrap();
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{path} took {:?}", start.elapsed());
        if let Ok(list) = result {
            assert!(list.len() <= DEPENDENCY_LIMIT);
        }
    }
    assert!(parse("Cargo.toml", &vec![b' '; SIZE_LIMIT + 1]).unwrap().is_err());
    assert!(parse("src/main.rs", b"").is_none());
    assert!(parse("node_modules/x/package.json", b"{}").is_none());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_accepted(bytes in proptest::collection::vec(proptest::sample::select(b"ab@:\"'{}[]<>/= \n.,1#()!-\\$\xff".to_vec()), 0..200)) {
        for path in ["Cargo.toml", "Cargo.lock", "package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "pyproject.toml", "requirements.txt", "poetry.lock", "uv.lock", "go.mod", "go.sum", "pom.xml", "Gemfile.lock", "composer.json", "composer.lock"] {
            let _ = parse(path, &bytes);
        }
    }
}
