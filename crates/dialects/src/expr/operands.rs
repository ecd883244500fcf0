//! What a condition looked at: each place in the contexts, and each status function, with its value.

use serde_json::Value as Json;

use super::parse::Expr;
use super::{Context, Status, eval, functions};

/// Most operands that are told.
const MOST: usize = 50;

/// One thing that an expression looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// As it could be written.
    pub expression: String,
    /// The context it stands in, such as `github`; none for a function.
    pub context: Option<String>,
    /// What it gave; none when it could not be evaluated.
    pub value: Option<Json>,
}

/// The operands of an expression, each once, in the order they are written. None of a text that cannot be read.
pub fn operands(text: &str, ctx: &Context<'_>, status: Status) -> Vec<Operand> {
    let Ok(expr) = Expr::parse(text) else { return Vec::new() };
    let mut found = Vec::new();
    collect(&expr, &mut found);
    let ctx = ctx.with_status(status);
    let mut out: Vec<Operand> = Vec::new();
    for expr in found {
        let Some(expression) = render(expr) else { continue };
        if out.len() >= MOST || out.iter().any(|o| o.expression == expression) {
            continue;
        }
        let value = eval::Evaluation::new(&ctx).eval(expr).ok().map(|v| v.into_json());
        out.push(Operand { expression, context: root(expr).map(str::to_owned), value });
    }
    out
}

fn collect<'e>(expr: &'e Expr, out: &mut Vec<&'e Expr>) {
    match expr {
        Expr::Context(_) | Expr::Index(..) | Expr::Filter(_) if root(expr).is_some() => out.push(expr),
        Expr::Call(name, _) if functions::is_status(name) => out.push(expr),
        Expr::Null | Expr::Bool(_) | Expr::Number(_) | Expr::String(_) | Expr::Context(_) => {}
        Expr::Call(_, args) | Expr::And(args) | Expr::Or(args) => args.iter().for_each(|a| collect(a, out)),
        Expr::Index(a, b) | Expr::Compare(_, a, b) => {
            collect(a, out);
            collect(b, out);
        }
        Expr::Filter(a) | Expr::Not(a) => collect(a, out),
    }
}

/// The context that a chain of accesses begins with.
fn root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Context(name) => Some(name),
        Expr::Index(of, _) | Expr::Filter(of) => root(of),
        _ => None,
    }
}

fn render(expr: &Expr) -> Option<String> {
    Some(match expr {
        Expr::Context(name) => name.clone(),
        Expr::Filter(of) => format!("{}.*", render(of)?),
        Expr::Index(of, at) => match &**at {
            Expr::String(name) if plain(name) => format!("{}.{name}", render(of)?),
            Expr::String(name) => format!("{}['{}']", render(of)?, name.replace('\'', "''")),
            Expr::Number(n) => format!("{}[{n}]", render(of)?),
            other => format!("{}[{}]", render(of)?, render(other)?),
        },
        Expr::Call(name, args) if args.is_empty() => format!("{name}()"),
        _ => return None,
    })
}

fn plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_looked_at_is_told_once() {
        let roots = json!({"github": {"ref": "refs/heads/x", "event": {"a b": 1}}, "needs": {"test": {"result": "failure"}}});
        let text =
            "github.ref == 'refs/heads/main' && (failure() || needs.test.result != 'success') && github.ref && github.event['a b'] > 0";
        let status = Status { success: false, failure: true, cancelled: false };
        let found: Vec<(String, Option<Json>)> =
            operands(text, &Context::new(&roots), status).into_iter().map(|o| (o.expression, o.value)).collect();
        let expected = [
            ("github.ref", json!("refs/heads/x")),
            ("failure()", json!(true)),
            ("needs.test.result", json!("failure")),
            ("github.event['a b']", json!(1)),
        ];
        assert_eq!(found, expected.map(|(e, v)| (e.to_owned(), Some(v))));
        assert!(operands("a b c", &Context::new(&roots), status).is_empty());
    }
}
