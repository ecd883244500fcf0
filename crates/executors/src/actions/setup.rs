//! `actions/setup-*`: choose among the tool chains installed on the machine. Nothing is downloaded; a version that is
//! not there is an error that says what is.

use std::path::Path;

use super::version::{Version, fits};
use super::{ActionEnd, ActionResult, Call, failed};
use crate::sandbox::read_beneath;

/// One installed program.
#[derive(Clone, Debug)]
struct Installed {
    path: String,
    version: Version,
}

/// Prints `path<TAB>first line of its version` for each argument after `$1`, the option that asks for it.
const ASK: &str = r#"ask=$1; shift
for p in "$@"; do
  case $p in */*) ;; *) p=$(command -v "$p") || continue;; esac
  [ -x "$p" ] || continue
  printf '%s\t%s\n' "$p" "$("$p" $ask 2>&1 | head -n 1)"
done; true"#;

/// Asks programs (names or shell patterns of paths) for their versions, in order, each path once.
async fn installed(call: &mut Call<'_>, ask: &str, programs: &[&str]) -> ActionResult<Vec<Installed>> {
    // patterns are ours, never the job's: expanded by the shell
    let script = format!("set -- {} {}\n{ASK}", ask, programs.join(" "));
    let (_, text) = call.ask(&["/bin/sh", "-c", &script, "sh"]).await?;
    let mut found: Vec<Installed> = Vec::new();
    for (path, said) in text.lines().filter_map(|line| line.split_once('\t')) {
        if let Some(version) = Version::find(said)
            && !found.iter().any(|f| f.path == path)
        {
            found.push(Installed { path: path.to_owned(), version });
        }
    }
    Ok(found)
}

/// The first that fits, or the newest that fits when another than the default must be taken.
fn choose(tool: &str, asked: Option<&str>, found: &[Installed]) -> ActionResult<Installed> {
    let Some(default) = found.first() else {
        return failed(format!("{tool} is not installed on this runner"));
    };
    let Some(asked) = asked else { return Ok(default.clone()) };
    let mut fitting = Vec::new();
    for one in found {
        match fits(asked, one.version) {
            Some(true) => fitting.push(one),
            Some(false) => {}
            None => return failed(format!("`{asked}` is not a version of {tool} that can be checked")),
        }
    }
    match fitting.first() {
        Some(first) if first.path == default.path => Ok(default.clone()),
        Some(_) => Ok(fitting.iter().max_by_key(|i| i.version).map_or_else(|| default.clone(), |&i| i.clone())),
        None => {
            let have: Vec<String> = found.iter().map(|i| i.version.to_string()).collect();
            failed(format!(
                "{tool} {asked} was asked for; this runner has {}. Nothing is downloaded: install it on the runner or ask for what is there",
                have.join(", ")
            ))
        }
    }
}

/// The version asked for, from `<tool>-version` or the file named by `<tool>-version-file`.
async fn asked(call: &mut Call<'_>, tool: &str) -> ActionResult<Option<String>> {
    if let Some(version) = call.input(&format!("{tool}-version")) {
        return Ok(Some(version.lines().next().unwrap_or_default().trim().to_owned()));
    }
    let Some(file) = call.input(&format!("{tool}-version-file")).map(str::to_owned) else { return Ok(None) };
    let workspace = call.place.dirs().workspace.clone();
    let bytes = match read_beneath(&workspace, Path::new(&file), 1 << 20, true) {
        Ok(bytes) => bytes,
        Err(error) => return failed(format!("the version file {file} cannot be read: {error}")),
    };
    let text = String::from_utf8_lossy(&bytes);
    match in_file(&file, &text) {
        Some(version) => {
            call.out.line(&format!("{file} asks for {version}")).await?;
            Ok(Some(version))
        }
        None => failed(format!("{file} names no version of {tool}")),
    }
}

fn in_file(file: &str, text: &str) -> Option<String> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let first = |text: &str| text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned);
    match name {
        // an older toolchain line does not hinder: the language version is a minimum
        "go.mod" | "go.work" => {
            let line = text.lines().find_map(|l| l.trim().strip_prefix("go "))?;
            Some(format!(">={}", line.trim()))
        }
        "package.json" => {
            let json: serde_json::Value = serde_json::from_str(text).ok()?;
            json["engines"]["node"].as_str().or_else(|| json["volta"]["node"].as_str()).map(str::to_owned)
        }
        "pyproject.toml" => {
            let line = text.lines().find_map(|l| l.trim().strip_prefix("requires-python"))?;
            Some(line.trim_start_matches([' ', '=']).trim().trim_matches(['"', '\'']).to_owned())
        }
        ".tool-versions" => {
            let line = text.lines().find(|l| ["nodejs ", "node ", "python ", "golang ", "java "].iter().any(|t| l.starts_with(t)))?;
            line.split_whitespace().nth(1).map(|v| v.rsplit('-').next().unwrap_or(v).to_owned())
        }
        _ => first(text).map(|v| v.trim_start_matches("python-").to_owned()),
    }
}

fn parent(path: &str) -> String {
    Path::new(path).parent().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default()
}

async fn finish(call: &mut Call<'_>, tool: &str, output: &str, chosen: &Installed) -> ActionResult {
    call.out.line(&format!("{tool} {} at {}", chosen.version, chosen.path)).await?;
    let mut end = ActionEnd::default().output(output, chosen.version.to_string());
    end.path.push(parent(&chosen.path));
    Ok(end)
}

pub(super) async fn node(call: &mut Call<'_>) -> ActionResult {
    let asked = asked(call, "node").await?;
    // names of release lines cannot be checked: what is installed is taken
    let vague = asked.as_deref().is_some_and(|a| a.starts_with("lts") || matches!(a, "latest" | "current" | "node"));
    let found =
        installed(call, "--version", &["node", "\"$HOME\"/../tools/node*/bin/node", "/usr/local/bin/node", "/opt/node*/bin/node"]).await?;
    let chosen = choose("Node.js", asked.as_deref().filter(|_| !vague), &found)?;
    if vague {
        call.out
            .warning(&format!("`{}` cannot be checked without downloading; Node.js {} is used", asked.unwrap_or_default(), chosen.version))
            .await?;
    }
    finish(call, "Node.js", "node-version", &chosen).await
}

pub(super) async fn python(call: &mut Call<'_>) -> ActionResult {
    let asked = asked(call, "python").await?.map(|a| if a == "3.x" { "3".to_owned() } else { a });
    let programs = [
        "python3",
        "python",
        "/usr/bin/python3",
        "\"$PYENV_ROOT\"/versions/*/bin/python3",
        "/usr/local/bin/python3.*[0-9]",
        "/opt/python*/bin/python3",
    ];
    let found = installed(call, "--version", &programs).await?;
    let chosen = choose("Python", asked.as_deref(), &found)?;
    // a shim says which interpreter it stands for, and stays right when PATH changes
    let (exit, real) = call.ask(&[&chosen.path, "-c", "import sys; print(sys.executable)"]).await?;
    let chosen = if exit.ok() { Installed { path: real.trim().to_owned(), ..chosen } } else { chosen };
    let mut end = finish(call, "Python", "python-version", &chosen).await?;
    let home = Path::new(&parent(&chosen.path)).parent().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    // the interpreter's own directories are read-only: pip falls back to the job's home, Debian's needs to be told
    end.env = vec![
        ("pythonLocation".into(), home),
        ("PIP_BREAK_SYSTEM_PACKAGES".into(), "1".into()),
        ("PIP_DISABLE_PIP_VERSION_CHECK".into(), "1".into()),
    ];
    // `python` may not exist beside `python3`: an own directory holds both names
    let dir = call.place.dirs().tools.join("python").to_string_lossy().into_owned();
    let link = "mkdir -p \"$1\" && ln -sf \"$2\" \"$1/python\" && ln -sf \"$2\" \"$1/python3\"";
    let wrapper = "printf '#!/bin/sh\\nexec %s -m pip \"$@\"\\n' \"$2\" > \"$1/pip\" && chmod +x \"$1/pip\" && cp \"$1/pip\" \"$1/pip3\"";
    call.ask(&["/bin/sh", "-c", &format!("{link} && {wrapper}"), "sh", &dir, &chosen.path]).await?;
    end.path.push(dir);
    Ok(end.output("python-path", chosen.path))
}

pub(super) async fn go(call: &mut Call<'_>) -> ActionResult {
    let asked = asked(call, "go").await?.filter(|a| a != "stable" && a != "oldstable");
    let found = installed(call, "version", &["go", "/usr/local/go/bin/go", "/usr/lib/go-*/bin/go", "/opt/go*/bin/go"]).await?;
    let chosen = choose("Go", asked.as_deref(), &found)?;
    let mut end = finish(call, "Go", "go-version", &chosen).await?;
    // a newer toolchain line must not start a download behind our back
    end.env.push(("GOTOOLCHAIN".into(), "local".into()));
    Ok(end)
}

pub(super) async fn java(call: &mut Call<'_>) -> ActionResult {
    let asked = asked(call, "java").await?;
    let found = installed(call, "-version", &["\"$JAVA_HOME\"/bin/java", "java", "/usr/lib/jvm/*/bin/java", "/opt/jdk*/bin/java"]).await?;
    let chosen = choose("Java", asked.as_deref(), &found)?;
    let (exit, real) = call.ask(&["readlink", "-f", &chosen.path]).await?;
    let chosen = if exit.ok() { Installed { path: real.trim().to_owned(), ..chosen } } else { chosen };
    let home = parent(&parent(&chosen.path));
    let mut end = finish(call, "Java", "version", &chosen).await?;
    end.env.push(("JAVA_HOME".into(), home.clone()));
    Ok(end.output("path", home).output("distribution", "installed"))
}

pub(super) async fn rust(call: &mut Call<'_>) -> ActionResult {
    let named = call.version.to_owned();
    let by_version =
        named == "stable" || named == "beta" || named.starts_with("nightly") || named.starts_with(|c: char| c.is_ascii_digit());
    let asked = call.input("toolchain").map(str::to_owned).or(by_version.then_some(named)).unwrap_or_else(|| "stable".into());
    let (exit, listed) = call.ask(&["rustup", "toolchain", "list"]).await?;
    let mut end = ActionEnd::default();
    if exit.ok() {
        let names: Vec<&str> = listed.lines().filter_map(|l| l.split_whitespace().next()).collect();
        let starts = |name: &&&str| **name == asked || name.starts_with(&format!("{asked}-"));
        let newer = |name: &&&str| {
            Version::find(name)
                .zip(Version::find(&asked))
                .is_some_and(|_| fits(&asked, Version::find(name).unwrap_or_default()) == Some(true))
        };
        match names.iter().find(starts).or_else(|| names.iter().find(newer)) {
            Some(name) => end.env.push(("RUSTUP_TOOLCHAIN".into(), (*name).to_owned())),
            None => return failed(format!("the Rust toolchain `{asked}` was asked for; this runner has {}", names.join(", "))),
        }
    }
    call.env.extend(end.env.iter().cloned());
    let found = installed(call, "--version", &["rustc"]).await?;
    let chosen = choose("Rust", (!exit.ok() && asked.starts_with(|c: char| c.is_ascii_digit())).then_some(asked.as_str()), &found)?;
    let wanted: Vec<String> = ["components", "target", "targets"]
        .iter()
        .flat_map(|n| call.lines(n))
        .flat_map(|l| l.split(',').map(|p| p.trim().to_owned()).collect::<Vec<_>>())
        .filter(|p| !p.is_empty())
        .collect();
    if exit.ok() && !wanted.is_empty() {
        let (_, components) = call.ask(&["rustup", "component", "list", "--installed"]).await?;
        let (_, targets) = call.ask(&["rustup", "target", "list", "--installed"]).await?;
        for want in wanted {
            let there = components.lines().any(|c| c == want || c.starts_with(&format!("{want}-"))) || targets.lines().any(|t| t == want);
            if !there {
                return failed(format!("`{want}` was asked for and is not installed for this toolchain on the runner"));
            }
        }
    }
    call.out.line(&format!("Rust {} ({asked})", chosen.version)).await?;
    Ok(end.output("name", asked).output("rustc-version", chosen.version.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_files() {
        for (file, text, version) in [
            ("go.mod", "module x\n\ngo 1.22\n", ">=1.22"),
            (".nvmrc", "v20\n", "v20"),
            ("package.json", r#"{"engines":{"node":">=18"}}"#, ">=18"),
            ("pyproject.toml", "[project]\nrequires-python = \">=3.10\"\n", ">=3.10"),
            (".tool-versions", "nodejs 20.1.0\n", "20.1.0"),
            (".python-version", "3.11.7\n", "3.11.7"),
        ] {
            assert_eq!(in_file(file, text).as_deref(), Some(version), "{file}");
        }
        assert_eq!(in_file("go.mod", "module x\n"), None);
    }

    #[test]
    fn the_default_is_taken_when_it_fits() {
        let found: Vec<Installed> = [("/a", "3.11.7"), ("/b", "3.12.1"), ("/c", "3.12.9")]
            .map(|(path, v)| Installed { path: path.into(), version: Version::find(v).unwrap() })
            .to_vec();
        assert_eq!(choose("x", None, &found).unwrap().path, "/a");
        assert_eq!(choose("x", Some(">=3.10"), &found).unwrap().path, "/a");
        assert_eq!(choose("x", Some("3.12"), &found).unwrap().path, "/c");
        assert!(choose("x", Some("4"), &found).unwrap_err().to_string().contains("3.11.7, 3.12.1, 3.12.9"));
    }
}
