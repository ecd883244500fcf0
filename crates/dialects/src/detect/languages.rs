//! More languages, and what a project is beside its build: version and start command.

use serde_json::Value;

use super::{Detector, Stack, Tree, run};
use crate::plan::Step;

/// First line of a file, without blanks.
fn first_line(t: &Tree<'_>, path: &str) -> Option<String> {
    let text = t.text(path)?;
    text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned)
}

/// The value after a key of a simple `key = "value"` file.
fn assigned(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|l| l.trim().strip_prefix(key)?.trim_start().strip_prefix('='))?;
    Some(line.trim().trim_matches(['"', '\'']).to_owned()).filter(|v| !v.is_empty())
}

/// The command of a process of a Procfile.
fn process(t: &Tree<'_>, name: &str) -> Option<String> {
    let text = t.text("Procfile")?;
    text.lines().find_map(|l| l.split_once(':').filter(|(n, _)| n.trim() == name)).map(|(_, command)| command.trim().to_owned())
}

impl Detector {
    /// Languages that are found by one file and built with one tool each.
    pub(super) fn others(&mut self, t: &Tree<'_>) {
        self.cpp(t);
        self.deno(t);
        self.dotnet(t);
        self.elixir(t);
        self.gleam(t);
        self.php(t);
        self.ruby(t);
    }

    fn simple(&mut self, key: &'static str, source: &str, why: String, commands: &[(&str, String)]) {
        self.why.push(why);
        let steps: Vec<Step> = commands.iter().map(|(name, script)| run(name, script.clone())).collect();
        self.job(key, source, vec![], steps);
    }

    fn cpp(&mut self, t: &Tree<'_>) {
        if let Some(text) = t.text("CMakeLists.txt") {
            let mut commands = vec![
                ("Configure", "cmake -S . -B build -DCMAKE_BUILD_TYPE=Release".to_owned()),
                ("Build", "cmake --build build --parallel".to_owned()),
            ];
            let tested = ["enable_testing", "include(CTest)", "add_test"].iter().any(|w| text.contains(w));
            if tested {
                commands.push(("Test", "ctest --test-dir build --output-on-failure".to_owned()));
            }
            let tests = if tested { "tested with CTest" } else { "it declares no tests" };
            self.simple("cpp", "CMakeLists.txt", format!("`CMakeLists.txt`: built with CMake, {tests}."), &commands);
        } else if t.has("meson.build") {
            let commands = [("Configure", "meson setup build"), ("Build", "meson compile -C build"), ("Test", "meson test -C build")];
            let commands = commands.map(|(n, c)| (n, c.to_owned()));
            self.simple("cpp", "meson.build", "`meson.build`: built and tested with Meson.".into(), &commands);
        }
    }

    fn deno(&mut self, t: &Tree<'_>) {
        let Some(file) = ["deno.json", "deno.jsonc"].into_iter().find(|f| t.has(f)) else { return };
        let config: Value = t.text(file).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
        let frozen = if t.has("deno.lock") { " --frozen" } else { "" };
        let mut commands = vec![("Install dependencies", format!("deno install{frozen}"))];
        if config["tasks"]["build"].is_string() {
            commands.push(("Build", "deno task build".to_owned()));
        }
        let is_test = |f: &str| ["_test.ts", "_test.js", ".test.ts", ".test.js", "_test.tsx"].iter().any(|e| f.ends_with(e));
        if config["tasks"]["test"].is_string() {
            commands.push(("Test", "deno task test".to_owned()));
        } else if t.any(is_test) {
            commands.push(("Test", "deno test --allow-all".to_owned()));
        }
        self.simple("deno", file, format!("`{file}`: a Deno project."), &commands);
    }

    fn dotnet(&mut self, t: &Tree<'_>) {
        let kinds = [".sln", ".slnx", ".csproj", ".fsproj", ".vbproj"];
        let Some(file) = kinds.iter().find_map(|kind| t.files.iter().find(|f| !f.contains('/') && f.ends_with(kind))) else { return };
        let commands = [
            ("Install dependencies", "dotnet restore"),
            ("Build", "dotnet build --no-restore --configuration Release"),
            ("Test", "dotnet test --no-build --configuration Release"),
        ];
        self.simple("dotnet", file, format!("`{file}`: built and tested with the .NET SDK."), &commands.map(|(n, c)| (n, c.to_owned())));
    }

    fn elixir(&mut self, t: &Tree<'_>) {
        if !t.has("mix.exs") {
            return;
        }
        let commands = [
            ("Install dependencies", "mix local.hex --force --if-missing\nmix local.rebar --force --if-missing\nmix deps.get\n"),
            ("Build", "mix compile"),
            ("Test", "mix test"),
        ];
        self.simple(
            "elixir",
            "mix.exs",
            "`mix.exs`: an Elixir project, built and tested with Mix.".into(),
            &commands.map(|(n, c)| (n, c.to_owned())),
        );
    }

    fn gleam(&mut self, t: &Tree<'_>) {
        if !t.has("gleam.toml") {
            return;
        }
        let commands = [("Install dependencies", "gleam deps download"), ("Build", "gleam build"), ("Test", "gleam test")];
        self.simple("gleam", "gleam.toml", "`gleam.toml`: a Gleam project.".into(), &commands.map(|(n, c)| (n, c.to_owned())));
    }

    fn php(&mut self, t: &Tree<'_>) {
        let Some(text) = t.text("composer.json") else { return };
        let config: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let mut commands = vec![("Install dependencies", "composer install --no-interaction --prefer-dist".to_owned())];
        let scripted = !config["scripts"]["test"].is_null();
        let unit = ["phpunit.xml", "phpunit.xml.dist"].iter().any(|f| t.has(f));
        if scripted {
            commands.push(("Test", "composer run-script test".to_owned()));
        } else if unit {
            commands.push(("Test", "vendor/bin/phpunit".to_owned()));
        }
        let tests = match (scripted, unit) {
            (true, _) => "its script `test` is run",
            (false, true) => "tested with PHPUnit",
            _ => "no tests were found",
        };
        self.simple("php", "composer.json", format!("`composer.json`: installed with Composer; {tests}."), &commands);
    }

    fn ruby(&mut self, t: &Tree<'_>) {
        if !t.has("Gemfile") {
            return;
        }
        let mut commands = vec![("Install dependencies", "bundle config set --local path vendor/bundle\nbundle install\n".to_owned())];
        let tests = if t.any(|f| f.starts_with("spec/") && f.ends_with("_spec.rb")) {
            commands.push(("Test", "bundle exec rspec".to_owned()));
            "tested with RSpec"
        } else if t.has("Rakefile") {
            commands.push(("Test", "bundle exec rake".to_owned()));
            "its default Rake task is run"
        } else {
            "no tests were found"
        };
        self.simple("ruby", "Gemfile", format!("`Gemfile`: installed with Bundler; {tests}."), &commands);
    }

    /// Scripts alone: they are at least read by the shell.
    pub(super) fn shell(&mut self, t: &Tree<'_>) {
        let Some(first) = t.files.iter().find(|f| f.ends_with(".sh")) else { return };
        let mut commands = vec![("Check", "find . -name '*.sh' -not -path './.git/*' -print0 | xargs -0 -n 1 bash -n".to_owned())];
        if t.any(|f| f.ends_with(".bats")) {
            commands.push(("Test", "bats --recursive .".to_owned()));
        }
        self.simple("shell", &first.clone(), "Shell scripts: their syntax is checked.".into(), &commands);
    }
}

/// What the project is written in, with versions and start commands.
pub(super) fn stacks(t: &Tree<'_>, directory: &str) -> Vec<Stack> {
    let mut found = Vec::new();
    let mut add = |language: &'static str, version: Option<String>, start: Option<String>| {
        found.push(Stack { language, directory: directory.to_owned(), version, start });
    };
    let json = |path: &str| t.text(path).and_then(|text| serde_json::from_str::<Value>(&text).ok()).unwrap_or(Value::Null);
    if t.has("Cargo.toml") {
        let text = t.text("Cargo.toml").unwrap_or_default();
        let pinned = t.text("rust-toolchain.toml").and_then(|text| assigned(&text, "channel"));
        let version = pinned.or_else(|| first_line(t, "rust-toolchain")).or_else(|| assigned(&text, "rust-version"));
        let start = t.has("src/main.rs").then(|| "cargo run --release".to_owned());
        add("rust", version, start);
    }
    if t.has("package.json") {
        let package = json("package.json");
        let version = first_line(t, ".nvmrc").or_else(|| first_line(t, ".node-version"));
        let version = version.or_else(|| package["engines"]["node"].as_str().map(str::to_owned));
        let start = package["scripts"]["start"].as_str().map(|_| "npm start".to_owned());
        add("node", version, start.or_else(|| package["main"].as_str().map(|main| format!("node {main}"))));
    }
    if ["pyproject.toml", "requirements.txt", "setup.py"].iter().any(|f| t.has(f)) {
        let asked = t.text("pyproject.toml").and_then(|text| assigned(&text, "requires-python"));
        let version = first_line(t, ".python-version").or_else(|| first_line(t, "runtime.txt")).or(asked);
        let start = ["manage.py", "main.py", "app.py"].into_iter().find(|f| t.has(f));
        add("python", version, start.map(|f| if f == "manage.py" { "python manage.py runserver".into() } else { format!("python {f}") }));
    }
    if let Some(text) = t.text("go.mod") {
        let version = text.lines().find_map(|l| l.trim().strip_prefix("go ")).map(|v| v.trim().to_owned());
        add("go", version, t.has("main.go").then(|| "go run .".to_owned()));
    }
    if ["pom.xml", "build.gradle", "build.gradle.kts"].iter().any(|f| t.has(f)) {
        add("java", first_line(t, ".java-version"), None);
    }
    if t.has("CMakeLists.txt") || t.has("meson.build") {
        add("cpp", None, None);
    }
    for file in ["deno.json", "deno.jsonc"].into_iter().filter(|f| t.has(f)).take(1) {
        let start = json(file)["tasks"]["start"].as_str().map(|_| "deno task start".to_owned());
        add("deno", first_line(t, ".deno-version"), start);
    }
    if t.any(|f| !f.contains('/') && [".sln", ".slnx", ".csproj", ".fsproj", ".vbproj"].iter().any(|e| f.ends_with(e))) {
        add("dotnet", json("global.json")["sdk"]["version"].as_str().map(str::to_owned), Some("dotnet run".into()));
    }
    if let Some(text) = t.text("mix.exs") {
        let version = text.split_once("elixir:").and_then(|(_, rest)| rest.split('"').nth(1)).map(str::to_owned);
        add("elixir", version, Some(if text.contains(":phoenix") { "mix phx.server" } else { "mix run --no-halt" }.into()));
    }
    if let Some(text) = t.text("gleam.toml") {
        add("gleam", assigned(&text, "gleam"), Some("gleam run".into()));
    }
    if t.has("composer.json") || t.has("index.php") {
        let version = json("composer.json")["require"]["php"].as_str().map(str::to_owned);
        let root = if t.has("public/index.php") { " -t public" } else { "" };
        add("php", version, Some(format!("php -S 0.0.0.0:8080{root}")));
    }
    if let Some(text) = t.text("Gemfile") {
        let asked = text.lines().find_map(|l| l.trim().strip_prefix("ruby ")).map(|v| v.trim().trim_matches(['"', '\'']).to_owned());
        let start = if t.has("bin/rails") { Some("bin/rails server") } else { t.has("config.ru").then_some("bundle exec rackup") };
        add("ruby", first_line(t, ".ruby-version").or(asked), start.map(str::to_owned));
    }
    if found.is_empty() && t.any(|f| f.ends_with("index.html")) {
        found.push(Stack { language: "static", directory: directory.to_owned(), version: None, start: None });
    }
    if found.is_empty() && t.any(|f| f.ends_with(".sh")) {
        let start = t.has("start.sh").then(|| "sh start.sh".to_owned());
        found.push(Stack { language: "shell", directory: directory.to_owned(), version: None, start });
    }
    // who writes a Procfile has decided
    if let (Some(first), Some(command)) = (found.first_mut(), process(t, "web").or_else(|| process(t, "worker"))) {
        first.start = Some(command);
    }
    found
}
