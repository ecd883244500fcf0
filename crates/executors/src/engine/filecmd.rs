//! File commands: what a step writes to `GITHUB_ENV`, `GITHUB_OUTPUT`, `GITHUB_STATE` and `GITHUB_PATH`.

/// Reads `name=value` lines and `name<<delimiter` blocks. Whichever of `=` and `<<` comes first decides.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        let (line, _, after) = line(rest);
        rest = after;
        if line.is_empty() {
            continue;
        }
        let equals = line.find('=');
        let heredoc = line.find("<<");
        let (name, value) = match (equals, heredoc) {
            (Some(at), None) => (&line[..at], line[at + 1..].to_owned()),
            (Some(at), Some(here)) if at < here => (&line[..at], line[at + 1..].to_owned()),
            (_, Some(here)) => {
                let delimiter = &line[here + 2..];
                if delimiter.is_empty() {
                    return Err(format!("Invalid format '{line}'. Delimiter must not be empty"));
                }
                let (value, after) = block(rest, delimiter)?;
                rest = after;
                (&line[..here], value)
            }
            (None, None) => return Err(format!("Invalid format '{line}'")),
        };
        if name.is_empty() {
            return Err(format!("Invalid format '{line}'. Name must not be empty"));
        }
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

/// Lines of `GITHUB_PATH`.
pub(crate) fn paths(text: &str) -> Vec<String> {
    text.lines().map(str::trim_end).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// The text up to a line that is the delimiter, and what follows that line.
fn block<'t>(text: &'t str, delimiter: &str) -> Result<(String, &'t str), String> {
    let mut rest = text;
    let mut end = 0;
    loop {
        if rest.is_empty() {
            return Err(format!("Invalid value. Matching delimiter not found '{delimiter}'"));
        }
        let (line, newline, after) = line(rest);
        if line == delimiter {
            return Ok((text[..end].to_owned(), after));
        }
        if newline.is_empty() {
            return Err(format!("Invalid value. Matching delimiter not found '{delimiter}'"));
        }
        // the newline before the delimiter is not part of the value
        end = text.len() - after.len() - newline.len();
        rest = after;
    }
}

/// First line, its newline, and the rest.
fn line(text: &str) -> (&str, &str, &str) {
    let Some(at) = text.find('\n') else { return (text, "", "") };
    let start = if text[..at].ends_with('\r') { at - 1 } else { at };
    (&text[..start], &text[start..=at], &text[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> Vec<(String, String)> {
        pairs(text).unwrap()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn lines_and_blocks() {
        assert_eq!(ok("a=1\n\nb=x=y<<z\r\nc="), [pair("a", "1"), pair("b", "x=y<<z"), pair("c", "")]);
        assert_eq!(ok("a<<EOF\none\r\ntwo\nEOF\nb=2\n"), [pair("a", "one\r\ntwo"), pair("b", "2")]);
        assert_eq!(ok("a<<E=F\n=\n E=F\nE=F"), [pair("a", "=\n E=F")]);
        assert_eq!(ok("a<<E\nE\n"), [pair("a", "")]);
        assert_eq!(ok("a<<E\n\n\nE\n"), [pair("a", "\n")]);
    }

    #[test]
    fn mistakes_are_errors() {
        for text in ["plain", "=x", "<<E\nE\n", "a<<\nx", "a<<E\nx\n", "a<<E\nx\nE2", "a<<E\nx"] {
            assert!(pairs(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn path_lines() {
        assert_eq!(paths("/a\n\n/b c\r\n"), ["/a", "/b c"]);
    }
}
