//! How the script of a `run` step becomes a program with arguments.

/// A script ready to be written to a file and run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// End of the file's name.
    pub(crate) extension: &'static str,
    /// Program and arguments; `{0}` stands for the file.
    pub(crate) argv: Vec<String>,
    /// Shown in the log.
    pub(crate) shown: String,
    /// What is written.
    pub(crate) text: String,
}

/// Chooses by the value of `shell`.
pub(crate) fn script(shell: Option<&str>, text: &str) -> Result<Script, String> {
    let text = text.replace("\r\n", "\n");
    let made = |extension, argv: &[&str], shown: &str| Script {
        extension,
        argv: argv.iter().map(|&a| a.to_owned()).collect(),
        shown: shown.to_owned(),
        text: text.clone(),
    };
    // which of two programs there is, only the place of the job knows
    let either = |probe: &str, first: &str, second: &str| {
        format!("if command -v {probe} >/dev/null 2>&1; then exec {first} \"$1\"; else exec {second} \"$1\"; fi")
    };
    let shell = shell.map(str::trim).filter(|s| !s.is_empty());
    Ok(match shell {
        None => made("sh", &["/bin/sh", "-c", &either("bash", "bash -e", "sh -e"), "sh", "{0}"], "bash -e {0}"),
        Some("bash") => {
            made("sh", &["bash", "--noprofile", "--norc", "-eo", "pipefail", "{0}"], "bash --noprofile --norc -eo pipefail {0}")
        }
        Some("posix") => {
            let argv = either("bash", "bash --noprofile --norc -eo pipefail", "sh -e");
            made("sh", &["/bin/sh", "-c", &argv, "sh", "{0}"], "bash -eo pipefail {0}, or sh -e {0} where there is no bash")
        }
        Some("sh") => made("sh", &["sh", "-e", "{0}"], "sh -e {0}"),
        Some("python") => made("py", &["/bin/sh", "-c", &either("python", "python", "python3"), "sh", "{0}"], "python {0}"),
        Some("pwsh") => made("ps1", &["pwsh", "-command", ". '{0}'"], "pwsh -command \". '{0}'\""),
        Some(custom) if custom.contains("{0}") => {
            let words = words(custom)?;
            let argv: Vec<&str> = words.iter().map(String::as_str).collect();
            made("sh", &argv, custom)
        }
        Some(name @ ("cmd" | "powershell")) => return Err(format!("the shell `{name}` exists on Windows only")),
        Some(other) => return Err(format!("the shell `{other}` is not known; a custom shell is a command line that holds {{0}}")),
    })
}

/// Splits a command line at blanks, with quotes.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() { Err(format!("the shell `{line}` has a quote without its end")) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells() {
        let argv = |shell| script(Some(shell), "x").unwrap().argv.join(" ");
        assert_eq!(argv("bash"), "bash --noprofile --norc -eo pipefail {0}");
        assert_eq!(argv("sh"), "sh -e {0}");
        assert_eq!(script(Some("perl -w '{0}' \"a b\""), "x").unwrap().argv, ["perl", "-w", "{0}", "a b"]);
        assert!(script(None, "x").unwrap().argv[2].starts_with("if command -v bash >"));
        for bad in ["cmd", "fish", "x '{0}"] {
            assert!(script(Some(bad), "x").is_err(), "{bad}");
        }
    }
}
