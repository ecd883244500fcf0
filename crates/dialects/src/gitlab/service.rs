//! Lines at the end of a script that the service carries out itself: `devmentor image build` and `devmentor deploy`.
//!
//! They need nothing in the job: no client, no sign-in, no Docker. As they are no part of the script, they stand behind
//! all of its other lines, and no shell reads them; variables are those that are known before the job begins.

use crate::plan::Action;

/// A line that the service carries out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    pub(super) action: Action,
    /// Inputs of the action; texts may name variables.
    pub(super) with: Vec<(&'static str, String)>,
}

/// What one option of a command means.
struct Opt {
    names: &'static [&'static str],
    input: &'static str,
    /// Without a value of its own: it stands for this one.
    means: Option<&'static str>,
}

const fn opt(names: &'static [&'static str], input: &'static str) -> Opt {
    Opt { names, input, means: None }
}

const IMAGE: &[Opt] = &[
    opt(&["--file", "-f"], "dockerfile"),
    opt(&["--image"], "image"),
    opt(&["--tag", "-t"], "tags"),
    opt(&["--build-arg"], "build-args"),
    opt(&["--target"], "target"),
    Opt { names: &["--no-push"], input: "push", means: Some("false") },
];
const DEPLOY: &[Opt] =
    &[opt(&["--image"], "image"), opt(&["--config"], "config"), Opt { names: &["--no-wait"], input: "wait", means: Some("false") }];

fn is_own(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("devmentor") && (matches!((words.next(), words.next()), (Some("image"), Some("build")) | (Some("deploy"), _)))
}

/// Splits a script into the lines for the shell, by their number, and what the service does after them.
///
/// # Errors
/// What is wrong with a line of the service.
pub(super) fn split(script: &[String]) -> Result<(usize, Vec<Command>), String> {
    let single = |entry: &String| entry.trim().lines().count() == 1 && is_own(entry);
    let first = script.iter().rposition(|entry| !single(entry)).map_or(0, |i| i + 1);
    if script[..first].iter().flat_map(|entry| entry.lines()).any(is_own) {
        return Err("`devmentor image build` and `devmentor deploy` are carried out by the service: they stand behind all other lines \
                    of `script`, each as a line of its own"
            .into());
    }
    let commands: Result<Vec<Command>, String> = script[first..].iter().map(|line| command(line)).collect();
    Ok((first, commands?))
}

fn command(line: &str) -> Result<Command, String> {
    let words = words(line).map_err(|why| format!("`{}`: {why}", line.trim()))?;
    let wrong = |why: String| Err(format!("`{}`: {why}", line.trim()));
    let (action, options, place, rest) = if words.get(1).is_some_and(|w| w == "image") {
        (Action::BuildImage, IMAGE, "context", words.get(3..).unwrap_or_default())
    } else {
        (Action::Deploy, DEPLOY, "environment", words.get(2..).unwrap_or_default())
    };
    let mut with: Vec<(&'static str, String)> = Vec::new();
    // options that may be repeated are lists of lines
    let mut add = |input: &'static str, value: String| match with.iter_mut().find(|(known, _)| *known == input) {
        Some((_, text)) if matches!(input, "tags" | "build-args" | "config") => {
            text.push('\n');
            text.push_str(&value);
            true
        }
        Some(_) => false,
        None => {
            with.push((input, value));
            true
        }
    };
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let (input, value) = if word.starts_with('-') {
            let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v.to_owned())));
            let Some(option) = options.iter().find(|o| o.names.contains(&name)) else {
                let known: Vec<&str> = options.iter().flat_map(|o| o.names).copied().collect();
                return wrong(format!("there is no option `{name}`, only {}", known.join(", ")));
            };
            match (option.means, value) {
                (Some(meant), None) => (option.input, meant.to_owned()),
                (Some(_), Some(_)) => return wrong(format!("`{name}` takes no value")),
                (None, Some(value)) => (option.input, value),
                (None, None) => match words.next() {
                    Some(value) => (option.input, value.clone()),
                    None => return wrong(format!("`{name}` needs a value")),
                },
            }
        } else {
            (place, word.clone())
        };
        if !add(input, value) {
            return wrong(format!("`{word}`: this was said before"));
        }
    }
    if action == Action::Deploy && !with.iter().any(|(input, _)| *input == "environment") {
        return wrong("it needs the name of an environment".into());
    }
    Ok(Command { action, with })
}

/// Words as a shell has them. What only a shell can do is refused; a dollar sign in single quotes stands for itself.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let (mut word, mut open): (Option<String>, Option<char>) = (None, None);
    let mut chars = line.trim().chars();
    while let Some(c) = chars.next() {
        match (open, c) {
            (Some('\''), '\'') | (Some('"'), '"') => open = None,
            (Some('\''), '$') => word.get_or_insert_default().push_str("$$"),
            (None, '\'' | '"') => {
                open = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => match chars.next() {
                Some('$') => word.get_or_insert_default().push_str("$$"),
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("it ends with a backslash".into()),
            },
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '|' | ';' | '&' | '<' | '>' | '(' | ')' | '`') | (Some('"'), '`') => {
                return Err(format!("no shell reads this line, so `{c}` means nothing in it"));
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if open.is_some() {
        return Err("a quote is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Result<(usize, Vec<Command>), String> {
        split(&text.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_lines_are_the_services() {
        let (own, commands) = lines(&[
            "make",
            "devmentor image build . -f 'a b/Dockerfile' --tag latest --tag=$CI_COMMIT_SHA --build-arg \"A=b c\" --no-push",
            "devmentor deploy production --image '$X' --config A=1 --config B=2",
        ])
        .unwrap();
        assert_eq!(own, 1);
        let image = [
            ("context", "."),
            ("dockerfile", "a b/Dockerfile"),
            ("tags", "latest\n$CI_COMMIT_SHA"),
            ("build-args", "A=b c"),
            ("push", "false"),
        ];
        let deploy = [("environment", "production"), ("image", "$$X"), ("config", "A=1\nB=2")];
        for (command, (action, with)) in commands.iter().zip([(Action::BuildImage, image.as_slice()), (Action::Deploy, deploy.as_slice())])
        {
            let found: Vec<(&str, &str)> = command.with.iter().map(|(n, v)| (*n, v.as_str())).collect();
            assert_eq!((command.action, found.as_slice()), (action, with));
        }
        // the client that somebody brings along is a program like any other
        assert_eq!(lines(&["devmentor run list", "devmentor image list"]).unwrap(), (2, Vec::new()));
        assert_eq!(lines(&["devmentor image build"]).unwrap().1[0].with, []);
    }

    #[test]
    fn what_they_cannot_do_is_told() {
        for (script, why) in [
            (&["devmentor deploy x", "make"][..], "stand behind all other lines"),
            (&["make\ndevmentor deploy x"], "stand behind all other lines"),
            (&["devmentor deploy"], "needs the name of an environment"),
            (&["devmentor deploy a b"], "this was said before"),
            (&["devmentor deploy x && echo"], "no shell reads this line"),
            (&["devmentor image build --squash"], "there is no option `--squash`"),
            (&["devmentor image build --tag"], "`--tag` needs a value"),
            (&["devmentor image build 'x"], "a quote is not closed"),
            (&["devmentor image build --no-push=1"], "takes no value"),
        ] {
            assert!(lines(script).unwrap_err().contains(why), "{script:?}: {:?}", lines(script));
        }
    }
}
