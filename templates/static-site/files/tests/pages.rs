//! Every page is whole, and no link between them is broken.

use site::{find, File, FILES};

fn pages() -> impl Iterator<Item = (&'static File, String)> {
    FILES
        .iter()
        .filter(|file| file.path.ends_with(".html"))
        .map(|file| {
            (
                file,
                String::from_utf8(file.bytes.to_vec()).expect("pages are UTF-8"),
            )
        })
}

/// The values of `href="…"` and `src="…"`.
fn links(html: &str) -> Vec<&str> {
    [" href=\"", " src=\""]
        .iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn there_is_a_front_page_and_an_error_page() {
    assert!(find("/").is_some());
    assert!(find("/404").is_some());
}

#[test]
fn pages_have_language_title_and_viewport() {
    for (file, html) in pages() {
        for needed in [
            "<!doctype html>",
            "<html lang=\"",
            "<title>",
            "name=\"viewport\"",
        ] {
            assert!(html.contains(needed), "{} has no {needed}", file.path);
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for (file, html) in pages() {
        for link in links(&html) {
            if link.contains(':') || link.starts_with('#') || link.starts_with("//") {
                continue;
            }
            assert!(link.starts_with('/'), "{}: {link} is relative", file.path);
            let path = link.split(['?', '#']).next().unwrap_or_default();
            assert!(
                path == "/health" || find(path).is_some(),
                "{}: {link} leads nowhere",
                file.path
            );
        }
    }
}
