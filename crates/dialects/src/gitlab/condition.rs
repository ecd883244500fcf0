//! The language of `rules:if`: variables, texts, patterns, `==`, `!=`, `=~`, `!~`, `&&`, `||`, parentheses, `null`.
//!
//! As in GitLab, `&&` and `||` give one of their operands, an empty text counts as there until the whole is judged (where
//! it counts as false), and a variable that holds `/pattern/` is a pattern on the right of `=~`.

use regex::{Regex, RegexBuilder};

use super::vars::Vars;

/// Longest condition.
const MAX_LENGTH: usize = 8 * 1024;
/// Deepest nesting of parentheses.
const MAX_DEPTH: usize = 50;

/// A condition that was read.
#[derive(Clone, Debug)]
pub struct Condition {
    root: Expr,
}

#[derive(Clone, Debug)]
enum Expr {
    Null,
    Text(String),
    Variable(String),
    Pattern(Regex),
    Binary(Op, Box<Expr>, Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equals,
    Differs,
    Matches,
    MatchesNot,
    And,
    Or,
}

/// What a condition came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Does it hold?
    pub holds: bool,
    /// The variables that were looked at and their values, for people.
    pub looked_at: Vec<String>,
}

#[derive(Clone, Debug)]
enum Token<'t> {
    Open,
    Close,
    Null,
    Text(&'t str),
    Variable(&'t str),
    Pattern(&'t str),
    Op(Op),
}

/// A pattern as it is written, with its slashes and flags.
fn pattern(text: &str) -> Result<Regex, String> {
    let body = text.strip_prefix('/').ok_or("a pattern begins with `/`")?;
    let end = body.rfind('/').ok_or("the pattern has no closing `/`")?;
    let (body, flags) = (&body[..end], &body[end + 1..]);
    let mut builder = RegexBuilder::new(&body.replace("\\/", "/"));
    builder.size_limit(1 << 20);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'U' => builder.swap_greed(true),
            other => return Err(format!("the pattern has the unknown flag `{other}`")),
        };
    }
    builder.build().map_err(|e| format!("the pattern `{text}` is not valid RE2: {}", e.to_string().lines().last().unwrap_or_default()))
}

/// A pattern of `only` or `=~`, if the text is one.
pub fn as_pattern(text: &str) -> Option<Result<Regex, String>> {
    let is = text.len() > 1
        && text.starts_with('/')
        && text[1..].rfind('/').is_some_and(|end| text[1 + end + 1..].chars().all(|c| "ismU".contains(c)));
    is.then(|| pattern(text))
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' | '\'' => {
                let end = rest[1..].find(c).ok_or_else(|| format!("the text that begins with {c} at column {} has no end", at + 1))?;
                (Token::Text(&rest[1..=end]), end + 2)
            }
            '$' => {
                let braced = rest[1..].starts_with('{');
                let name = &rest[1 + usize::from(braced)..];
                let n = name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                if n == 0 || braced && !name[n..].starts_with('}') {
                    return Err(format!("`$` at column {} is not followed by a name", at + 1));
                }
                (Token::Variable(&name[..n]), 1 + n + 2 * usize::from(braced))
            }
            '/' => {
                let mut escaped = false;
                let end = rest[1..].bytes().position(|b| {
                    let ends = b == b'/' && !escaped;
                    escaped = b == b'\\' && !escaped;
                    ends
                });
                let end = end.filter(|e| *e > 0).ok_or_else(|| format!("the pattern at column {} has no closing `/`", at + 1))? + 2;
                let flags = rest[end..].bytes().take_while(|b| b"ismU".contains(b)).count();
                (Token::Pattern(&rest[..end + flags]), end + flags)
            }
            _ => {
                let ops =
                    [("==", Op::Equals), ("!=", Op::Differs), ("=~", Op::Matches), ("!~", Op::MatchesNot), ("&&", Op::And), ("||", Op::Or)];
                match ops.iter().find(|(sign, _)| rest.starts_with(sign)) {
                    Some((_, op)) => (Token::Op(*op), 2),
                    None if rest.starts_with("null") && !rest[4..].starts_with(|c: char| c.is_alphanumeric() || c == '_') => {
                        (Token::Null, 4)
                    }
                    None => return Err(format!("`{c}` at column {} means nothing here", at + 1)),
                }
            }
        };
        tokens.push(token);
        at += length;
    }
    Ok(tokens)
}

struct Parser<'t> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token<'t>>>,
}

impl Parser<'_> {
    /// `level`: 0 or, 1 and, 2 comparison; all of them group to the left.
    fn level(&mut self, level: u8, depth: usize) -> Result<Expr, String> {
        if level > 2 {
            return self.value(depth);
        }
        let mut left = self.level(level + 1, depth)?;
        while let Some(Token::Op(op)) = self.tokens.peek() {
            let op = *op;
            let own = match op {
                Op::Or => 0,
                Op::And => 1,
                _ => 2,
            };
            if own != level {
                break;
            }
            self.tokens.next();
            let right = self.level(level + 1, depth)?;
            left = Expr::Binary(op, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn value(&mut self, depth: usize) -> Result<Expr, String> {
        if depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} parentheses"));
        }
        Ok(match self.tokens.next() {
            Some(Token::Null) => Expr::Null,
            Some(Token::Text(t)) => Expr::Text(t.to_owned()),
            Some(Token::Variable(v)) => Expr::Variable(v.to_owned()),
            Some(Token::Pattern(p)) => Expr::Pattern(pattern(p)?),
            Some(Token::Open) => {
                let inner = self.level(0, depth + 1)?;
                match self.tokens.next() {
                    Some(Token::Close) => inner,
                    _ => return Err("a parenthesis is not closed".into()),
                }
            }
            Some(Token::Close) => return Err("a parenthesis is closed that was not opened".into()),
            Some(Token::Op(_)) => return Err("an operator has no left side".into()),
            None => return Err("the condition ends where a value must stand".into()),
        })
    }
}

#[derive(Clone, Debug)]
enum Val<'e> {
    Null,
    Bool(bool),
    Text(String),
    Pattern(&'e Regex),
    /// Set, but its value is not known yet.
    Late(&'e str),
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("longer than {MAX_LENGTH} bytes"));
        }
        let tokens = tokens(text)?;
        // a chain of operators becomes as deep a tree
        if tokens.len() > 400 {
            return Err("more than 400 words".into());
        }
        let mut parser = Parser { tokens: tokens.into_iter().peekable() };
        let root = parser.level(0, 0)?;
        match parser.tokens.next() {
            None => Ok(Self { root }),
            Some(_) => Err("two values stand side by side without an operator".into()),
        }
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// When it compares a value that is not known when the pipeline is made.
    pub fn judge(&self, vars: &Vars) -> Result<Judged, String> {
        let mut looked_at = Vec::new();
        let holds = match eval(&self.root, vars, &mut looked_at)? {
            Val::Null => false,
            Val::Bool(b) => b,
            Val::Text(t) => !t.trim().is_empty(),
            Val::Pattern(_) | Val::Late(_) => true,
        };
        looked_at.dedup();
        Ok(Judged { holds, looked_at })
    }
}

fn eval<'e>(expr: &'e Expr, vars: &Vars, looked_at: &mut Vec<String>) -> Result<Val<'e>, String> {
    Ok(match expr {
        Expr::Null => Val::Null,
        Expr::Text(t) => Val::Text(t.clone()),
        Expr::Pattern(r) => Val::Pattern(r),
        Expr::Variable(name) => {
            let found = vars.get(name);
            let shown = match &found {
                None => "not set".to_owned(),
                Some(v) => v
                    .plain
                    .as_ref()
                    .map_or_else(|| "not known yet".to_owned(), |p| format!("\"{}\"", p.chars().take(80).collect::<String>())),
            };
            looked_at.push(format!("${name} is {shown}"));
            match found {
                None => Val::Null,
                Some(v) => v.plain.map_or(Val::Late(name), Val::Text),
            }
        }
        Expr::Binary(op @ (Op::And | Op::Or), left, right) => {
            let left = eval(left, vars, looked_at)?;
            let there = !matches!(left, Val::Null | Val::Bool(false));
            if there == (*op == Op::And) { eval(right, vars, looked_at)? } else { left }
        }
        Expr::Binary(op, left, right) => {
            let (left, right) = (eval(left, vars, looked_at)?, eval(right, vars, looked_at)?);
            let negated = matches!(op, Op::Differs | Op::MatchesNot);
            let holds = if matches!(op, Op::Equals | Op::Differs) { equal(&left, &right)? } else { matches(&left, &right)? };
            Val::Bool(holds != negated)
        }
    })
}

fn late<T>(name: &str) -> Result<T, String> {
    Err(format!("${name} is a secret or known only where the job runs, so nothing can be compared with it when the pipeline is made"))
}

fn equal(left: &Val<'_>, right: &Val<'_>) -> Result<bool, String> {
    Ok(match (left, right) {
        (Val::Null, Val::Null) => true,
        (Val::Text(a), Val::Text(b)) => a == b,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Pattern(a), Val::Pattern(b)) => a.as_str() == b.as_str(),
        (Val::Late(_), Val::Null) | (Val::Null, Val::Late(_)) => false,
        (Val::Late(name), _) | (_, Val::Late(name)) => return late(name),
        _ => false,
    })
}

fn matches(left: &Val<'_>, right: &Val<'_>) -> Result<bool, String> {
    let text = match left {
        Val::Null => "",
        Val::Text(t) => t.as_str(),
        Val::Bool(b) => {
            if *b {
                "true"
            } else {
                "false"
            }
        }
        Val::Late(name) => return late(name),
        Val::Pattern(_) => return Err("a pattern stands on the right of `=~`".into()),
    };
    Ok(match right {
        Val::Pattern(r) => r.is_match(text),
        Val::Text(t) => match as_pattern(t) {
            Some(r) => r?.is_match(text),
            None => t.contains(text),
        },
        Val::Late(name) => return late(name),
        Val::Null | Val::Bool(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gitlab::vars::Var;

    fn vars() -> Vars {
        let mut v = Vars::default();
        v.raw("BRANCH", "main");
        v.raw("EMPTY", "");
        v.raw("PATTERN", "/^ma.n$/");
        v.raw("WORD", "domain");
        v.set("SECRET", Var::Late("${{ secrets.SECRET }}".into()));
        v
    }

    #[test]
    fn conditions_are_judged_as_gitlab_does() {
        for (text, expect) in [
            ("$BRANCH", true),
            ("$EMPTY", false),
            ("$NONE", false),
            ("$BRANCH == \"main\"", true),
            ("$BRANCH == 'dev'", false),
            ("$BRANCH != 'dev'", true),
            ("'main' == $BRANCH", true),
            ("${BRANCH} == \"main\"", true),
            ("$EMPTY == null", false),
            ("$NONE == null", true),
            ("$EMPTY == \"\"", true),
            ("$NONE == \"\"", false),
            ("$NONE != null", false),
            ("$BRANCH =~ /^ma/", true),
            ("$BRANCH =~ /^MA/", false),
            ("$BRANCH =~ /^MA/i", true),
            ("$BRANCH !~ /^ma/", false),
            ("$BRANCH =~ $PATTERN", true),
            ("$WORD =~ $PATTERN", false),
            // what is no pattern is searched in
            ("$BRANCH =~ $WORD", true),
            ("$NONE =~ /x/", false),
            ("$NONE !~ /x/", true),
            ("$BRANCH =~ /a\\/b|main/", true),
            ("$BRANCH == 'main' && $WORD == 'domain'", true),
            ("$NONE || $BRANCH", true),
            ("$NONE && $BRANCH", false),
            // an empty text is there until the end
            ("$EMPTY && $BRANCH", true),
            ("$EMPTY || $BRANCH", false),
            ("$NONE == null && ($BRANCH == 'x' || $BRANCH == 'main')", true),
            ("$BRANCH == 'main' || $BRANCH == 'x' && $NONE", true),
            ("($BRANCH == 'main' || $BRANCH == 'x') && $NONE", false),
            ("$SECRET", true),
            ("$SECRET != null", true),
            ("$NONE && $SECRET == 'x'", false),
            ("\"a\"", true),
            ("null", false),
        ] {
            let found = Condition::parse(text).and_then(|c| c.judge(&vars()));
            assert_eq!(found.map(|j| j.holds), Ok(expect), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expect) in [
            ("", "ends where a value"),
            ("$BRANCH ==", "ends where a value"),
            ("== 'x'", "no left side"),
            ("$BRANCH 'x'", "side by side"),
            ("($BRANCH", "not closed"),
            ("$BRANCH)", "side by side"),
            ("$BRANCH == 'x", "has no end"),
            ("$BRANCH =~ /x", "no closing"),
            ("$BRANCH =~ /(/", "not valid RE2"),
            ("$BRANCH =~ /(?=x)/", "not valid RE2"),
            ("$ == 'x'", "not followed by a name"),
            ("BRANCH == 'x'", "means nothing"),
            ("$SECRET == 'x'", "is a secret"),
            ("'x' =~ $SECRET", "is a secret"),
        ] {
            let why = Condition::parse(text).and_then(|c| c.judge(&vars())).unwrap_err();
            assert!(why.contains(expect), "{text}: {why}");
        }
        assert!(Condition::parse(&"(".repeat(1000)).is_err());
        let judged = Condition::parse("$BRANCH == 'x' && $NONE").unwrap().judge(&vars()).unwrap();
        assert_eq!(judged.looked_at, ["$BRANCH is \"main\""]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in r#"[$a-zA-Z /"'=!~&|()null\\.^ä]{0,60}"#) {
            if let Ok(c) = Condition::parse(&text) {
                let _ = c.judge(&vars());
            }
        }
    }
}
