//! A build for a repository without a workflow file, made from what lies in it, and the reasons in plain words.

mod languages;

use serde::Serialize;
use serde_json::Value;

use crate::diagnostic::Span;
use crate::emit;
use crate::plan::{Action, Dialect, Job, Late, Map, Plan, RefFilter, Step, StepKind, Trigger};

/// What was found.
#[derive(Debug)]
pub struct Detection {
    /// The build.
    pub plan: Plan,
    /// Why it looks like this, a sentence per decision.
    pub explanation: Vec<String>,
    /// The same as a workflow file, to be kept and changed.
    pub workflow: String,
    /// What the project is written in.
    pub stacks: Vec<Stack>,
}

/// A language of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stack {
    /// `cpp`, `deno`, `dotnet`, `elixir`, `gleam`, `go`, `java`, `node`, `php`, `python`, `ruby`, `rust`, `shell`, `static`.
    pub language: &'static str,
    /// Where, from the root; empty for the root.
    pub directory: String,
    /// The version it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What starts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

/// Where detection looks: paths of the repository, and the text of a file.
pub struct Tree<'t> {
    /// All paths, in any order.
    pub files: &'t [String],
    /// The text of a file; none when it cannot be read.
    pub read: &'t dyn Fn(&str) -> Option<String>,
}

impl Tree<'_> {
    fn has(&self, path: &str) -> bool {
        self.files.iter().any(|f| f == path)
    }
    fn any(&self, test: impl Fn(&str) -> bool) -> bool {
        self.files.iter().any(|f| test(f))
    }
    fn text(&self, path: &str) -> Option<String> {
        self.has(path).then(|| (self.read)(path)).flatten()
    }
}

/// Label a detected job asks for; the in-process runner has it.
const RUNS_ON: &str = "ubuntu-latest";

/// Most directories of a repository without a build at its root that are built.
const MAX_PARTS: usize = 20;

/// Makes a plan from the files. None when nothing buildable is found.
pub fn detect(tree: &Tree<'_>) -> Option<Detection> {
    let mut d = Detector { source: String::new(), jobs: Vec::new(), why: Vec::new() };
    let mut stacks = languages::stacks(tree, "");
    d.languages(tree);
    if d.jobs.is_empty() {
        d.parts(tree, &mut stacks);
    }
    if d.jobs.is_empty() {
        d.make(tree);
    }
    d.image(tree);
    if d.jobs.is_empty() {
        d.site(tree);
    }
    if d.jobs.is_empty() {
        d.shell(tree);
    }
    if d.jobs.is_empty() {
        return None;
    }
    for stack in &stacks {
        if let Some(start) = &stack.start {
            let place = if stack.directory.is_empty() { String::new() } else { format!(" in `{}`", stack.directory) };
            d.why.push(format!("It is started{place} with `{start}`."));
        }
    }
    let span = Span::whole(&d.source);
    for job in &mut d.jobs {
        job.span = span.clone();
        job.steps.iter_mut().for_each(|s| s.span = span.clone());
    }
    let plan = Plan {
        triggers: vec![Trigger::Push(RefFilter::default()), Trigger::WorkflowDispatch],
        jobs: d.jobs,
        ..Plan::new(Dialect::Detected, d.source, "Detected build")
    };
    let workflow = emit::workflow(&plan);
    Some(Detection { plan, explanation: d.why, workflow, stacks })
}

struct Detector {
    source: String,
    jobs: Vec<Job>,
    why: Vec<String>,
}

fn step(name: &str, kind: StepKind) -> Step {
    Step {
        id: None,
        name: (!name.is_empty()).then(|| name.to_owned()),
        condition: None,
        env: Map::new(),
        timeout_minutes: None,
        continue_on_error: Late::Known(false),
        span: Span::whole(""),
        kind,
    }
}

fn run(name: &str, script: impl Into<String>) -> Step {
    step(name, StepKind::Run { script: script.into(), shell: None, working_directory: None })
}

fn uses(name: &str, action: Action, version: &str, with: &[(&str, &str)]) -> Step {
    let with = with.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    step(name, StepKind::Uses { action, version: version.into(), with })
}

fn report(files: &str) -> Step {
    Step { condition: Some("always()".into()), ..uses("Report", Action::Report, "v1", &[("junit", files)]) }
}

/// A job whose project lies in a directory.
fn moved(mut job: Job, directory: &str) -> Job {
    job.key = format!("{}-{}", directory.replace(|c: char| !c.is_ascii_alphanumeric(), "-"), job.key);
    if !job.key.starts_with(|c: char| c.is_ascii_alphabetic()) {
        job.key.insert(0, '_');
    }
    job.defaults.working_directory = Some(directory.to_owned());
    for step in &mut job.steps {
        if let StepKind::Uses { with, .. } = &mut step.kind {
            for (name, value) in with.iter_mut() {
                if matches!(name.as_str(), "go-version-file" | "junit") {
                    *value = format!("{directory}/{value}");
                }
            }
        }
    }
    job
}

impl Detector {
    fn languages(&mut self, t: &Tree<'_>) {
        self.cargo(t);
        self.node(t);
        self.python(t);
        self.go(t);
        self.java(t);
        self.others(t);
    }

    /// Directories that are projects of their own, where the root is none.
    fn parts(&mut self, t: &Tree<'_>, stacks: &mut Vec<Stack>) {
        let mut directories: Vec<&str> = Vec::new();
        for file in t.files {
            let mut slashes = file.match_indices('/').map(|(at, _)| &file[..at]);
            directories.extend(slashes.next());
            directories.extend(slashes.next());
        }
        directories.sort_unstable();
        directories.dedup();
        let mut built: Vec<&str> = Vec::new();
        for directory in directories {
            // what lies inside a part belongs to it
            let inside = built.iter().any(|b| directory.strip_prefix(b).is_some_and(|rest| rest.starts_with('/')));
            if inside
                || built.len() >= MAX_PARTS
                || directory.split('/').any(|d| d.starts_with('.') || d == "node_modules" || d == "vendor")
            {
                continue;
            }
            let prefix = format!("{directory}/");
            let files: Vec<String> = t.files.iter().filter_map(|f| f.strip_prefix(&prefix)).map(str::to_owned).collect();
            let read = |path: &str| (t.read)(&format!("{prefix}{path}"));
            let below = Tree { files: &files, read: &read };
            let mut part = Detector { source: String::new(), jobs: Vec::new(), why: Vec::new() };
            part.languages(&below);
            if part.jobs.is_empty() {
                continue;
            }
            built.push(directory);
            if self.source.is_empty() {
                self.source = format!("{prefix}{}", part.source);
            }
            stacks.extend(languages::stacks(&below, directory));
            self.why.push(format!("`{directory}` is a project of its own:"));
            self.why.extend(part.why);
            self.jobs.extend(part.jobs.into_iter().map(|job| moved(job, directory)));
        }
        stacks.retain(|s| !s.directory.is_empty() || built.is_empty());
    }

    fn job(&mut self, key: &str, source: &str, needs: Vec<String>, steps: Vec<Step>) {
        if self.source.is_empty() {
            self.source = source.into();
        }
        let mut all = vec![uses("", Action::Checkout, "v4", &[])];
        all.extend(steps);
        self.jobs.push(Job {
            needs,
            runs_on: vec![RUNS_ON.into()],
            timeout_minutes: Some(Late::Known(60.0)),
            steps: all,
            ..Job::new(key, Span::whole(""))
        });
    }

    fn cargo(&mut self, t: &Tree<'_>) {
        if !t.has("Cargo.toml") {
            return;
        }
        let locked = if t.has("Cargo.lock") { " --locked" } else { "" };
        let all = t.text("Cargo.toml").is_some_and(|text| text.contains("[workspace]"));
        let scope = if all { " --workspace" } else { "" };
        self.why.push(format!("`Cargo.toml` at the root: built and tested with Cargo{}.", if all { " as a workspace" } else { "" }));
        if !locked.is_empty() {
            self.why.push("`Cargo.lock` is there, so dependencies are taken as locked.".into());
        }
        self.job(
            "rust",
            "Cargo.toml",
            vec![],
            vec![
                uses("", Action::RustToolchain, "stable", &[]),
                run("Install dependencies", format!("cargo fetch{locked}")),
                run("Build", format!("cargo build{scope} --all-targets{locked}")),
                run("Test", format!("cargo test{scope}{locked}")),
            ],
        );
    }

    fn node(&mut self, t: &Tree<'_>) {
        let Some(text) = t.text("package.json") else { return };
        let package: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let script = |name: &str| package["scripts"][name].as_str().filter(|s| !s.trim().is_empty());
        let berry = t.has(".yarnrc.yml");
        let (tool, install, why) = if t.has("pnpm-lock.yaml") {
            ("pnpm", "pnpm install --frozen-lockfile", "`pnpm-lock.yaml`: installed with pnpm as locked.")
        } else if t.has("yarn.lock") && berry {
            ("yarn", "yarn install --immutable", "`yarn.lock` and `.yarnrc.yml`: installed with Yarn as locked.")
        } else if t.has("yarn.lock") {
            ("yarn", "yarn install --frozen-lockfile", "`yarn.lock`: installed with Yarn as locked.")
        } else if t.has("package-lock.json") || t.has("npm-shrinkwrap.json") {
            ("npm", "npm ci", "`package-lock.json`: installed with npm as locked.")
        } else {
            (
                "npm",
                "npm install",
                "`package.json` without a lock file: installed with npm; commit a lock file to get the same versions every time.",
            )
        };
        self.why.push(why.into());
        let mut steps = vec![uses("", Action::SetupNode, "v4", &[]), run("Install dependencies", install)];
        for name in ["lint", "build"] {
            if script(name).is_some() {
                self.why.push(format!("The script `{name}` of `package.json` is run."));
                steps.push(run(if name == "lint" { "Lint" } else { "Build" }, format!("{tool} run {name}")));
            }
        }
        match script("test") {
            Some(test) if !test.contains("no test specified") => {
                // npm needs `--` before arguments of the script
                let dash = if tool == "npm" { " --" } else { "" };
                if test.contains("vitest") {
                    self.why.push("Tests run with Vitest, which writes a JUnit report.".into());
                    let args = "--run --reporter=default --reporter=junit --outputFile.junit=reports/junit.xml";
                    steps.push(run("Test", format!("{tool} run test{dash} {args}")));
                    steps.push(report("reports/junit.xml"));
                } else if test.contains("node --test") || test.contains("--test ") {
                    self.why.push("Tests run with Node's own runner, which writes a JUnit report.".into());
                    let options = "--test-reporter=spec --test-reporter-destination=stdout --test-reporter=junit --test-reporter-destination=reports/junit.xml";
                    steps.push(run("Test", format!("mkdir -p reports\nNODE_OPTIONS='{options}' {tool} run test\n")));
                    steps.push(report("reports/junit.xml"));
                } else {
                    self.why.push("The script `test` of `package.json` is run.".into());
                    steps.push(run("Test", format!("{tool} run test")));
                }
            }
            _ => self.why.push("`package.json` has no `test` script, so nothing is tested.".into()),
        }
        self.job("node", "package.json", vec![], steps);
    }

    fn python(&mut self, t: &Tree<'_>) {
        let project = t.text("pyproject.toml");
        let is_package = t.has("setup.py") || project.as_deref().is_some_and(|p| p.contains("[project]") || p.contains("[build-system]"));
        let requirements: Vec<&str> =
            ["requirements.txt", "requirements-dev.txt", "dev-requirements.txt"].into_iter().filter(|f| t.has(f)).collect();
        if !is_package && requirements.is_empty() && project.is_none() {
            return;
        }
        let source = if project.is_some() {
            "pyproject.toml"
        } else if t.has("setup.py") {
            "setup.py"
        } else {
            "requirements.txt"
        };
        self.why.push(format!("`{source}`: a Python project, installed into an environment of its own."));
        let mut install = String::from("python3 -m venv .venv\necho \"$PWD/.venv/bin\" >> \"$GITHUB_PATH\"\n");
        for file in &requirements {
            install.push_str(&format!(".venv/bin/pip install -r {file}\n"));
        }
        if is_package {
            install.push_str(".venv/bin/pip install -e .\n");
        }
        let mut steps = vec![uses("", Action::SetupPython, "v5", &[])];
        let is_test = |f: &str| {
            let name = f.rsplit('/').next().unwrap_or(f);
            name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py"))
        };
        let uses_pytest = t.has("pytest.ini")
            || t.has("conftest.py")
            || t.has("tests/conftest.py")
            || project.as_deref().is_some_and(|p| p.contains("pytest"))
            || requirements.iter().any(|f| t.text(f).is_some_and(|text| text.contains("pytest")));
        let has_tests = t.any(is_test);
        if has_tests && uses_pytest {
            install.push_str(".venv/bin/pip install pytest\n");
        }
        steps.push(run("Install dependencies", install));
        steps.push(run("Build", "python -m compileall -q -x '[.]venv' ."));
        if has_tests && uses_pytest {
            self.why.push("Tests run with pytest, which writes a JUnit report.".into());
            steps.push(run("Test", "python -m pytest --junitxml=reports/junit.xml"));
            steps.push(report("reports/junit.xml"));
        } else if has_tests {
            self.why.push("Tests run with the standard library's unittest.".into());
            steps.push(run("Test", "python -m unittest discover -v"));
        } else {
            self.why.push("No Python tests were found.".into());
        }
        self.job("python", source, vec![], steps);
    }

    fn go(&mut self, t: &Tree<'_>) {
        if !t.has("go.mod") {
            return;
        }
        self.why.push("`go.mod`: a Go module, built, vetted and tested.".into());
        self.job(
            "go",
            "go.mod",
            vec![],
            vec![
                uses("", Action::SetupGo, "v5", &[("go-version-file", "go.mod")]),
                run("Install dependencies", "go mod download"),
                run("Build", "go build ./..."),
                run("Vet", "go vet ./..."),
                run("Test", "go test ./..."),
            ],
        );
    }

    fn java(&mut self, t: &Tree<'_>) {
        if t.has("pom.xml") {
            let maven = if t.has("mvnw") { "sh ./mvnw" } else { "mvn" };
            self.why.push(format!("`pom.xml`: built and tested with `{maven} verify`, whose test reports are read."));
            let steps = vec![
                uses("", Action::SetupJava, "v4", &[]),
                run("Install dependencies", format!("{maven} -B -q dependency:resolve")),
                run("Build and test", format!("{maven} -B verify")),
                report("**/target/surefire-reports/*.xml"),
            ];
            self.job("maven", "pom.xml", vec![], steps);
        } else if let Some(file) = ["build.gradle", "build.gradle.kts"].into_iter().find(|f| t.has(f)) {
            let gradle = if t.has("gradlew") { "sh ./gradlew" } else { "gradle" };
            self.why.push(format!("`{file}`: built and tested with `{gradle} build`, whose test reports are read."));
            let steps = vec![
                uses("", Action::SetupJava, "v4", &[]),
                run("Build and test", format!("{gradle} --no-daemon build")),
                report("**/build/test-results/**/*.xml"),
            ];
            self.job("gradle", file, vec![], steps);
        }
    }

    fn make(&mut self, t: &Tree<'_>) {
        let Some(file) = ["Makefile", "makefile", "GNUmakefile"].into_iter().find(|f| t.has(f)) else { return };
        let text = t.text(file).unwrap_or_default();
        let target = |name: &str| {
            text.lines().any(|l| {
                l.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(':') && !rest.trim_start().starts_with(":="))
            })
        };
        let mut steps = vec![run("Build", if target("build") { "make build" } else { "make" })];
        if let Some(test) = ["test", "check"].into_iter().find(|n| target(n)) {
            steps.push(run("Test", format!("make {test}")));
            self.why.push(format!("`{file}`: built with make, tested with its target `{test}`."));
        } else {
            self.why.push(format!("`{file}`: built with make; it has no target `test` or `check`."));
        }
        self.job("make", file, vec![], steps);
    }

    fn image(&mut self, t: &Tree<'_>) {
        if !t.has("Dockerfile") {
            return;
        }
        let needs: Vec<String> = self.jobs.iter().map(|j| j.key.clone()).collect();
        self.why.push(
            "`Dockerfile`: an image is built once the rest has passed; from the default branch it is pushed to the project's registry."
                .into(),
        );
        let push = "${{ github.ref_name == github.event.repository.default_branch }}";
        self.job(
            "image",
            "Dockerfile",
            needs,
            vec![uses("Image", Action::BuildImage, "v1", &[("context", "."), ("tags", "latest\n${{ github.sha }}\n"), ("push", push)])],
        );
    }

    fn site(&mut self, t: &Tree<'_>) {
        let Some(root) = ["index.html", "public/index.html", "site/index.html", "docs/index.html"].into_iter().find(|f| t.has(f)) else {
            return;
        };
        let directory = root.strip_suffix("/index.html").unwrap_or(".");
        self.why.push(format!("`{root}`: a static site, kept as an artifact; there is nothing to build."));
        self.job(
            "site",
            root,
            vec![],
            vec![uses(
                "Keep the site",
                Action::UploadArtifact,
                "v4",
                &[("name", "site"), ("path", directory), ("if-no-files-found", "error")],
            )],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::compile;

    fn find(files: &[(&str, &str)]) -> Option<Detection> {
        let paths: Vec<String> = files.iter().map(|(p, _)| (*p).to_owned()).collect();
        let read = |path: &str| files.iter().find(|(p, _)| *p == path).map(|(_, t)| (*t).to_owned());
        detect(&Tree { files: &paths, read: &read })
    }

    /// Same plan but for its origin and its places.
    fn strip(mut plan: Plan) -> Plan {
        let span = Span::whole("");
        plan.dialect = Dialect::Detected;
        plan.source = String::new();
        for job in &mut plan.jobs {
            job.span = span.clone();
            for step in &mut job.steps {
                step.span = span.clone();
                // the compiler gives ids to steps that have none
                step.id = step.id.take().filter(|id| !id.starts_with("__"));
            }
        }
        plan
    }

    #[test]
    fn each_kind_of_project_is_found_and_can_be_written_out() {
        type Files = &'static [(&'static str, &'static str)];
        let cases: &[(Files, &[&str])] = &[
            (&[("Cargo.toml", "[package]"), ("Cargo.lock", "")], &["cargo build --all-targets --locked", "cargo test --locked"]),
            (
                &[("package.json", r#"{"scripts":{"test":"vitest","build":"tsc"}}"#), ("package-lock.json", "{}")],
                &["npm ci", "npm run build", "--reporter=junit"],
            ),
            (
                &[("package.json", r#"{"scripts":{"test":"node --test"}}"#), ("pnpm-lock.yaml", "")],
                &["pnpm install --frozen-lockfile", "NODE_OPTIONS"],
            ),
            (&[("package.json", "not json"), ("yarn.lock", "")], &["yarn install --frozen-lockfile"]),
            (
                &[("requirements.txt", "pytest\n"), ("tests/test_a.py", "")],
                &["pip install -r requirements.txt", "--junitxml=reports/junit.xml"],
            ),
            (&[("pyproject.toml", "[project]\nname='x'"), ("test_a.py", "")], &["pip install -e .", "unittest discover"]),
            (&[("go.mod", "module x")], &["go build ./...", "go test ./..."]),
            (&[("pom.xml", ""), ("mvnw", "")], &["sh ./mvnw -B verify"]),
            (&[("build.gradle.kts", "")], &["gradle --no-daemon build"]),
            (&[("Makefile", "all:\n\techo\ncheck: all\n")], &["make\n", "make check"]),
            (&[("go.mod", "module x"), ("Dockerfile", "FROM scratch")], &["devmentor/build-image@v1", "go test"]),
            (&[("index.html", "")], &["actions/upload-artifact@v4"]),
            (&[("CMakeLists.txt", "enable_testing()")], &["cmake --build build", "ctest --test-dir build"]),
            (&[("deno.json", r#"{"tasks":{"build":"x"}}"#), ("a_test.ts", "")], &["deno task build", "deno test"]),
            (&[("App.sln", "")], &["dotnet restore", "dotnet test"]),
            (&[("mix.exs", "")], &["mix deps.get", "mix test"]),
            (&[("gleam.toml", "")], &["gleam build", "gleam test"]),
            (&[("composer.json", "{}"), ("phpunit.xml", "")], &["composer install", "vendor/bin/phpunit"]),
            (&[("Gemfile", ""), ("spec/a_spec.rb", "")], &["bundle install", "bundle exec rspec"]),
            (&[("build.sh", "")], &["bash -n"]),
            (
                &[("api/go.mod", "module x"), ("web/package.json", r#"{"scripts":{"build":"x"}}"#), ("README.md", "")],
                &["api-go:", "working-directory: api", "go-version-file: api/go.mod", "web-node:", "npm run build"],
            ),
        ];
        for (files, expect) in cases {
            let d = find(files).unwrap();
            for text in *expect {
                assert!(d.workflow.contains(text), "{text} not in\n{}", d.workflow);
            }
            assert!(!d.explanation.is_empty());
            let back = compile(".github/workflows/ci.yml", d.workflow.as_bytes());
            assert!(back.diagnostics.is_empty(), "{:?}\n{}", back.diagnostics, d.workflow);
            assert_eq!(strip(back.plan.unwrap()), strip(d.plan), "{}", d.workflow);
        }
        assert!(find(&[("README.md", "")]).is_none());
    }

    #[test]
    fn versions_and_start_commands() {
        let stacks = |files: &[(&str, &str)]| -> Vec<String> {
            let show =
                |s: Stack| format!("{}{} {} | {}", s.directory, s.language, s.version.unwrap_or_default(), s.start.unwrap_or_default());
            find(files).unwrap().stacks.into_iter().map(show).collect()
        };
        assert_eq!(stacks(&[("Cargo.toml", "rust-version = \"1.80\""), ("src/main.rs", "")]), ["rust 1.80 | cargo run --release"]);
        assert_eq!(stacks(&[("package.json", r#"{"engines":{"node":">=20"},"scripts":{"start":"x"}}"#)]), ["node >=20 | npm start"]);
        assert_eq!(
            stacks(&[("go.mod", "module x\ngo 1.22\n"), ("main.go", ""), ("Procfile", "web: ./x -p $PORT")]),
            ["go 1.22 | ./x -p $PORT"]
        );
        assert_eq!(stacks(&[("Gemfile", "ruby '3.3.0'"), ("config.ru", "")]), ["ruby 3.3.0 | bundle exec rackup"]);
        assert_eq!(stacks(&[("requirements.txt", ""), ("app.py", ""), (".python-version", "3.12\n")]), ["python 3.12 | python app.py"]);
        assert_eq!(
            stacks(&[("b/go.mod", "go 1.21"), ("a/mix.exs", "elixir: \"~> 1.15\"")]),
            ["aelixir ~> 1.15 | mix run --no-halt", "bgo 1.21 | "]
        );
        assert_eq!(stacks(&[("index.html", "")]), ["static  | "]);
    }
}
