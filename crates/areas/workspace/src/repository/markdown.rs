//! Markdown to HTML that is safe to put into a page: no scripts, styles, ids or forms; links only to the web, mail, and
//! this repository. Pure.

use std::borrow::Cow;
use std::collections::HashSet;

use pulldown_cmark::{Options, Parser, html};
use web_kit::markdown::shallow;

/// Larger files are shown as text.
pub const MAX_BYTES: usize = 512 << 10;

/// Where relative links of a file lead.
#[derive(Clone, Debug)]
pub struct Base {
    /// `namespace/name` of the project.
    pub project: String,
    /// The ref as the reader asked for it.
    pub reference: String,
    /// Directory of the file; empty for the root.
    pub dir: String,
}

/// Is the file one that is rendered?
pub fn is_markdown(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    [".md", ".markdown", ".mdown", ".mkd"].iter().any(|e| name.ends_with(e))
}

/// Renders and cleans.
pub fn render(text: &str, base: &Base) -> String {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_GFM;
    let mut out = String::with_capacity(text.len() * 3 / 2);
    html::push_html(&mut out, shallow(Parser::new_ext(text, options)));
    clean(&out, base)
}

fn clean(dirty: &str, base: &Base) -> String {
    let base = base.clone();
    let mut cleaner = ammonia::Builder::default();
    cleaner
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::PassThrough)
        .link_rel(Some("nofollow noopener noreferrer"))
        .add_tags(["input"])
        .add_tag_attributes("input", ["type", "checked", "disabled"])
        .add_tag_attributes("code", ["class"])
        .add_tag_attributes("th", ["align"])
        .add_tag_attributes("td", ["align"])
        .attribute_filter(move |element, attribute, value| match (element, attribute) {
            ("code", "class") => {
                let word = value.strip_prefix("language-")?;
                word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'#' | b'_')).then_some(Cow::Borrowed(value))
            }
            // the boxes of task lists; nothing that takes a password
            ("input", "type") => (value == "checkbox").then_some(Cow::Borrowed(value)),
            ("a", "href") => Some(target(value, &base, "blob")),
            ("img", "src") => Some(target(value, &base, "raw")),
            _ => Some(Cow::Borrowed(value)),
        });
    let html = cleaner.clean(dirty).to_string();
    // an input that lost its type would be a text field
    html.replace("<input disabled=\"\">", "").replace("<input>", "")
}

/// Leads a relative link to the page, or the bytes, of what it names in this repository.
fn target<'a>(value: &'a str, base: &Base, kind: &str) -> Cow<'a, str> {
    if value.starts_with('#') || value.contains(':') && has_scheme(value) || value.starts_with("//") {
        return Cow::Borrowed(value);
    }
    let (path, fragment) = value.split_once('#').map_or((value, None), |(p, f)| (p, Some(f)));
    let path = path.split('?').next().unwrap_or_default();
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let mut parts: Vec<&str> = if decoded.starts_with('/') { Vec::new() } else { base.dir.split('/').filter(|p| !p.is_empty()).collect() };
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.iter().map(|p| encode(p)).collect::<Vec<_>>().join("/");
    let mut out = if kind == "raw" {
        format!("/projects/{}/raw?ref={}&path={}", encode(&base.project), encode(&base.reference), encode(&parts.join("/")))
    } else {
        format!("/{}/-/blob/{}/{joined}", base.project, encode(&base.reference))
    };
    if let Some(fragment) = fragment {
        out.push('#');
        out.push_str(&encode(fragment));
    }
    Cow::Owned(out)
}

fn has_scheme(value: &str) -> bool {
    let scheme = value.split(':').next().unwrap_or_default();
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2E", ".")
        .replace("%2D", "-")
        .replace("%5F", "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        Base { project: "acme/web".into(), reference: "main".into(), dir: "docs".into() }
    }

    #[test]
    fn what_it_makes() {
        let html = render("# Hi\n\n- [x] done\n\n| a |\n|---|\n| `b` |\n\n```rust\nfn x() {}\n```\n", &base());
        for want in ["<h1>Hi</h1>", "type=\"checkbox\"", "<table>", "class=\"language-rust\"", "fn x() {}"] {
            assert!(html.contains(want), "{want}: {html}");
        }
    }

    #[test]
    fn links_stay_inside() {
        for (text, want) in [
            ("[a](b.md)", "href=\"/acme/web/-/blob/main/docs/b.md\""),
            ("[a](../x/y.md#z)", "href=\"/acme/web/-/blob/main/x/y.md#z\""),
            ("[a](/top.md)", "href=\"/acme/web/-/blob/main/top.md\""),
            ("[a](../../../../etc/passwd)", "href=\"/acme/web/-/blob/main/etc/passwd\""),
            ("![a](i.png)", "src=\"/projects/acme%2Fweb/raw?ref=main&amp;path=docs%2Fi.png\""),
            ("<img src='i.png' onerror='x()'>", "src=\"/projects/acme%2Fweb/raw?ref=main&amp;path=docs%2Fi.png\""),
            ("[a](#here)", "href=\"#here\""),
            ("[a](https://example.org/)", "href=\"https://example.org/\""),
        ] {
            let html = render(text, &base());
            assert!(html.contains(want), "{text}: {html}");
        }
    }

    #[test]
    fn hostile_texts_are_harmless() {
        for text in [
            "<script>alert(1)</script>",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt&#58;alert(1))",
            "[x](data:text/html;base64,PHNjcmlwdD4=)",
            "[x](vbscript:x)",
            "<svg onload=alert(1)>",
            "<a href='x' onclick='y()'>z</a>",
            "<style>*{}</style>",
            "<iframe src=//evil></iframe>",
            "<form action=//evil><input name=password type=password></form>",
            "<p id=body name=forms>x</p>",
            "<img src=x onerror=alert(1)>",
            "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
            "# <h1 id=x onmouseover=alert(1)>",
            "<code class='language-x onclick'>a</code>",
        ] {
            let html = render(text, &base()).to_lowercase();
            for bad in [
                "<script",
                "javascript:",
                "data:",
                "vbscript:",
                "onload",
                "onclick=",
                "onerror",
                "<style",
                "<iframe",
                "<form",
                "password",
                " id=",
                " name=",
                "onmouseover=",
                "<svg",
            ] {
                // text that is shown as text may hold the words
                let shown = html.contains("&lt;") || !html.contains('<');
                assert!(shown || !html.contains(bad), "{text}: {html}");
            }
        }
    }

    #[test]
    fn long_nonsense_ends_soon() {
        for text in
            ["[".repeat(50_000), "![".repeat(50_000), "*_".repeat(50_000), "> ".repeat(20_000), "<!--".repeat(20_000), "| ".repeat(20_000)]
        {
            let begun = std::time::Instant::now();
            render(&text, &base());
            assert!(begun.elapsed().as_secs() < 10, "{}", &text[..4]);
        }
    }
}
