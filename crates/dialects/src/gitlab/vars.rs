//! Variables: their precedence, and their expansion in texts.
//!
//! A value is either known now or only where the job runs (a secret, the id of the job). Both become templates of the
//! plan; conditions can look at known values only.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use indexmap::IndexMap;

use crate::plan::literal;

/// Longest value after expansion.
const MAX_VALUE: usize = 64 * 1024;
/// What all expansions of one pipeline may cost together, in bytes that are looked at.
const MAX_WORK: usize = 64 << 20;
/// Deepest nesting of variables in variables.
const MAX_DEPTH: usize = 20;

/// A variable before expansion.
#[derive(Clone, Debug, PartialEq)]
pub enum Var {
    /// A text in which other variables are expanded.
    Text(String),
    /// A text that stays as it is.
    Raw(String),
    /// A template of the plan whose value is known where the job runs.
    Late(String),
}

/// A value after expansion.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Value {
    /// As a template of the plan.
    pub template: String,
    /// The text itself, if it is known.
    pub plain: Option<String>,
}

impl Value {
    fn known(text: &str) -> Self {
        Self { template: literal(text), plain: Some(text.to_owned()) }
    }
}

/// A text after expansion, and the names in it that nobody defines.
#[derive(Clone, Debug, Default)]
pub struct Expanded {
    /// The value.
    pub value: Value,
    /// Names that were not found; they expand to nothing.
    pub unknown: BTreeSet<String>,
}

/// Variables by name; what is set later takes the place of what was set before.
#[derive(Clone, Debug)]
pub struct Vars {
    vars: IndexMap<String, Var>,
    /// Shared by all copies.
    left: Rc<Cell<usize>>,
}

impl Default for Vars {
    fn default() -> Self {
        Self { vars: IndexMap::new(), left: Rc::new(Cell::new(MAX_WORK)) }
    }
}

impl Vars {
    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<String>, var: Var) {
        self.vars.insert(name.into(), var);
    }

    /// Sets a text that stays as it is.
    pub fn raw(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.set(name, Var::Raw(value.into()));
    }

    /// Sets all of another table.
    pub fn extend(&mut self, other: &Vars) {
        self.vars.extend(other.vars.iter().map(|(k, v)| (k.clone(), v.clone())));
    }

    /// Were there so many variables in variables that expansion was given up?
    pub fn exhausted(&self) -> bool {
        self.left.get() == 0
    }

    /// Names in the order they were first set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.vars.keys().map(String::as_str)
    }

    /// Is it set?
    pub fn has(&self, name: &str) -> bool {
        self.vars.contains_key(name)
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.lookup(name, &mut Vec::new(), &mut BTreeSet::new())
    }

    /// As [`Self::get`], with the names that were not found.
    pub fn get_told(&self, name: &str, unknown: &mut BTreeSet<String>) -> Option<Value> {
        self.lookup(name, &mut Vec::new(), unknown)
    }

    /// A variable as it was set.
    pub fn raw_var(&self, name: &str) -> Option<&Var> {
        self.vars.get(name)
    }

    fn lookup(&self, name: &str, open: &mut Vec<String>, unknown: &mut BTreeSet<String>) -> Option<Value> {
        Some(match self.vars.get(name)? {
            Var::Raw(text) => Value::known(text),
            Var::Late(template) => Value { template: template.clone(), plain: None },
            Var::Text(text) if open.len() >= MAX_DEPTH || open.iter().any(|n| n == name) => Value::known(text),
            Var::Text(text) => {
                open.push(name.to_owned());
                let value = self.replace(text, open, unknown);
                open.pop();
                value
            }
        })
    }

    /// Expands `$NAME`, `${NAME}` and `%NAME%`; `$$` is a dollar sign.
    pub fn expand(&self, text: &str) -> Expanded {
        let mut unknown = BTreeSet::new();
        let value = self.replace(text, &mut Vec::new(), &mut unknown);
        Expanded { value, unknown }
    }

    fn replace(&self, text: &str, open: &mut Vec<String>, unknown: &mut BTreeSet<String>) -> Value {
        let (mut template, mut plain) = (String::new(), Some(String::new()));
        for piece in split(text) {
            self.left.set(self.left.get().saturating_sub(32));
            if self.exhausted() {
                break;
            }
            let value = match piece {
                Piece::Text(t) => Value::known(t),
                // a variable that names itself keeps the reference, as it has no earlier value
                Piece::Name(name, whole) if open.iter().any(|n| n == name) => Value::known(whole),
                Piece::Name(name, _) => match self.lookup(name, open, unknown) {
                    Some(value) => value,
                    None => {
                        unknown.insert(name.to_owned());
                        continue;
                    }
                },
            };
            if template.len() + value.template.len() > MAX_VALUE {
                break;
            }
            self.left.set(self.left.get().saturating_sub(value.template.len()));
            template.push_str(&value.template);
            plain = match (plain, value.plain) {
                (Some(mut so_far), Some(more)) => {
                    so_far.push_str(&more);
                    Some(so_far)
                }
                _ => None,
            };
        }
        // a brace that was cut apart by a variable must not become an expression
        if let Some(plain) = &plain {
            template = literal(plain);
        }
        Value { template, plain }
    }
}

/// A part of a text.
#[derive(Debug, PartialEq)]
enum Piece<'t> {
    Text(&'t str),
    /// A name, and how it was written.
    Name(&'t str, &'t str),
}

fn name_length(text: &str) -> usize {
    let mut bytes = text.bytes();
    match bytes.next() {
        Some(b) if b.is_ascii_alphabetic() || b == b'_' => 1 + bytes.take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count(),
        _ => 0,
    }
}

fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(next) = text[at..].find(['$', '%']).map(|i| at + i) {
        let rest = &text[next + 1..];
        let found = if text.as_bytes()[next] == b'%' {
            let n = name_length(rest);
            (n > 0 && rest[n..].starts_with('%')).then(|| (&rest[..n], n + 2))
        } else if rest.starts_with('$') {
            // the second sign stands for itself
            pieces.push(Piece::Text(&text[from..=next]));
            (from, at) = (next + 2, next + 2);
            continue;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let n = name_length(inner);
            (n > 0 && inner[n..].starts_with('}')).then(|| (&inner[..n], n + 3))
        } else {
            let n = name_length(rest);
            (n > 0).then(|| (&rest[..n], n + 1))
        };
        match found {
            Some((name, length)) => {
                if next > from {
                    pieces.push(Piece::Text(&text[from..next]));
                }
                pieces.push(Piece::Name(name, &text[next..next + length]));
                (from, at) = (next + length, next + length);
            }
            None => at = next + 1,
        }
    }
    if from < text.len() {
        pieces.push(Piece::Text(&text[from..]));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars() -> Vars {
        let mut v = Vars::default();
        v.raw("A", "one");
        v.set("B", Var::Text("<$A>".into()));
        v.set("C", Var::Text("${B} %A% $$A $NONE".into()));
        v.set("SELF", Var::Text("x $SELF".into()));
        v.set("P", Var::Text("$Q".into()));
        v.set("Q", Var::Text("$P".into()));
        v.set("TOKEN", Var::Late("${{ secrets.TOKEN }}".into()));
        v.raw("RAW", "$A ${{ x }}");
        v
    }

    #[test]
    fn texts_are_expanded() {
        for (text, expect) in [
            ("$A", "one"),
            ("a$A-b", "aone-b"),
            ("$B/${A}/%A%", "<one>/one/one"),
            ("$C", "<one> one $A "),
            ("$$A", "$A"),
            ("100% of 5%", "100% of 5%"),
            ("$", "$"),
            ("${A", "${A"),
            ("$1 ${} $-", "$1 ${} $-"),
            ("$SELF", "x $SELF"),
            ("$P", "$P"),
            ("$RAW", "$A ${{ x }}"),
            ("ä$Aö", "äoneö"),
        ] {
            assert_eq!(vars().expand(text).value.plain.as_deref(), Some(expect), "{text}");
        }
    }

    #[test]
    fn late_values_become_templates_and_braces_stay_text() {
        let found = vars().expand("u:$TOKEN@$A").value;
        assert_eq!((found.template.as_str(), found.plain), ("u:${{ secrets.TOKEN }}@one", None));
        assert_eq!(vars().expand("$RAW").value.template, "$A ${{ '${{' }} x }}");
        assert_eq!(vars().expand("$X$A").unknown.into_iter().collect::<Vec<_>>(), ["X"]);
    }

    #[test]
    fn expansion_is_bounded() {
        let mut v = Vars::default();
        v.raw("V0", "0123456789");
        for i in 1..40 {
            v.set(format!("V{i}"), Var::Text(format!("$V{0}$V{0}", i - 1)));
        }
        assert!(v.get("V39").unwrap().template.len() <= MAX_VALUE);
        for i in 1..40 {
            v.set(format!("V{i}"), Var::Text(format!("$V{}", i - 1).repeat(300)));
        }
        assert!(v.get("V39").unwrap().template.len() <= MAX_VALUE);
        assert!(v.clone().exhausted());
    }
}
