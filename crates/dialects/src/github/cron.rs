//! Checks of the times in `on.schedule`: five fields, numbers, names of months and days, lists, ranges and steps.

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: MONTHS },
    Field { name: "weekday", least: 0, most: 6, names: DAYS },
];

/// The shortest time between two runs of a schedule, in minutes, as GitHub has it.
const SHORTEST: u32 = 5;

/// Checks a schedule. True when it asks for more than one run in five minutes.
///
/// # Errors
/// The field that cannot be read.
pub(super) fn check(text: &str) -> Result<bool, String> {
    let parts: Vec<&str> = text.split(' ').filter(|p| !p.is_empty()).collect();
    if parts.len() != 5 || text.starts_with(' ') || text.ends_with(' ') {
        return Err(format!("`{text}` has {} fields, not five", parts.len()));
    }
    let mut minutes = Vec::new();
    for (part, field) in parts.iter().zip(&FIELDS) {
        let values = field.values(part).ok_or_else(|| {
            format!("`{part}` is no {}: numbers from {} to {}, `*`, `a-b`, `a,b`, `*/n`", field.name, field.least, field.most)
        })?;
        if field.name == "minute" {
            minutes = values;
        }
    }
    minutes.sort_unstable();
    minutes.dedup();
    let (first, last) = (minutes.first().copied().unwrap_or(0), minutes.last().copied().unwrap_or(0));
    // the hour may be one only, then there is no gap across its end; GitHub does not look either
    let around = if minutes.len() > 1 { first + 60 - last } else { 60 };
    let gap = minutes.windows(2).map(|w| w[1] - w[0]).min().unwrap_or(60).min(around);
    Ok(gap < SHORTEST)
}

impl Field {
    fn number(&self, text: &str) -> Option<u32> {
        if let Some(at) = self.names.iter().position(|n| n.eq_ignore_ascii_case(text)) {
            return Some(self.least + u32::try_from(at).ok()?);
        }
        let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()?;
        (self.least..=self.most).contains(&number).then_some(number)
    }

    /// All values that a field means.
    fn values(&self, text: &str) -> Option<Vec<u32>> {
        let mut all = Vec::new();
        for item in text.split(',') {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => (range, Some(self.number(step).filter(|s| *s > 0)?)),
                None => (item, None),
            };
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (self.least, self.most),
                Some((from, to)) => (self.number(from)?, self.number(to)?),
                None => {
                    let one = self.number(range)?;
                    // `5/15` goes on to the end
                    (one, if step.is_some() { self.most } else { one })
                }
            };
            if from > to {
                return None;
            }
            all.extend((from..=to).step_by(usize::try_from(step.unwrap_or(1)).ok()?));
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_checked() {
        for (text, expect) in [
            ("0 5 * * 1-5", Ok(false)),
            ("*/5 * * * *", Ok(false)),
            ("*/4 * * * *", Ok(true)),
            ("* 0 1 JAN sun,Mon", Ok(true)),
            ("0,2 * * * *", Ok(true)),
            ("58,1 * * * *", Ok(true)),
            ("30 4/6 * feb-nov *", Ok(false)),
            ("7  0 * * *", Ok(false)),
        ] {
            assert_eq!(check(text), expect, "{text}");
        }
        for bad in [
            "",
            "* * * *",
            "@daily",
            "60 * * * *",
            "0 24 * * *",
            "0 0 0 * *",
            "0 0 * 13 *",
            "0 0 * * 7",
            "5-1 * * * *",
            "a * * * *",
            "*/0 * * * *",
            "1,, * * * *",
            "1-2-3 * * * *",
            "1/2/3 * * * *",
            "-1 * * * *",
            "* * * * * *",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
