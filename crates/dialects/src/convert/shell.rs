//! Scripts in another surrounding: names of variables, values that one dialect writes into the text and another gives in
//! the environment, and what a step of GitHub has around its script.

use crate::diagnostic::Span;

use super::conditions::to_shell;
use super::draft::{Cond, Does, Draft, Fact, Job, Piece, Step, Text};
use super::{Target, Writer};

/// Variables that a shell has by itself.
const SHELL_VARIABLES: &[&str] = &[
    "BASH",
    "BASH_SOURCE",
    "CI",
    "COLUMNS",
    "EUID",
    "FUNCNAME",
    "HOME",
    "HOSTNAME",
    "IFS",
    "LANG",
    "LC_ALL",
    "LINENO",
    "LOGNAME",
    "OLDPWD",
    "OPTARG",
    "OPTIND",
    "OSTYPE",
    "PATH",
    "PIPESTATUS",
    "PPID",
    "PS1",
    "PWD",
    "RANDOM",
    "REPLY",
    "SECONDS",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "UID",
    "USER",
];

/// Files in which a step of GitHub says something to later ones.
const FILE_COMMANDS: &[&str] = &["GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"];

/// Lets steps of one shell say something to later ones, as GitHub's do.
pub(super) const PRELUDE: &str = r#"# what steps of GitHub Actions say through files holds for the later ones here
GITHUB_ENV=$(mktemp); GITHUB_PATH=$(mktemp); GITHUB_OUTPUT=$(mktemp); GITHUB_STEP_SUMMARY=/dev/null
export GITHUB_ENV GITHUB_PATH GITHUB_OUTPUT GITHUB_STEP_SUMMARY
step_said() {
  while IFS= read -r said; do PATH="$said:$PATH"; done < "$GITHUB_PATH"
  while IFS= read -r said; do export "${said?}"; done < "$GITHUB_ENV"
  while IFS= read -r said; do export "OUT_$1_${said?}"; done < "$GITHUB_OUTPUT"
  : > "$GITHUB_PATH"; : > "$GITHUB_ENV"; : > "$GITHUB_OUTPUT"
}"#;

/// A name that a variable may have.
pub(super) fn ident(name: &str) -> String {
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) || out.is_empty() {
        out.insert(0, '_');
    }
    out
}

/// Do steps of the job say something to each other through files?
pub(super) fn speaks(job: &Job) -> bool {
    job.steps.iter().any(|s| match &s.does {
        Does::Script { text, .. } => {
            text.0.iter().any(|p| matches!(p, Piece::Output(..))) || FILE_COMMANDS[..3].iter().any(|name| text.literals().contains(name))
        }
        _ => false,
    })
}

/// Is a variable one that the dialect sets by itself?
pub(super) fn predefined(name: &str, dialect: Target) -> bool {
    let prefixes: &[&str] = match dialect {
        Target::Github => &["GITHUB_", "RUNNER_", "ACTIONS_"],
        Target::Gitlab => &["CI_", "GITLAB_"],
        Target::Jenkins => {
            &["BUILD_", "JOB_", "CHANGE_", "JENKINS_", "HUDSON_", "NODE_NAME", "NODE_LABELS", "EXECUTOR_NUMBER", "WORKSPACE", "STAGE_NAME"]
        }
    };
    prefixes.iter().any(|p| name.starts_with(p))
}

/// Where a quotation of a shell stands.
#[derive(Clone, Copy, PartialEq)]
enum Quote {
    None,
    Single,
    Double,
}

fn quote_after(mut quote: Quote, text: &str) -> Quote {
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        match (quote, c) {
            // quotations over several lines are rare, apostrophes in comments are not
            (_, '\n') => quote = Quote::None,
            (Quote::None, '#') if before.is_whitespace() => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
            }
            (Quote::None | Quote::Double, '\\') => {
                chars.next();
            }
            (Quote::None, '\'') => quote = Quote::Single,
            (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
            (Quote::None, '"') => quote = Quote::Double,
            _ => {}
        }
        before = c;
    }
    quote
}

/// Calls `found` for each `$NAME` and `${NAME` of a script; what it gives takes the place of the name, `Err` of all of it.
fn variables(text: &str, found: &mut dyn FnMut(&str) -> Option<Result<String, String>>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let braced = from[1..].starts_with('{');
        let name_at = 1 + usize::from(braced);
        let name: &str = &from[name_at..];
        let length = name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let escaped = before.ends_with('\\') && !before.ends_with("\\\\");
        if length == 0 || escaped || name.starts_with(|c: char| c.is_ascii_digit()) {
            out.push('$');
            rest = &from[1..];
            continue;
        }
        let name = &name[..length];
        let after = &from[name_at + length..];
        match found(name) {
            Some(Ok(other)) => {
                out.push_str(if braced { "${" } else { "$" });
                out.push_str(&other);
                rest = after;
            }
            Some(Err(whole)) if !braced || after.starts_with('}') => {
                out.push_str(&whole);
                rest = after.strip_prefix('}').filter(|_| braced).unwrap_or(after);
            }
            _ => {
                out.push_str(&from[..name_at + length]);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Variables that a script uses and nobody in the file sets: of the project, or of whoever runs it.
pub(super) fn outside(draft: &Draft, job: &Job, from: Target) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let all: String = job.steps.iter().map(script_of).collect::<Vec<_>>().join("\n");
    let cells = job.matrix.iter().flat_map(|m| &m.cells).flat_map(|c| c.keys());
    let known: Vec<&str> = draft.env.keys().chain(job.env.keys()).chain(draft.inputs.keys()).chain(cells).map(String::as_str).collect();
    variables(&all, &mut |name| {
        let upper = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let set_here = [format!("{name}="), format!("read {name}"), format!("read -r {name}"), format!("for {name} in")];
        let ours = !upper
            || name.len() < 3
            || SHELL_VARIABLES.contains(&name)
            || known.contains(&name)
            || predefined(name, from)
            || Fact::of_variable(name, from).is_some()
            || set_here.iter().any(|s| all.contains(s.as_str()))
            || job.steps.iter().any(|s| s.env.contains_key(name));
        if !ours && !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
        None
    });
    names
}

fn script_of(step: &Step) -> String {
    match &step.does {
        Does::Script { text, .. } => text.literals(),
        _ => String::new(),
    }
}

/// Secrets that a job names.
pub(super) fn secrets(job: &Job) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut look = |text: &Text| {
        for piece in &text.0 {
            if let Piece::Secret(name) = piece
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
    };
    job.env.values().for_each(&mut look);
    for step in &job.steps {
        step.env.values().for_each(&mut look);
        match &step.does {
            Does::Script { text, .. } => look(text),
            Does::Action { with, .. } => with.values().for_each(&mut look),
            _ => {}
        }
    }
    names
}

impl Writer<'_> {
    /// A script with the names of the other dialect.
    pub(super) fn script(&mut self, text: &Text, span: &Span) -> String {
        let mut out = String::new();
        let mut quote = Quote::None;
        for piece in &text.0 {
            match piece {
                Piece::Lit(text) => {
                    quote = quote_after(quote, text);
                    let text = self.renamed(text, span);
                    out.push_str(&text);
                }
                other => {
                    let whole = self.inline(other, span);
                    match (whole, quote) {
                        (Ok(name), Quote::None | Quote::Double) => out.push_str(&format!("${{{name}}}")),
                        // a shell replaces nothing between these quotes
                        (Ok(name), Quote::Single) => out.push_str(&format!("'\"${{{name}}}\"'")),
                        (Err(whole), _) => out.push_str(&whole),
                    }
                }
            }
        }
        out.trim_end().to_owned()
    }

    /// The variable that gives a value in a script, or what to write instead.
    fn inline(&mut self, piece: &Piece, span: &Span) -> Result<String, String> {
        let expression = |text: &str| format!("${{{{ {text} }}}}");
        match (piece, self.to) {
            (Piece::Lit(text), _) => Err(text.clone()),
            (Piece::Matrix(name), Target::Github) => Err(expression(&format!("matrix.{name}"))),
            (Piece::Input(name), Target::Github) => Err(expression(&format!("inputs.{name}"))),
            (Piece::Secret(name), Target::Github) => Err(expression(&format!("secrets.{name}"))),
            (Piece::Var(name) | Piece::Secret(name), _) => Ok(name.clone()),
            (Piece::Matrix(name) | Piece::Input(name), _) => Ok(ident(name)),
            (Piece::Output(step, name), _) => Ok(format!("OUT_{}_{}", ident(step), ident(name))),
            (Piece::Fact(fact), to) => match fact.variable(to) {
                Some(name) => Ok(name.to_owned()),
                None if to == Target::Github => Err(expression(fact.expression())),
                None => {
                    self.lost(
                        span,
                        "no_such_value",
                        format!("{} has nothing for `{}`: write the value by hand", to.name(), fact.expression()),
                    );
                    Err(expression(fact.expression()))
                }
            },
            (Piece::Hash(_) | Piece::Foreign(_), to) => {
                let text = match piece {
                    Piece::Foreign(text) => text.clone(),
                    _ => "hashFiles(..)".into(),
                };
                self.lost(
                    span,
                    "expression",
                    format!("`{text}` cannot be said in {}: the script fails there until it is written by hand", to.name()),
                );
                Err(expression(&text))
            }
        }
    }

    /// Shell text with the names that the other dialect has for its variables.
    fn renamed(&mut self, text: &str, span: &Span) -> String {
        let (from, to) = (self.from, self.to);
        let mut missing: Vec<String> = Vec::new();
        let out = variables(text, &mut |name| {
            if FILE_COMMANDS.contains(&name) {
                return None;
            }
            match Fact::of_variable(name, from) {
                Some(fact) => match fact.variable(to) {
                    Some(other) => Some(Ok(other.to_owned())),
                    None if to == Target::Github => Some(Err(format!("${{{{ {} }}}}", fact.expression()))),
                    None => {
                        missing.push(name.to_owned());
                        None
                    }
                },
                None => {
                    if predefined(name, from) && !predefined(name, to) {
                        missing.push(name.to_owned());
                    }
                    None
                }
            }
        });
        for name in missing {
            self.lost(span, "predefined_variable", format!("`{name}` is set by {} only; in {} it is empty", from.name(), to.name()));
        }
        if to == Target::Github { escaped(&out) } else { out }
    }

    /// A value, if it is known when the file is written: texts, and variables that the file gives a text.
    pub(super) fn constant(&self, text: &Text, job: Option<&Job>) -> Option<String> {
        let mut out = String::new();
        for piece in &text.0 {
            match piece {
                Piece::Lit(text) => out.push_str(text),
                Piece::Var(name) => {
                    let found = job.and_then(|j| j.env.get(name)).or_else(|| self.draft.env.get(name))?;
                    out.push_str(&found.plain()?);
                }
                _ => return None,
            }
        }
        Some(out)
    }

    /// All that a step with a script does, for a shell that holds more than this step, or only it.
    pub(super) fn shell_step(&mut self, job: &Job, step: &Step, alone: bool) -> Option<String> {
        let Does::Script { text, shell, dir } = &step.does else { return None };
        let mut body = self.script(text, &step.span);
        match shell.as_deref() {
            None | Some("bash" | "sh" | "posix") => {}
            Some("python") => body = format!("python3 - <<'END_OF_PYTHON'\n{body}\nEND_OF_PYTHON"),
            Some(other) => {
                let message =
                    format!("the shell `{other}` is not there in {}: the step fails until its script is written for `sh`", self.to.name());
                self.lost(&step.span, "shell", message);
                body = format!("echo 'this step was written for the shell {}' >&2\nexit 1", other.replace('\'', ""));
            }
        }
        let mut head = String::new();
        for (name, value) in &step.env {
            let value = self.double_quoted(value, &step.span);
            head.push_str(&format!("export {name}={value}\n"));
        }
        if let Some(dir) = dir {
            let dir = self.double_quoted(dir, &step.span);
            head.push_str(&format!("cd {dir}\n"));
        }
        let several = job.steps.iter().filter(|s| matches!(s.does, Does::Script { .. })).count() > 1;
        let apart = !alone && (!head.is_empty() || several && changes_its_shell(&body));
        body = format!("{head}{body}");
        if step.may_fail && !(alone && self.to == Target::Jenkins) {
            // not `|| true`: a shell does not stop at errors to the left of it
            body = format!("set +e\n(\nset -e\n{body}\n)\nset -e");
        } else if apart {
            body = format!("(\n{body}\n)");
        }
        if step.when.cond != Cond::True {
            match to_shell(&step.when.cond, self.to) {
                Ok(test) => body = format!("if {test}; then\n{body}\nfi"),
                Err(why) => {
                    self.lost(&step.span, "condition", format!("{why}: the step fails until its condition is written by hand"));
                    body = "echo 'the condition of this step has to be written by hand' >&2\nexit 1".into();
                }
            }
        }
        if let Some(minutes) = step.timeout
            && self.to == Target::Gitlab
        {
            self.differs(&step.span, "step_timeout", format!("a step of GitLab has no time of its own: {minutes} minutes are not kept"));
        }
        if speaks(job) {
            if script_of(step).contains("<<") && FILE_COMMANDS[..3].iter().any(|f| script_of(step).contains(f)) {
                self.lost(&step.span, "file_command", "a value of several lines that a step gives to later ones cannot be taken over");
            }
            body.push_str(&format!("\nstep_said {}", step.id.as_deref().map_or_else(|| "_".into(), ident)));
        }
        if let Some(name) = step.name.as_deref().filter(|n| !n.contains("${{")) {
            body = format!("# {}\n{body}", name.lines().next().unwrap_or_default());
        }
        Some(body)
    }

    /// A value as a word of a shell, in which variables are replaced.
    pub(super) fn double_quoted(&mut self, text: &Text, span: &Span) -> String {
        let mut out = String::from("\"");
        for piece in &text.0 {
            match piece {
                Piece::Lit(text) => {
                    for c in text.chars() {
                        if matches!(c, '"' | '\\' | '$' | '`') {
                            out.push('\\');
                        }
                        out.push(c);
                    }
                }
                other => match self.inline(other, span) {
                    Ok(name) => out.push_str(&format!("${{{name}}}")),
                    Err(whole) => out.push_str(&whole.replace('"', "\\\"")),
                },
            }
        }
        out.push('"');
        out
    }

    /// Says what scripts of the two dialects do not have in common.
    pub(super) fn shells_differ(&mut self, job: &Job) {
        let told = |step: &Step, explicit: bool| match &step.does {
            Does::Script { shell, text, .. } => (shell.as_deref() == Some("bash")) == explicit && text.literals().contains(" | "),
            _ => false,
        };
        let piped = job.steps.iter().find(|s| told(s, false)).map(|s| s.span.clone());
        let failing = job.steps.iter().find(|s| told(s, true)).map(|s| s.span.clone());
        match (self.from, self.to) {
            (Target::Github, Target::Gitlab) => {
                if let Some(span) = piped {
                    self.differs(
                        &span,
                        "pipefail",
                        "GitLab runs scripts with `pipefail`: a command that fails before `|` fails the job, too",
                    );
                }
            }
            (Target::Gitlab, Target::Github) => {
                if let Some(span) = failing.or(piped) {
                    self.differs(&span, "pipefail", "scripts are run with `shell: bash`, so that `pipefail` holds as in GitLab");
                }
            }
            (_, Target::Jenkins) => {
                let Some(span) = failing.or(piped) else { return };
                self.differs(
                    &span,
                    "pipefail",
                    "`sh` of Jenkins has no `pipefail`: a command that fails before `|` does not fail the step",
                );
            }
            (Target::Jenkins, _) => {
                if let Some(span) = piped {
                    let how = if self.to == Target::Gitlab {
                        "GitLab runs scripts with `pipefail`"
                    } else {
                        "`sh -e` of GitHub does not show commands as `sh -xe` does"
                    };
                    self.differs(&span, "shell", how);
                }
            }
            _ => {}
        }
    }
}

/// `${{` of a text that is to stay one.
fn escaped(text: &str) -> String {
    // what was written just before as an expression of our own stays
    if text.contains("${{ github.") { text.to_owned() } else { crate::plan::literal(text) }
}

/// Does a script leave something behind in the shell that runs it?
fn changes_its_shell(body: &str) -> bool {
    let words = ["cd", "export", "set", "exit", "source", ".", "trap", "shopt", "umask", "unset", "exec", "alias", "pushd"];
    body.lines().any(|line| {
        line.split([';', '&', '|']).any(|command| {
            let first = command.split_whitespace().next().unwrap_or_default();
            words.contains(&first) || first.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name == ident(name))
        })
    })
}
