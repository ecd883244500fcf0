//! Plans of runs, read once: a plan never changes after its run was made, and every end of a job needs it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use dialects::plan::Plan;
use kernel::{Code, Error, Result, RunId};
use moka::sync::Cache;
use serde_json::Value;
use store::Q;
use store::run::run_plan_text;

/// Most bytes of plans (as JSON text) that are kept.
const ROOM: u64 = 16 << 20;
/// A run that nobody looked at for this long is read again.
const IDLE: Duration = Duration::from_secs(300);

/// A plan and the contexts its run was made with (`github`, `inputs`, `vars`).
#[derive(Clone)]
pub struct Planned {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Contexts by name.
    pub contexts: Arc<Value>,
    size: u32,
}

// of the process and not of an instance, because ids are unique and what they name is constant
static PLANS: LazyLock<Cache<RunId, Planned>> =
    LazyLock::new(|| Cache::builder().max_capacity(ROOM).weigher(|_, p: &Planned| p.size).time_to_idle(IDLE).build());

/// The plan of a run.
///
/// # Errors
/// `not_found`; the database's; `internal` for a plan that cannot be read.
pub async fn plan_of(q: impl Into<Q<'_>>, run: RunId) -> Result<Planned> {
    if let Some(planned) = PLANS.get(&run) {
        return Ok(planned);
    }
    let (plan, contexts) = run_plan_text(q, run).await?.ok_or_else(|| Error::not_found("run"))?;
    // a run whose file has errors has none
    if plan == "null" {
        return Err(Error::not_found("plan"));
    }
    let planned = Planned {
        size: u32::try_from(plan.len() + contexts.len()).unwrap_or(u32::MAX),
        plan: Arc::new(serde_json::from_str(&plan).map_err(Error::internal)?),
        contexts: Arc::new(serde_json::from_str(&contexts).map_err(Error::internal)?),
    };
    PLANS.insert(run, planned.clone());
    Ok(planned)
}

/// As [`plan_of`]; none for a run that was made without a plan, because its file has errors.
///
/// # Errors
/// The database's.
pub async fn look(db: &store::Db, run: RunId) -> Result<Option<Planned>> {
    match plan_of(db, run).await {
        Ok(planned) => Ok(Some(planned)),
        Err(e) if e.is(Code::NotFound) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Lets go of the plan of a run that has ended.
pub fn forget(run: RunId) {
    PLANS.invalidate(&run);
}
