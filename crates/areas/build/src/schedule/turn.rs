//! Turns in a group in which all keep their turn: one at a time, in the order that the group's mode says.
//!
//! Must not know: groups in which the newest takes the place of those that wait (`advance`).

use kernel::{JobId, Result, RunId};
use store::Tx;
use store::job::{JobRow, job_group};
use store::job_environment::resource_group_get;

use super::advance::State;

/// Begins the names of resource groups, apart from the groups of other dialects.
pub(crate) const RESOURCE: &str = "resource/";

/// What decides about a job's turn.
#[derive(Clone, Copy, Debug)]
struct Place {
    run: RunId,
    id: JobId,
    /// Do only the others of the group hold it?
    ready: bool,
}

impl From<&JobRow> for Place {
    fn from(j: &JobRow) -> Self {
        Self { run: j.run, id: j.id, ready: j.cell.is_some() }
    }
}

/// In which order the jobs of a resource group take their turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As they became ready.
    #[default]
    Unordered,
    /// Those of older runs first, also when they are not ready yet.
    OldestFirst,
    /// Those of newer runs first, also when they are not ready yet.
    NewestFirst,
    /// Of those that are ready those of newer runs first.
    NewestReadyFirst,
}

impl Mode {
    /// All of them, by their names.
    pub(crate) const ALL: [(&'static str, Mode); 4] = [
        ("unordered", Mode::Unordered),
        ("oldest_first", Mode::OldestFirst),
        ("newest_first", Mode::NewestFirst),
        ("newest_ready_first", Mode::NewestReadyFirst),
    ];

    /// From its name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode)
    }

    /// Does `other`, which waits too, come before `me`?
    fn before(self, other: Place, me: Place) -> bool {
        let ready = other.ready;
        // within a run nobody waits for what is not ready: it may wait for this very job
        if other.run == me.run || self == Mode::Unordered {
            return ready && other.id < me.id;
        }
        match self {
            Mode::Unordered => false,
            Mode::OldestFirst => other.run < me.run,
            Mode::NewestFirst => other.run > me.run,
            Mode::NewestReadyFirst => ready && other.run > me.run,
        }
    }
}

/// Why a job must wait for its turn, if it must.
pub(super) async fn wait(tx: &mut Tx, state: &State, index: usize, group: &str) -> Result<Option<String>> {
    let me = &state.jobs[index];
    let mut others = job_group(tx, state.run.project, group).await?;
    others.retain(|j| j.id != me.id);
    let mode = match group.strip_prefix(RESOURCE) {
        Some(name) if !others.is_empty() => {
            let said = resource_group_get(&mut *tx, state.run.project, name).await?;
            said.and_then(|g| Mode::parse(&g.mode)).unwrap_or_default()
        }
        _ => Mode::default(),
    };
    let held = others.iter().any(|j| j.state != "waiting" || mode.before(j.into(), me.into()));
    Ok(held.then(|| format!("waits for its turn in the group `{group}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_the_mode() {
        let (old, new) = (RunId::new(), RunId::new());
        let row = |run: RunId, ready: bool| Place { run, id: JobId::new(), ready };
        let (of_old, of_new, planned_old, planned_new) = (row(old, true), row(new, true), row(old, false), row(new, false));
        for (mode, other, me, before) in [
            (Mode::Unordered, of_old, of_new, true),
            (Mode::Unordered, of_new, of_old, false),
            (Mode::Unordered, planned_old, of_new, false),
            (Mode::OldestFirst, planned_old, of_new, true),
            (Mode::OldestFirst, of_new, of_old, false),
            (Mode::NewestFirst, planned_new, of_old, true),
            (Mode::NewestFirst, of_old, of_new, false),
            (Mode::NewestReadyFirst, planned_new, of_old, false),
            (Mode::NewestReadyFirst, of_new, of_old, true),
            // it may need this very job
            (Mode::NewestFirst, planned_new, of_new, false),
            (Mode::OldestFirst, planned_old, of_old, false),
        ] {
            assert_eq!(mode.before(other, me), before, "{mode:?}");
        }
        assert_eq!(Mode::parse("newest_first"), Some(Mode::NewestFirst));
        assert_eq!(Mode::parse("random"), None);
    }
}
