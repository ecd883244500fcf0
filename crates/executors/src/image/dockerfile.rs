//! Reads a Dockerfile: lines, continuations, stages, instructions with their variables still inside.

use std::collections::BTreeMap;

/// Something that cannot be read or done, and the line it is on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Dockerfile:{line}: {message}")]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// A command in its two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandForm {
    /// `["a", "b"]`
    Exec(Vec<String>),
    /// A text for the shell.
    Shell(String),
}

/// One instruction, variables not yet replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `ARG name[=default]`, one or more.
    Arg(Vec<(String, Option<String>)>),
    /// `ENV`
    Env(Vec<(String, String)>),
    /// `LABEL`
    Label(Vec<(String, String)>),
    /// `EXPOSE`
    Expose(Vec<String>),
    /// `USER`
    User(String),
    /// `WORKDIR`
    Workdir(String),
    /// `ENTRYPOINT`
    Entrypoint(CommandForm),
    /// `CMD`
    Cmd(CommandForm),
    /// `VOLUME`
    Volume(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(String),
    /// `COPY` or `ADD`
    Copy {
        /// It was `ADD`.
        add: bool,
        /// `--from`
        from: Option<String>,
        /// `--chown`
        chown: Option<String>,
        /// `--chmod`
        chmod: Option<String>,
        /// What.
        sources: Vec<String>,
        /// Where to.
        target: String,
    },
    /// `RUN`, with its text.
    Run(String),
    /// `SHELL`
    Shell(Vec<String>),
    /// `HEALTHCHECK`, `ONBUILD`: known, with their text.
    Other(String),
}

/// A part of a Dockerfile that begins with `FROM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Line of the `FROM`.
    pub line: usize,
    /// What it starts from, variables not yet replaced.
    pub base: String,
    /// `AS name`
    pub name: Option<String>,
    /// `--platform` was given.
    pub platform: Option<String>,
    /// Its instructions with their lines.
    pub instructions: Vec<(usize, Instruction)>,
}

/// A Dockerfile as read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// `ARG` before the first `FROM`.
    pub global_args: Vec<(String, Option<String>)>,
    /// The stages in order; at least one.
    pub stages: Vec<Stage>,
    /// The escape character.
    pub escape: char,
}

/// Reads the text of a Dockerfile.
///
/// # Errors
/// The first line that cannot be read.
pub fn parse(text: &str) -> Result<Dockerfile, Problem> {
    let escape = escape_directive(text);
    let mut file = Dockerfile { escape, ..Dockerfile::default() };
    for (line, text) in logical_lines(text, escape) {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
        let (word, rest) = (word.to_ascii_uppercase(), rest.trim());
        if word == "FROM" {
            file.stages.push(from(line, rest)?);
            continue;
        }
        let instruction = instruction(line, &word, rest, escape)?;
        match (file.stages.last_mut(), instruction) {
            (Some(stage), instruction) => stage.instructions.push((line, instruction)),
            (None, Instruction::Arg(args)) => file.global_args.extend(args),
            (None, _) => return Err(Problem::new(line, format!("{word} before the first FROM"))),
        }
    }
    if file.stages.is_empty() { Err(Problem::new(1, "there is no FROM")) } else { Ok(file) }
}

fn escape_directive(text: &str) -> char {
    for line in text.lines() {
        let Some(comment) = line.trim().strip_prefix('#') else { break };
        if let Some((name, value)) = comment.split_once('=')
            && name.trim().eq_ignore_ascii_case("escape")
        {
            return if value.trim() == "`" { '`' } else { '\\' };
        }
    }
    '\\'
}

/// Joins continued lines; drops comments and blank lines. The number is that of the first line.
fn logical_lines(text: &str, escape: char) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let trimmed = raw.trim_end();
        if trimmed.trim_start().starts_with('#') || (open.is_some() && trimmed.trim().is_empty()) {
            continue;
        }
        let (part, continues) = match trimmed.strip_suffix(escape) {
            Some(part) => (part, true),
            None => (trimmed, false),
        };
        let (first, mut joined) = open.take().unwrap_or((number + 1, String::new()));
        joined.push_str(part);
        if continues {
            open = Some((first, joined));
        } else if !joined.trim().is_empty() {
            lines.push((first, joined.trim().to_owned()));
        }
    }
    lines.extend(open.filter(|(_, text)| !text.trim().is_empty()).map(|(n, t)| (n, t.trim().to_owned())));
    lines
}

fn from(line: usize, rest: &str) -> Result<Stage, Problem> {
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    let mut platform = None;
    while let Some(flag) = words.first().and_then(|w| w.strip_prefix("--")) {
        match flag.split_once('=') {
            Some(("platform", value)) => platform = Some(value.to_owned()),
            _ => return Err(Problem::new(line, format!("FROM does not know --{flag}"))),
        }
        words.remove(0);
    }
    let (base, name) = match words.as_slice() {
        [base] => (*base, None),
        [base, word, name] if word.eq_ignore_ascii_case("as") => (*base, Some(name.to_ascii_lowercase())),
        _ => return Err(Problem::new(line, "FROM needs `image` or `image AS name`")),
    };
    Ok(Stage { line, base: base.to_owned(), name, platform, instructions: Vec::new() })
}

fn instruction(line: usize, word: &str, rest: &str, escape: char) -> Result<Instruction, Problem> {
    let needs = |what: &str| Problem::new(line, format!("{word} needs {what}"));
    if rest.is_empty() && word != "CMD" && word != "ENTRYPOINT" {
        return Err(needs("an argument"));
    }
    Ok(match word {
        "ARG" => Instruction::Arg(
            words(rest, escape)
                .into_iter()
                .map(|w| match w.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (w, None),
                })
                .collect(),
        ),
        "ENV" => Instruction::Env(pairs(line, word, rest, escape)?),
        "LABEL" => Instruction::Label(pairs(line, word, rest, escape)?),
        "EXPOSE" => Instruction::Expose(words(rest, escape)),
        "USER" => Instruction::User(rest.to_owned()),
        "WORKDIR" => Instruction::Workdir(rest.to_owned()),
        "ENTRYPOINT" => Instruction::Entrypoint(command(rest)),
        "CMD" => Instruction::Cmd(command(rest)),
        "VOLUME" => Instruction::Volume(json(rest).unwrap_or_else(|| words(rest, escape))),
        "STOPSIGNAL" => Instruction::StopSignal(rest.to_owned()),
        "SHELL" => Instruction::Shell(json(rest).ok_or_else(|| needs("a JSON array"))?),
        "RUN" => Instruction::Run(rest.to_owned()),
        "COPY" | "ADD" => copy(line, word, rest, escape)?,
        "MAINTAINER" => Instruction::Label(vec![("maintainer".into(), rest.to_owned())]),
        "HEALTHCHECK" | "ONBUILD" => Instruction::Other(format!("{word} {rest}")),
        _ => return Err(Problem::new(line, format!("unknown instruction {word}"))),
    })
}

fn copy(line: usize, word: &str, rest: &str, escape: char) -> Result<Instruction, Problem> {
    let (mut from, mut chown, mut chmod) = (None, None, None);
    let mut rest = rest;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        match flag.split_once('=').unwrap_or((flag, "true")) {
            ("from", value) if word == "COPY" => from = Some(value.to_owned()),
            ("chown", value) => chown = Some(value.to_owned()),
            ("chmod", value) => chmod = Some(value.to_owned()),
            // says only how layers may be reused
            ("link", _) => {}
            (name, _) => return Err(Problem::new(line, format!("{word} --{name} is not supported"))),
        }
        rest = after.trim_start();
    }
    if rest.contains("<<") {
        return Err(Problem::new(line, format!("{word} with a here-document is not supported")));
    }
    let mut sources = json(rest).unwrap_or_else(|| words(rest, escape));
    match sources.pop() {
        Some(target) if !sources.is_empty() => Ok(Instruction::Copy { add: word == "ADD", from, chown, chmod, sources, target }),
        _ => Err(Problem::new(line, format!("{word} needs a source and a target"))),
    }
}

fn json(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

fn command(text: &str) -> CommandForm {
    json(text).map_or_else(|| CommandForm::Shell(text.to_owned()), CommandForm::Exec)
}

/// `a=b c="d e"`, or the old form `a rest of the line`.
fn pairs(line: usize, word: &str, rest: &str, escape: char) -> Result<Vec<(String, String)>, Problem> {
    let all = words(rest, escape);
    if !all.first().is_some_and(|w| w.contains('=')) {
        let (name, value) = rest.split_once(char::is_whitespace).ok_or_else(|| Problem::new(line, format!("{word} needs name=value")))?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    all.into_iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Problem::new(line, format!("`{pair}` is not name=value"))),
        })
        .collect()
}

/// Splits at blanks. Quotes and escapes go, except that a quoted or escaped `$` stays escaped for [`expand`].
fn words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == escape && quote != Some('\'') {
            match chars.next() {
                Some('$') => word.get_or_insert_default().push_str("\\$"),
                Some(next) => word.get_or_insert_default().push(next),
                None => {}
            }
            continue;
        }
        match quote {
            Some(q) if c == q => quote = None,
            Some('\'') if c == '$' => word.get_or_insert_default().push_str("\\$"),
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
    words
}

/// Replaces `$x`, `${x}`, `${x:-default}` and `${x:+other}`.
///
/// # Errors
/// `${` without its end, or another operator.
pub fn expand(text: &str, vars: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        if rest[at..].starts_with('\\') {
            let escaped = rest[at + 1..].chars().next();
            if escaped != Some('$') {
                out.push('\\');
            }
            out.extend(escaped);
            rest = &rest[at + 1 + escaped.map_or(0, char::len_utf8)..];
            continue;
        }
        let after = &rest[at + 1..];
        if let Some(inner) = after.strip_prefix('{') {
            let end = inner.find('}').ok_or_else(|| format!("`{text}` has ${{ without its end"))?;
            let body = &inner[..end];
            let name_end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len());
            let value = vars.get(&body[..name_end]).filter(|v| !v.is_empty());
            let plain = vars.get(&body[..name_end]).cloned().unwrap_or_default();
            match &body[name_end..] {
                "" => out.push_str(&plain),
                op if op.starts_with(":-") => out.push_str(&value.cloned().map_or_else(|| expand(&op[2..], vars), Ok)?),
                op if op.starts_with(":+") => out.push_str(&if value.is_some() { expand(&op[2..], vars)? } else { String::new() }),
                _ => return Err(format!("`${{{body}}}` is not supported")),
            }
            rest = &inner[end + 1..];
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            if end == 0 {
                out.push('$');
            } else {
                out.push_str(vars.get(&after[..end]).map_or("", String::as_str));
            }
            rest = &after[end..];
        }
    }
    out.push_str(rest);
    Ok(out)
}
