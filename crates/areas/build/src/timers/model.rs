//! When schedules are due: pure.

use std::time::Duration;

use dialects::cron::{Cron, Flavor, Zone};
use kernel::Timestamp;
use store::schedule::ScheduleRow;

/// A time that is further back than this when somebody looks was missed.
pub const LATE: Duration = Duration::from_secs(120);

/// The name of a time zone as the database spells it.
///
/// # Errors
/// That there is none.
pub fn zone(name: &str) -> Result<String, String> {
    Zone::named(name).map(|z| z.name().to_owned())
}

/// The expression of a schedule. `H` of Jenkins is drawn by project and workflow.
fn cron(row: &ScheduleRow) -> Result<Cron, String> {
    let flavor = if row.flavor == "jenkins" { Flavor::Jenkins } else { Flavor::Posix };
    Cron::parse(&row.cron, flavor, &format!("{}/{}", row.project, row.workflow.as_deref().unwrap_or_default()))
}

/// When a schedule is due next after `now`.
///
/// # Errors
/// What is wrong with its expression or its zone.
pub fn next(row: &ScheduleRow, now: Timestamp) -> Result<Option<Timestamp>, String> {
    Ok(cron(row)?.next(now, &Zone::named(&row.timezone)?))
}

/// What to do about a schedule that is due.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    /// The time that is acted on; none when it was missed and does not count any more.
    pub fire: Option<Timestamp>,
    /// When it is due next.
    pub next: Option<Timestamp>,
}

/// Decides about a schedule at `now`. Several times that were missed are one.
///
/// # Errors
/// As [`next`].
pub fn due(row: &ScheduleRow, now: Timestamp) -> Result<Due, String> {
    let Some(at) = row.next_at.filter(|at| *at <= now) else { return Ok(Due { fire: None, next: row.next_at }) };
    let missed = now.since(at) > LATE;
    Ok(Due { fire: (!missed || row.missed == "once").then_some(at), next: next(row, now)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{ProjectId, ScheduleId};
    use serde_json::json;

    fn row(cron: &str, missed: &str, next_at: Timestamp) -> ScheduleRow {
        ScheduleRow {
            id: ScheduleId::new(),
            project: ProjectId::new(),
            source: "user".into(),
            workflow: None,
            r#ref: "refs/heads/main".into(),
            cron: cron.into(),
            flavor: "posix".into(),
            timezone: "Europe/Berlin".into(),
            description: String::new(),
            active: true,
            paused: false,
            reason: None,
            variables: json!({}),
            inputs: json!({}),
            missed: missed.into(),
            owner: None,
            next_at: Some(next_at),
            last_at: None,
            last_run: None,
            created_at: next_at,
            version: 1,
        }
    }

    #[test]
    fn what_was_missed_is_one_time_or_none() {
        // 08:00 in Berlin on the first of June
        let at = Timestamp(1_780_293_600_000);
        let day = Duration::from_secs(86_400);
        for (missed, fire) in [("once", Some(at)), ("skip", None)] {
            let row = row("0 8 * * *", missed, at);
            assert_eq!(due(&row, at.minus(Duration::from_millis(1))).unwrap(), Due { fire: None, next: Some(at) });
            // in time, and a little late
            for late in [0, 119] {
                let decided = due(&row, at.plus(Duration::from_secs(late))).unwrap();
                assert_eq!(decided, Due { fire: Some(at), next: Some(at.plus(day)) });
            }
            // three days later
            let decided = due(&row, at.plus(day * 3 + Duration::from_secs(60))).unwrap();
            assert_eq!(decided, Due { fire, next: Some(at.plus(day * 4)) });
        }
    }
}
