//! The outbox: every event, in an order that no reader can miss a part of.
//!
//! Order is `(xid, seq)`. On PostgreSQL a lower `seq` may be committed after a higher one; reading only what lies below
//! the oldest running transaction, in the order of transaction ids, never steps over a row. SQLite has one writer, its
//! `xid` is 0.

use std::fmt;
use std::str::FromStr;

use kernel::{Code, Error, Event, EventId, ProjectId, Result, UserId};

use crate::db::{Db, Tx};
use crate::{Row, args, sql};

/// Where a reader of the outbox stands: after this row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Position {
    xid: i64,
    seq: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.xid, self.seq)
    }
}

impl FromStr for Position {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::new(Code::InvalidCursor, "not a position of the event feed");
        let (xid, seq) = text.split_once('.').ok_or_else(bad)?;
        Ok(Self { xid: xid.parse().map_err(|_| bad())?, seq: seq.parse().map_err(|_| bad())? })
    }
}

fn event_from(row: &Row) -> Result<(Position, Event)> {
    let event = Event {
        id: row.get::<EventId>("id")?,
        time: row.get("time")?,
        actor: row.get::<Option<UserId>>("account_id")?,
        project: row.get::<Option<ProjectId>>("project_id")?,
        data: row.json("data")?,
    };
    Ok((Position { xid: row.get("xid")?, seq: row.get("seq")? }, event))
}

impl Tx {
    /// Writes an event to the outbox together with the work that follows from it.
    ///
    /// # Errors
    /// The database's.
    pub async fn emit(&mut self, event: &Event) -> Result<()> {
        let data = serde_json::to_string(&event.data).map_err(Error::internal)?;
        self.exec(
            sql!("INSERT INTO event (id, time, type, project_id, account_id, data) VALUES ($1, $2, $3, $4, $5, $6)"),
            args![event.id, event.time, event.data.kind(), event.project, event.actor, data],
        )
        .await?;
        self.wake("event");
        if let Some(flow) = self.flow() {
            for mut work in flow(event) {
                work.event = Some(event.id);
                work.project = work.project.or(event.project);
                self.enqueue(work).await?;
            }
        }
        Ok(())
    }
}

/// Events after `position`, oldest first, at most `limit`; all projects or one.
///
/// # Errors
/// The database's.
pub async fn event_list(db: &Db, position: Position, project: Option<ProjectId>, limit: i64) -> Result<Vec<(Position, Event)>> {
    let below = crate::dialect::oldest_running(db).await?;
    let rows = match project {
        None => {
            db.all(
                sql!("SELECT * FROM event WHERE (xid, seq) > ($1, $2) AND xid < $3 ORDER BY xid, seq LIMIT $4"),
                args![position.xid, position.seq, below, limit],
            )
            .await?
        }
        Some(project) => {
            db.all(
                sql!("SELECT * FROM event WHERE project_id = $5 AND (xid, seq) > ($1, $2) AND xid < $3 ORDER BY xid, seq LIMIT $4"),
                args![position.xid, position.seq, below, limit, project],
            )
            .await?
        }
    };
    rows.iter().map(event_from).collect()
}

/// The newest events of a project first, before `position` when given.
///
/// # Errors
/// The database's.
pub async fn event_recent(db: &Db, project: ProjectId, before: Option<Position>, limit: i64) -> Result<Vec<(Position, Event)>> {
    let before = before.unwrap_or(Position { xid: i64::MAX, seq: i64::MAX });
    let rows = db
        .all(
            sql!("SELECT * FROM event WHERE project_id = $1 AND (xid, seq) < ($2, $3) ORDER BY xid DESC, seq DESC LIMIT $4"),
            args![project, before.xid, before.seq, limit],
        )
        .await?;
    rows.iter().map(event_from).collect()
}

/// The end of the feed: where a reader starts that wants only what is to come.
///
/// # Errors
/// The database's.
pub async fn event_end(db: &Db) -> Result<Position> {
    let row = db.opt(sql!("SELECT xid, seq FROM event ORDER BY xid DESC, seq DESC LIMIT 1"), vec![]).await?;
    row.map_or(Ok(Position::default()), |r| Ok(Position { xid: r.get("xid")?, seq: r.get("seq")? }))
}
