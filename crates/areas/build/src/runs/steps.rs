//! Steps of jobs as the API shows them.

use kernel::{JobId, Timestamp};
use serde::Serialize;
use store::job::StepRow;
use utoipa::ToSchema;

/// A step.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Step {
    /// Place among the steps.
    pub index: i64,
    /// Shown name.
    pub name: String,
    /// `pending`, `running`, `completed`.
    #[schema(value_type = crate::words::StepState)]
    pub state: String,
    /// Result after `continue-on-error`.
    #[schema(value_type = Option<crate::words::Conclusion>)]
    pub conclusion: Option<String>,
    /// Result before it.
    #[schema(value_type = Option<crate::words::Conclusion>)]
    pub outcome: Option<String>,
    /// When it began.
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    pub finished_at: Option<Timestamp>,
    /// First byte in the log.
    pub log_from: Option<i64>,
    /// After its last byte.
    pub log_to: Option<i64>,
    /// Of its process.
    pub exit_code: Option<i64>,
    /// The earlier attempt that ran it, when this one took it over; its lines are in that one's log.
    #[schema(value_type = Option<String>)]
    pub taken_from: Option<JobId>,
    /// What it used of its machine; none while it runs, and where nothing is known.
    pub usage: Option<StepUsage>,
}

/// What a step used of its machine; what is not known is absent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepUsage {
    /// Time of processors in user mode, in milliseconds.
    pub cpu_user_ms: Option<i64>,
    /// Time of processors in the kernel, in milliseconds.
    pub cpu_system_ms: Option<i64>,
    /// The most memory at a time, without the page cache.
    pub memory_peak_bytes: Option<i64>,
    /// Read from disks.
    pub read_bytes: Option<i64>,
    /// Written for disks.
    pub written_bytes: Option<i64>,
}

impl StepUsage {
    fn of(u: store::job::StepUsage) -> Option<Self> {
        (u != store::job::StepUsage::default()).then_some(Self {
            cpu_user_ms: u.cpu_user_ms,
            cpu_system_ms: u.cpu_system_ms,
            memory_peak_bytes: u.memory_peak_bytes,
            read_bytes: u.read_bytes,
            written_bytes: u.written_bytes,
        })
    }
}

impl From<StepRow> for Step {
    fn from(s: StepRow) -> Self {
        Self {
            index: s.index,
            name: s.name,
            state: s.state,
            conclusion: s.conclusion,
            outcome: s.outcome,
            started_at: s.started_at,
            finished_at: s.finished_at,
            log_from: s.log_from,
            log_to: s.log_to,
            exit_code: s.exit_code,
            taken_from: s.taken_from,
            usage: StepUsage::of(s.usage),
        }
    }
}
