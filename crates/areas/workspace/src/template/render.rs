//! Replaces placeholders in texts and paths. Pure; the syntax is described in `docs/templates.md`.

use std::collections::BTreeMap;

use kernel::{Code, Error, RepoPath, Result};

/// What placeholders become, by name.
pub type Names = BTreeMap<String, String>;

/// The built-in names of a project.
pub fn project_names(path: &str, description: &str) -> Names {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut identifier: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if identifier.starts_with(|c: char| c.is_ascii_digit()) {
        identifier.insert(0, '_');
    }
    let line = description.split_whitespace().collect::<Vec<_>>().join(" ");
    [
        ("project.name", name.to_owned()),
        ("project.path", path.to_owned()),
        ("project.description", line),
        ("project.identifier", identifier),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
    .collect()
}

/// Renders one text.
///
/// # Errors
/// `unprocessable` with file, line and column.
pub fn text(file: &str, text: &str, names: &Names) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let here = text.len() - rest.len() + at;
        let fail = |message: &str| {
            let before = &text[..here];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            Error::new(Code::Unprocessable, format!("{file}:{line}:{column}: {message}"))
        };
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let body = &tail[2..];
        if head.ends_with('$') || (head.is_empty() && out.ends_with('$')) {
            // an expression of a workflow
            let end = body.find("}}").map_or(tail.len(), |i| i + 4);
            out.push_str(&tail[..end]);
            rest = &tail[end..];
        } else if let Some(after) = body.strip_prefix("{{") {
            out.push_str("{{");
            rest = after;
        } else {
            let line = body.split('\n').next().unwrap_or("");
            let end = line.find("}}").ok_or_else(|| fail("the placeholder has no }} on its line"))?;
            let name = line[..end].trim();
            let value = names.get(name).ok_or_else(|| fail(&format!("there is no parameter {name:?}")))?;
            out.push_str(value);
            rest = &body[end + 2..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Renders a path; each value must be one plain segment.
///
/// # Errors
/// `unprocessable` for a path that may not be written.
pub fn path(template: &str, names: &Names) -> Result<RepoPath> {
    let mut allowed = Names::new();
    for (name, value) in names {
        if !value.contains('/') {
            allowed.insert(name.clone(), value.clone());
        }
    }
    let rendered = text(template, template, &allowed)?;
    if rendered.split('/').count() != template.split('/').count() {
        return Err(Error::new(Code::Unprocessable, format!("{template}: a value may not add folders")));
    }
    RepoPath::parse(&rendered).map_err(|e| Error::new(Code::Unprocessable, format!("{template}: {}", e.detail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = project_names("acme/my-app", "two\nlines");
        names.insert("greeting".into(), "Hi {{ x }}".into());
        names
    }

    #[test]
    fn placeholders() {
        for (from, to) in [
            ("a {{ project.name }} b", "a my-app b"),
            ("{{project.identifier}}", "my_app"),
            ("{{ project.description }}", "two lines"),
            ("{{ greeting }}!", "Hi {{ x }}!"),
            ("{{{{ literal }}", "{{ literal }}"),
            ("if: ${{ github.ref }} {{ project.path }}", "if: ${{ github.ref }} acme/my-app"),
            ("${{ a }}${{ b }}", "${{ a }}${{ b }}"),
            ("plain }} text", "plain }} text"),
        ] {
            assert_eq!(text("f", from, &names()).unwrap(), to);
        }
    }

    #[test]
    fn mistakes_are_located() {
        for (from, place) in [
            ("a\n  {{ nope }}", "f:2:3: there is no parameter \"nope\""),
            ("x {{ project.name", "f:1:3: the placeholder has no }} on its line"),
        ] {
            assert_eq!(text("f", from, &names()).unwrap_err().detail, place);
        }
    }

    #[test]
    fn paths_stay_inside() {
        let mut n = names();
        n.insert("dir".into(), "..".into());
        n.insert("git".into(), ".git".into());
        assert_eq!(path("src/{{ project.identifier }}.rs", &n).unwrap().as_str(), "src/my_app.rs");
        for bad in ["{{ dir }}/x", "a/{{ git }}/hooks", "{{ project.path }}/x"] {
            assert!(path(bad, &n).is_err(), "{bad}");
        }
    }
}
