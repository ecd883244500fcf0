//! Every move of a ref is one event, whoever moved it and whatever crashed in between.
//!
//! Before git may move a ref, an open push names it. When it has moved, one transaction moves the row of the ref, writes
//! the event and closes the push; only then does the client hear of it. A push that was left open is looked into by
//! [`reconcile`]: what the repository has and the rows have not becomes the missing event. Rows move by
//! compare-and-swap, so two who record the same move write one event, and the events of a ref form a chain without gaps.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::time::Duration;

use git::serve::{Command, Outcome, PushHook};
use git::{Repositories, Repository};
use kernel::event::RefUpdate;
use kernel::{Code, Context, Error, Event, EventData, PushId, RefName, Result, Timestamp, UserId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use store::git_ref::{git_ref_get, git_ref_move};
use store::push::{PushRow, push_close, push_forget, push_open, push_orphans, push_prune, push_renew};
use tokio::task::AbortHandle;
use web_kit::App;

/// How long a push counts as alive without being renewed.
const LEASE: Duration = Duration::from_secs(60);
/// How long closed pushes are kept for looking back.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Which instance this is, and which run of it: the place is the same after a restart, the run is not.
struct Instance {
    place: String,
    run: String,
}

/// Pushes of earlier runs at this place are nobody's any more.
fn instance(app: &App) -> &'static Instance {
    static INSTANCE: OnceLock<Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let dir = std::path::absolute(&app.config().data_dir).unwrap_or_else(|_| app.config().data_dir.clone());
        let place = format!("{}:{}#", host.trim(), dir.display());
        Instance { run: format!("{place}{}", kernel::RequestId::new()), place }
    })
}

/// Records what one writer does to one repository. Pass it to [`Repository::receive_pack`] or [`Repository::commit`].
pub struct Recorder {
    app: App,
    repository: Repository,
    account: Option<UserId>,
    /// Of a request that may be repeated.
    ctx: Option<Context>,
    open: Mutex<Option<Open>>,
}

/// The receipt of a commit: which push, and what it would make of the branch.
#[derive(Debug, Serialize, Deserialize)]
pub struct Begun {
    /// The push.
    pub push: PushId,
    /// The commit, in hex.
    pub commit: String,
}

/// A push of ours that is under way; its lease is renewed as long as this lives.
struct Open {
    id: PushId,
    renewal: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Recorder {
    /// For what `account` does; none for the service itself.
    pub fn new(app: &App, repository: &Repository, account: Option<UserId>) -> Self {
        Self { app: app.clone(), repository: repository.clone(), account, ctx: None, open: Mutex::default() }
    }

    /// For a commit that a request asks for; a repeated one finds [`Begun`].
    pub fn requested(app: &App, repository: &Repository, ctx: &Context) -> Self {
        Self { ctx: Some(ctx.clone()), ..Self::new(app, repository, ctx.user()) }
    }

    async fn put(&self, row: &PushRow, commands: &[Command]) -> Result<()> {
        let commit = commands.first().and_then(|c| c.new).map(git::Oid::to_hex).unwrap_or_default();
        let receipt = match &self.ctx {
            Some(ctx) => self.app.receipt(ctx, &Begun { push: row.id, commit })?,
            None => None,
        };
        if receipt.is_none() {
            return push_open(self.app.db(), row).await;
        }
        let mut tx = self.app.db().begin().await?;
        push_open(&mut tx, row).await?;
        tx.keep(receipt).await?;
        tx.commit().await
    }
}

/// The detail of an error as a reason on somebody's terminal.
fn reason(error: Error) -> String {
    tracing::warn!(error = ?error, "a push could not be recorded");
    error.detail
}

#[async_trait::async_trait]
impl PushHook for Recorder {
    async fn begin(&self, commands: &[Command]) -> std::result::Result<(), String> {
        let now = Timestamp::now();
        let row = PushRow {
            id: PushId::new(),
            project: self.repository.project(),
            account: self.account,
            instance: instance(&self.app).run.clone(),
            refs: commands.iter().map(|c| c.name.clone()).collect(),
            created_at: now,
            lease_until: now.plus(LEASE),
            closed_at: None,
        };
        self.put(&row, commands).await.map_err(reason)?;
        let (db, id) = (self.app.db().clone(), row.id);
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LEASE / 3).await;
                if let Err(error) = push_renew(&db, id, Timestamp::now().plus(LEASE)).await {
                    tracing::warn!(push = %id, error = ?error, "the lease of a push was not renewed");
                }
            }
        });
        *self.open.lock() = Some(Open { id, renewal: renewal.abort_handle() });
        Ok(())
    }

    async fn finish(&self, outcome: &Outcome) -> std::result::Result<(), String> {
        let open = self.open.lock().take();
        let Some(open) = open else { return Err("the push was not begun".into()) };
        if outcome.updates.is_empty() {
            return push_forget(self.app.db(), open.id).await.map_err(reason);
        }
        let push = Push { id: open.id, account: self.account };
        record(&self.app, &self.repository, &push, &outcome.updates, true).await.map_err(reason)
    }
}

struct Push {
    id: PushId,
    account: Option<UserId>,
}

/// Puts moves on record that are not there yet, with one event for all of them.
async fn record(app: &App, repository: &Repository, push: &Push, updates: &[RefUpdate], close: bool) -> Result<()> {
    let project = repository.project();
    let born = first_branch(repository, updates).await?;
    let now = Timestamp::now();
    let mut tx = app.db().begin().await?;
    let mut moved = Vec::new();
    for update in updates {
        let before = git_ref_get(&mut tx, project, &update.name).await?;
        if before == update.new {
            continue;
        }
        if !git_ref_move(&mut tx, project, &update.name, before.as_deref(), update.new.as_deref(), now).await? {
            return Err(Error::new(Code::Unavailable, "somebody else records the same push"));
        }
        // a ref that no event told of yet starts its chain where the writer found it
        moved.push(RefUpdate { old: before.or_else(|| update.old.clone()), ..update.clone() });
    }
    if let Some(branch) = &born {
        store::project::project_default_branch(&mut tx, project, branch.short()).await?;
    }
    if !moved.is_empty() {
        let row = store::project::project_get(&mut tx, project).await?.ok_or_else(|| Error::not_found("project"))?;
        let data = EventData::Pushed { push: push.id, updates: moved, default_branch: row.default_branch };
        tx.emit(&Event::new(push.account, Some(project), data)).await?;
        store::project::project_touch(&mut tx, project, now).await?;
    }
    if close {
        push_close(&mut tx, push.id, now).await?;
    }
    tx.commit().await
}

/// Somebody's first push may bring `master` where `main` was expected: then that is the default branch.
async fn first_branch(repository: &Repository, updates: &[RefUpdate]) -> Result<Option<RefName>> {
    let refs = repository.refs().await?;
    if refs.head_entry().is_some() {
        return Ok(None);
    }
    let mut born = updates
        .iter()
        .filter(|u| u.old.is_none() && u.new.is_some())
        .filter_map(|u| RefName::parse(&u.name).ok())
        .filter(RefName::is_branch);
    let first = born.next();
    let Some(branch) = first.map(|f| born.find(|b| matches!(b.short(), "main" | "master")).unwrap_or(f)) else { return Ok(None) };
    repository.set_default_branch(&branch).await?;
    Ok(Some(branch))
}

/// Looks into pushes that were left open, by a crash or a database that went away.
///
/// # Errors
/// The database's.
pub async fn reconcile(app: App) -> Result<()> {
    let repositories = app.part::<Repositories>()?;
    let now = Timestamp::now();
    let mut busy = HashSet::new();
    let me = instance(&app);
    for row in push_orphans(app.db(), &me.place, &me.run, now, 1000).await? {
        let repository = match repositories.get(row.project) {
            Ok(repository) => repository,
            // deleted, or on the disk of another instance that will see to it
            Err(git::GitError::NotFound(_)) if row.lease_until.plus(KEPT) > now => continue,
            Err(git::GitError::NotFound(_)) => {
                push_forget(app.db(), row.id).await?;
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        // a git process can outlive the instance that started it: look again until it must have ended
        let close = row.lease_until < now;
        if let Err(error) = catch_up(&app, &repository, &row, close).await {
            tracing::warn!(project = %row.project, push = %row.id, error = ?error, "a push left open could not be recorded yet");
            busy.insert(row.project);
        }
    }
    metrics::gauge!("git_pushes_unrecorded").set(busy.len() as f64);
    push_prune(app.db(), now.minus(KEPT)).await?;
    Ok(())
}

async fn catch_up(app: &App, repository: &Repository, row: &PushRow, close: bool) -> Result<()> {
    let _turn = repository.writer_turn().await;
    let refs = repository.refs().await?;
    let mut updates = Vec::new();
    for name in &row.refs {
        let old = git_ref_get(app.db(), row.project, name).await?;
        let new = refs.get(name).map(|r| r.oid);
        if old == new.map(git::Oid::to_hex) {
            continue;
        }
        let forced = match (old.as_deref().and_then(|o| git::Oid::parse(o).ok()), new) {
            (Some(old), Some(new)) => repository.rewrites(old, new).await,
            _ => false,
        };
        updates.push(RefUpdate { name: name.clone(), old, new: new.map(git::Oid::to_hex), forced });
    }
    if updates.is_empty() && !close {
        return Ok(());
    }
    if !updates.is_empty() {
        tracing::info!(project = %row.project, push = %row.id, refs = updates.len(), "recorded a push that was left open");
    }
    record(app, repository, &Push { id: row.id, account: row.account }, &updates, close).await
}
