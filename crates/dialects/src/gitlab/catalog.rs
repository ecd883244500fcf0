//! Versions of components: which tag of a project an `include` asks for.

/// A version as components have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u64, u64, u64);

impl Version {
    /// Of a tag such as `1.2.3` or `v1.2.3`. What is not released yet (`1.2.3-rc`) is none.
    fn of_tag(tag: &str) -> Option<Self> {
        let plain = tag.strip_prefix('v').unwrap_or(tag);
        // what is behind a plus does not order versions
        let plain = plain.split_once('+').map_or(plain, |(version, _)| version);
        let mut parts = plain.split('.').map(number);
        let version = Self(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }
}

fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// What a version of a component asks for, when it is not the name of a ref: the newest version of all, or of those that
/// begin with one or two numbers.
pub fn component_tag<'t>(wanted: &str, tags: impl Iterator<Item = &'t str>) -> Option<&'t str> {
    let (major, minor) = match wanted.split_once('.') {
        _ if wanted == "~latest" => (None, None),
        None => (Some(number(wanted)?), None),
        Some((major, minor)) => (Some(number(major)?), Some(number(minor)?)),
    };
    let fits = |v: &Version| major.is_none_or(|m| v.0 == m) && minor.is_none_or(|m| v.1 == m);
    tags.filter_map(|t| Some((Version::of_tag(t)?, t))).filter(|(v, _)| fits(v)).max().map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_chosen() {
        let tags = ["1.0.0", "1.2.0", "1.2.10", "1.2.9", "v2.0.0", "2.1.0-rc", "3", "nightly", "01.9.9", "2.0.0.1"];
        for (wanted, tag) in [
            ("~latest", Some("v2.0.0")),
            ("1", Some("1.2.10")),
            ("1.2", Some("1.2.10")),
            ("1.0", Some("1.0.0")),
            ("2", Some("v2.0.0")),
            ("3", None),
            ("1.2.9", None),
            ("main", None),
            ("", None),
            ("1.", None),
        ] {
            assert_eq!(component_tag(wanted, tags.into_iter()), tag, "{wanted}");
        }
        assert_eq!(component_tag("~latest", ["a"].into_iter()), None);
    }
}
