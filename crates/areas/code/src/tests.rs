//! The consumers over a real repository and database: whatever happens on the way, the end is what a fresh start gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use git::serve::{Command, Outcome, PushHook};
use git::write::{Action, Expected, NewCommit};
use git::{Oid, Repositories, Repository, Signature};
use kernel::{ProjectId, RefName, RepoPath, Timestamp, Visibility};
use store::metric::{FunctionSort, function_list, total_list};
use store::project::ProjectRow;
use store::{Db, DbOptions};
use tempfile::TempDir;
use web_kit::secret::Key;
use web_kit::{App, AppBuilder, Config};

use super::*;
use crate::follow::{Consumer, FileChange, Now, Way};

struct Quiet;

#[async_trait::async_trait]
impl PushHook for Quiet {
    async fn begin(&self, _: &[Command]) -> Result<(), String> {
        Ok(())
    }
    async fn finish(&self, _: &Outcome) -> Result<(), String> {
        Ok(())
    }
}

struct World {
    app: App,
    project: ProjectId,
    repository: Repository,
    files: BTreeMap<String, String>,
    dir: TempDir,
}

async fn app(dir: &TempDir, name: &str, repositories: &Repositories) -> App {
    let db = Db::open(&DbOptions::new(format!("sqlite:{}", dir.path().join(name).display()))).await.unwrap();
    let index: SearchIndex = ::search::open(None, &dir.path().join(format!("{name}-index"))).unwrap();
    let config = Config::from_pairs(&BTreeMap::new()).unwrap();
    AppBuilder::new(db, config, Key::from_hex(&"0".repeat(64)).unwrap()).with(index).with(repositories.clone()).build()
}

async fn project_row(app: &App, id: ProjectId) {
    let now = Timestamp::now();
    let row = ProjectRow {
        id,
        path: "a/b".into(),
        namespace: "a".into(),
        name: "b".into(),
        owner: None,
        description: String::new(),
        visibility: Visibility::Public,
        language: None,
        topics: Vec::new(),
        default_branch: "main".into(),
        template: None,
        state: "active".into(),
        archived_at: None,
        deleted_at: None,
        created_at: now,
        updated_at: now,
        last_activity_at: now,
        version: 1,
    };
    let mut tx = app.db().begin().await.unwrap();
    store::project::project_create(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
}

impl World {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let repositories = Repositories::open(&dir.path().join("git"), git::Options::default()).await.unwrap();
        let app = app(&dir, "db", &repositories).await;
        let project = ProjectId::new();
        project_row(&app, project).await;
        let repository = repositories.create(project, &RefName::branch("main").unwrap()).await.unwrap();
        Self { app, project, repository, files: BTreeMap::new(), dir }
    }

    /// A commit on `branch` from its head or `start`, with files set or removed.
    async fn commit(&mut self, branch: &str, start: Option<Oid>, changes: &[(&str, Option<&str>)]) -> Oid {
        let path = |p: &str| RepoPath::parse(p).unwrap();
        let mut actions = Vec::new();
        for (name, content) in changes {
            let there = self.files.contains_key(*name);
            match content {
                Some(text) if there => actions.push(Action::Update { path: path(name), content: text.as_bytes().to_vec() }),
                Some(text) => actions.push(Action::Create { path: path(name), content: text.as_bytes().to_vec(), executable: false }),
                None => actions.push(Action::Delete { path: path(name) }),
            }
            match content {
                Some(text) => self.files.insert((*name).to_owned(), (*text).to_owned()),
                None => self.files.remove(*name),
            };
        }
        let who = Signature { name: "T".into(), email: "t@example.test".into(), time: Timestamp::now() };
        let new = NewCommit {
            branch: RefName::branch(branch).unwrap(),
            start,
            expected: Expected::Any,
            actions,
            author: who.clone(),
            committer: who,
            message: "m".into(),
        };
        self.repository.commit(new, &Quiet).await.unwrap().oid
    }

    async fn update(&self) {
        code_update(&self.app, self.project).await.unwrap();
    }

    /// Everything that is known, but for which commit last touched a file when.
    async fn known(&self, app: &App) -> String {
        let db = app.db();
        let files: Vec<_> = store::file::file_list(db, self.project, "", "", 10_000)
            .await
            .unwrap()
            .into_iter()
            .map(|f| (f.path, f.oid, f.size, f.language))
            .collect();
        let totals = total_list(db, self.project).await.unwrap();
        let functions = function_list(db, self.project, FunctionSort::Lines, None, None, 10_000).await.unwrap();
        let named = store::dependency::dependency_all(db, self.project, 10_000).await.unwrap();
        let index = app.part::<SearchIndex>().unwrap();
        let mut found: Vec<_> = index
            .search(::search::Query { limit: 10_000, ..::search::Query::text("e", vec![self.project]) })
            .await
            .unwrap()
            .hits
            .into_iter()
            .map(|h| (h.path, h.oid, h.lines))
            .collect();
        found.sort();
        let stats = index.stats(self.project).await.unwrap();
        format!("{files:#?}\n{totals:#?}\n{functions:#?}\n{named:#?}\n{found:#?}\n{}", stats.files)
    }

    /// What a database and an index that know nothing come to.
    async fn fresh(&self, name: &str) -> String {
        let repositories = self.app.part::<Repositories>().unwrap();
        let app = app(&self.dir, name, repositories).await;
        project_row(&app, self.project).await;
        code_update(&app, self.project).await.unwrap();
        self.known(&app).await
    }

    async fn markers(&self) -> Vec<Option<String>> {
        let mut out = Vec::new();
        for consumer in [inventory::CONSUMER, quality::CONSUMER, search::CONSUMER] {
            let p = progress_get(self.app.db(), self.project, consumer).await.unwrap();
            assert_eq!(p.target, None);
            out.push(p.done);
        }
        out
    }
}

const RUST: &str = "// hello\nfn main() {\n    if a { b() }\n}\n";

#[tokio::test]
async fn a_push_is_worked_in_and_told_once() {
    let mut w = World::new().await;
    // nothing there yet
    w.update().await;
    assert_eq!(w.markers().await, [None, None, None]);
    let first = w
        .commit(
            "main",
            None,
            &[("src/main.rs", Some(RUST)), ("Cargo.toml", Some("[dependencies]\nserde = \"1\"\n")), ("tool", Some("#!/bin/sh\n"))],
        )
        .await;
    w.update().await;
    let second = w.commit("main", None, &[("README.md", Some("# Hello\n"))]).await;
    w.update().await;
    w.update().await;
    assert_eq!(w.markers().await, vec![Some(second.to_hex()); 3]);
    let files = store::file::file_list(w.app.db(), w.project, "", "", 10).await.unwrap();
    let shown: Vec<_> = files.iter().map(|f| (f.path.as_str(), f.language.as_deref(), f.last_commit.clone())).collect();
    assert_eq!(
        shown,
        [
            ("Cargo.toml", Some("TOML"), Some(first.to_hex())),
            ("README.md", Some("Markdown"), Some(second.to_hex())),
            ("src/main.rs", Some("Rust"), Some(first.to_hex())),
            ("tool", Some("Shell"), Some(first.to_hex())),
        ]
    );
    let project = store::project::project_get(w.app.db(), w.project).await.unwrap().unwrap();
    assert_eq!(project.language.as_deref(), Some("Rust"));
    let events = store::event::event_list(w.app.db(), store::event::Position::default(), Some(w.project), 100).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .filter_map(|(_, e)| match &e.data {
            EventData::CodeAnalyzed { commit, files_changed } => Some((commit.clone(), *files_changed)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(first.to_hex(), 3), (second.to_hex(), 1)]);
    assert_eq!(w.known(&w.app).await, w.fresh("again").await);
}

fn dice(seed: &mut u64, n: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % n
}

#[tokio::test]
async fn many_pushes_come_to_what_a_fresh_start_gives() {
    let mut w = World::new().await;
    let mut seed = 7;
    for round in 0..25 {
        let mut changes: BTreeMap<String, Option<String>> = BTreeMap::new();
        for _ in 0..=dice(&mut seed, 8) {
            let ext = ["rs", "py", "md", "toml", "bin"][dice(&mut seed, 5) as usize];
            let path = format!("d{}/f{}.{ext}", dice(&mut seed, 3), dice(&mut seed, 6));
            let text = match ext {
                "bin" => "\0e".to_owned(),
                _ => format!("{RUST}def f{}(): return 1 if x else 2\n", dice(&mut seed, 3)),
            };
            let gone = w.files.contains_key(&path) && dice(&mut seed, 3) == 0;
            if gone || w.files.get(&path) != Some(&text) {
                changes.insert(path, (!gone).then_some(text));
            }
        }
        if changes.is_empty() {
            continue;
        }
        let list: Vec<(&str, Option<&str>)> = changes.iter().map(|(p, t)| (p.as_str(), t.as_deref())).collect();
        w.commit("main", None, &list).await;
        if round % 3 != 1 {
            w.update().await;
        }
    }
    w.update().await;
    assert_eq!(w.known(&w.app).await, w.fresh("fresh").await);
}

/// Begins a way and works in one file of it, as a crash would leave it.
async fn half<C: Consumer>(w: &World, mut consumer: C, from: Option<Oid>, to: Oid, path: &str) {
    let way = Way { project: w.project, repository: w.repository.clone(), from, to, target: to.to_hex() };
    consumer.begin(&w.app, &way).await.unwrap();
    let wanted = path.to_owned();
    let entry = w
        .repository
        .read(move |r| r.entry(r.commit(to)?.tree, &RepoPath::parse(&wanted).map_err(|e| git::GitError::Invalid(e.detail))?))
        .await
        .unwrap();
    let now = Some(Now { oid: entry.oid, size: 10, symlink: false });
    consumer.batch(&w.app, &way, &[FileChange { path: path.into(), now }]).await.unwrap();
}

#[tokio::test]
async fn a_crash_on_the_way_and_a_rewritten_branch() {
    let mut w = World::new().await;
    let one = w.commit("main", None, &[("a.rs", Some("fn e() {}\n")), ("b.rs", Some("fn e() {}\n"))]).await;
    w.update().await;
    let two = w.commit("main", None, &[("a.rs", Some(RUST)), ("new.rs", Some(RUST))]).await;
    half(&w, inventory::consumer(), Some(one), two, "new.rs").await;
    half(&w, quality::consumer(), Some(one), two, "new.rs").await;
    half(&w, search::consumer(), Some(one), two, "new.rs").await;
    // force-push: the branch goes back and on another way; `new.rs` is in no difference of one and three
    let main = RefName::branch("main").unwrap();
    w.repository.update_refs(&[git::RefEdit { name: main, old: Some(two), new: Some(one) }]).await.unwrap();
    w.files.remove("new.rs");
    let three = w.commit("main", None, &[("c.rs", Some("fn e() {}\n"))]).await;
    w.update().await;
    assert_eq!(w.markers().await, vec![Some(three.to_hex()); 3]);
    assert_eq!(w.known(&w.app).await, w.fresh("fresh").await);
}

#[tokio::test]
async fn lost_commits_and_another_branch_and_none() {
    let mut w = World::new().await;
    let one = w.commit("main", None, &[("a.rs", Some("fn e() {}\n")), ("b.md", Some("e\n"))]).await;
    w.update().await;
    // as if history had been rewritten and collected: what is done is no longer in the repository
    let lost = "1".repeat(40);
    for consumer in [inventory::CONSUMER, quality::CONSUMER] {
        let mut tx = w.app.db().begin().await.unwrap();
        progress_set(&mut tx, w.project, consumer, Some(&lost)).await.unwrap();
        tx.commit().await.unwrap();
    }
    let index = Arc::clone(w.app.part::<SearchIndex>().unwrap());
    index.apply(w.project, ::search::Batch { changes: Vec::new(), marker: Some(lost) }).await.unwrap();
    w.commit("main", None, &[("a.rs", None), ("z.rs", Some("fn e() {}\n"))]).await;
    w.update().await;
    assert_eq!(w.known(&w.app).await, w.fresh("after-loss").await);
    // another default branch
    w.files = BTreeMap::from([("a.rs".to_owned(), String::new()), ("b.md".to_owned(), String::new())]);
    w.commit("other", Some(one), &[("o.py", Some("def e(): pass\n"))]).await;
    let set = |branch: &str| store::project::ProjectChange { default_branch: Some(branch.into()), ..Default::default() };
    let mut tx = w.app.db().begin().await.unwrap();
    let row = store::project::project_get(&mut tx, w.project).await.unwrap().unwrap();
    let row = store::project::project_update(&mut tx, w.project, row.version, &set("other")).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    w.update().await;
    let files = store::file::file_list(w.app.db(), w.project, "", "", 10).await.unwrap();
    assert_eq!(files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a.rs", "b.md", "o.py"]);
    // one that does not exist
    let mut tx = w.app.db().begin().await.unwrap();
    store::project::project_update(&mut tx, w.project, row.version, &set("nowhere")).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    w.update().await;
    assert_eq!(w.markers().await, [None, None, None]);
    assert_eq!(store::file::file_count(w.app.db(), w.project).await.unwrap(), 0);
    assert_eq!(total_list(w.app.db(), w.project).await.unwrap(), []);
    code_forget(&w.app, w.project).await.unwrap();
}

#[tokio::test]
async fn a_lost_index_is_built_again() {
    let mut w = World::new().await;
    w.commit("main", None, &[("a.rs", Some("fn needle() {}\n"))]).await;
    w.update().await;
    let ctx = kernel::Context::system();
    let ask = || search::Asked { pattern: "needle".into(), regex: false, case_sensitive: false, offset: 0, limit: 10 };
    w.app.part::<SearchIndex>().unwrap().forget(w.project).await.unwrap();
    let found = search::project_search(&w.app, &ctx, &w.project.to_string(), ask()).await.unwrap();
    assert!(found.complete);
    assert_eq!(found.hits.len(), 1);
    let (found, projects) = search::search(&w.app, &ctx, ask()).await.unwrap();
    assert_eq!((found.hits.len(), projects.len()), (1, 1));
    let (found, _) = search::search(&w.app, &kernel::Context::of(kernel::Actor::Anonymous), ask()).await.unwrap();
    assert_eq!(found.hits.len(), 1);
}
