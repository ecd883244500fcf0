//! Versions of tools and what workflows ask of them: `20`, `3.11`, `1.x`, `>=20.11 <22`, `^1.20`, `~3.1`, `18 || 20`,
//! `1.2 - 1.4`.

/// A version: up to three numbers; missing ones count as zero in comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) [u64; 3]);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0[0], self.0[1], self.0[2])
    }
}

impl Version {
    /// Finds the first version in a text such as `go version go1.22.1 linux/amd64`.
    pub(super) fn find(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let end = text[start..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(text.len(), |at| start + at);
        Partial::parse(&text[start..end]).map(|p| p.low())
    }
}

/// A version with parts left open.
#[derive(Clone, Copy, Debug)]
struct Partial {
    parts: [u64; 3],
    given: usize,
}

impl Partial {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches(['v', '=']).trim_start_matches("go");
        // build and pre-release parts say nothing we can check
        let text = text.split(['+', '-']).next()?;
        let mut partial = Self { parts: [0; 3], given: 0 };
        for part in text.trim_end_matches('.').split('.').take(3) {
            if matches!(part, "x" | "X" | "*") {
                break;
            }
            partial.parts[partial.given] = part.parse().ok()?;
            partial.given += 1;
        }
        Some(partial)
    }

    fn low(self) -> Version {
        Version(self.parts)
    }

    /// First version that no longer begins with the given parts.
    fn next(self) -> Version {
        let mut parts = self.parts;
        match self.given {
            0 => return Version([u64::MAX; 3]),
            given => {
                parts[given - 1] += 1;
                parts[given..].fill(0);
            }
        }
        Version(parts)
    }
}

/// Does `have` fit what was asked for? None: the request cannot be read.
pub(super) fn fits(asked: &str, have: Version) -> Option<bool> {
    let mut any = false;
    for alternative in asked.split("||") {
        any |= all_fit(alternative.trim(), have)?;
    }
    Some(any)
}

fn all_fit(asked: &str, have: Version) -> Option<bool> {
    if let Some((low, high)) = asked.split_once(" - ") {
        return Some(have >= Partial::parse(low)?.low() && have < Partial::parse(high)?.next());
    }
    // a blank may stand between operator and version
    let mut words: Vec<String> = Vec::new();
    for word in asked.split([' ', ',']).filter(|w| !w.is_empty()) {
        match words.last_mut() {
            Some(last) if last.chars().all(|c| "<>=^~".contains(c)) => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
    }
    let mut all = !words.is_empty();
    for word in words {
        let at = word.find(|c: char| !"<>=^~!".contains(c))?;
        let (operator, version) = word.split_at(at);
        let version = Partial::parse(version)?;
        all &= match operator {
            "" | "=" | "==" => have >= version.low() && have < version.next(),
            ">=" => have >= version.low(),
            ">" => have >= version.next(),
            "<" => have < version.low(),
            "<=" => have < version.next(),
            "!=" => !(have >= version.low() && have < version.next()),
            "^" => {
                // the leftmost part that is not zero may not change
                let fixed = version.parts.iter().take(version.given).position(|&p| p != 0).map_or(version.given, |at| at + 1);
                have >= version.low() && have < Partial { given: fixed.max(1), ..version }.next()
            }
            "~" | "~=" => have >= version.low() && have < Partial { given: version.given.clamp(1, 2), ..version }.next(),
            _ => return None,
        };
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        for (asked, have, fit) in [
            ("20", "20.20.2", true),
            ("20", "21.0.0", false),
            ("20.x", "20.1.0", true),
            ("v20.20.2", "20.20.2", true),
            (">=20.11", "20.20.2", true),
            (">= 20.11 <21", "20.20.2", true),
            (">=20.11 <20.20", "20.20.2", false),
            ("18 || 20", "20.1.0", true),
            ("3.11 - 3.12", "3.12.9", true),
            ("^1.20", "1.26.8", true),
            ("^0.2.3", "0.3.0", false),
            ("~3.11", "3.11.7", true),
            ("~3.11", "3.12.0", false),
            ("1.22.x", "1.22.9", true),
            ("*", "9.9.9", true),
            ("17.0.8+7", "17.0.8", true),
        ] {
            assert_eq!(fits(asked, Version::find(have).unwrap()), Some(fit), "{asked} {have}");
        }
        assert_eq!(fits("lts/*", Version::default()), None);
    }

    #[test]
    fn found_in_output() {
        for (text, version) in [
            ("go version go1.26.8 linux/amd64", "1.26.8"),
            ("v20.20.2\n", "20.20.2"),
            ("Python 3.11.7", "3.11.7"),
            ("openjdk version \"17.0.15\" 2025-04-15", "17.0.15"),
            ("rustc 1.95.0 (f2d3ce0bd 2026-03-21)", "1.95.0"),
        ] {
            assert_eq!(Version::find(text).unwrap().to_string(), version);
        }
    }
}
