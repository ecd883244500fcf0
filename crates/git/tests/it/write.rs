//! Commits made by the service.

use git::read::Signature;
use git::write::{Action, Expected, NewCommit};
use git::{GitError, Oid};
use kernel::{RefName, RepoPath, Timestamp};

use crate::server::{Server, main_branch};

fn path(text: &str) -> RepoPath {
    RepoPath::parse(text).unwrap()
}

fn create(at: &str, content: &str) -> Action {
    Action::Create { path: path(at), content: content.into(), executable: false }
}

fn request(actions: Vec<Action>) -> NewCommit {
    let who = Signature { name: "Ann <x>\n".into(), email: "ann@example.org".into(), time: Timestamp(1_700_000_000_000) };
    NewCommit {
        branch: main_branch(),
        start: None,
        expected: Expected::Any,
        actions,
        author: who.clone(),
        committer: who,
        message: "title\r\n\r\nbody\n\n".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_then_edits() {
    let s = Server::start().await;
    let mut actions: Vec<Action> = (0..200).map(|i| create(&format!("src/m{}/f{i}.rs", i % 7), &format!("// {i}\n"))).collect();
    // names that sort differently as files and as directories
    actions.extend([create("a.b", "1"), create("a/x", "2"), create("a-b", "3"), create("a0", "4")]);
    actions.push(Action::Create { path: path("run.sh"), content: b"#!/bin/sh\n".to_vec(), executable: true });
    let first = s.repository.commit(request(actions), &*s.record).await.unwrap();
    assert_eq!((first.title(), first.author.name.as_str()), ("title", "Ann x"));
    s.git(s.root.path(), &["clone", "-q", &s.url(), "c"]).await;
    let copy = s.path("c");
    assert_eq!(s.git(&copy, &["ls-files"]).await.lines().count(), 205);
    assert!(s.git(&copy, &["ls-files", "-s", "run.sh"]).await.starts_with("100755"));

    let second = s
        .repository
        .commit(
            request(vec![
                Action::Update { path: path("run.sh"), content: b"#!/bin/sh\necho\n".to_vec() },
                Action::Move { from: path("a/x"), to: path("a/y/z"), content: None },
                Action::Delete { path: path("a.b") },
                create("a.b/now-a-directory", "5"),
            ]),
            &*s.record,
        )
        .await
        .unwrap();
    assert_eq!(second.parents, [first.oid]);
    s.git(&copy, &["pull", "-q"]).await;
    assert_eq!(std::fs::read_to_string(copy.join("a/y/z")).unwrap(), "2");
    assert!(copy.join("a.b/now-a-directory").exists() && !copy.join("a/x").exists());
    assert!(s.git(&copy, &["ls-files", "-s", "run.sh"]).await.starts_with("100755"));
    s.fsck().await;

    let seen: Vec<_> = s.record.finished.lock().iter().flat_map(|o| o.updates.clone()).collect();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].old.as_deref(), Some(first.oid.to_string().as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused() {
    let s = Server::start().await;
    let work = s.work("work").await;
    std::os::unix::fs::symlink("/etc", work.join("link")).unwrap();
    s.change(&work, "dir/file", "x\n").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    let update = |p: &str| Action::Update { path: path(p), content: b"evil".to_vec() };
    for (actions, why) in [
        (vec![create("link/passwd", "evil")], "symbolic link"),
        (vec![update("link")], "symbolic link"),
        (vec![create("README.md", "again")], "exists already"),
        (vec![create("README.md/x", "x")], "no directory"),
        (vec![create("dir", "x")], "exists already"),
        (vec![update("nothing")], "does not exist"),
        (vec![Action::Delete { path: path("dir") }], "no file"),
        (vec![Action::Move { from: path("nothing"), to: path("x"), content: None }], "does not exist"),
        (vec![], "nothing would change"),
        (vec![Action::Update { path: path("dir/file"), content: b"x\n".to_vec() }], "nothing would change"),
    ] {
        let error = s.repository.commit(request(actions), &*s.record).await.unwrap_err();
        assert!(matches!(&error, GitError::Invalid(text) if text.contains(why)), "{error} / {why}");
    }
    let mut stale = request(vec![create("new", "x")]);
    stale.expected = Expected::At(None);
    assert!(matches!(s.repository.commit(stale, &*s.record).await, Err(GitError::Moved { .. })));
    let mut empty = request(vec![create("new", "x")]);
    empty.message = " \n".into();
    assert!(matches!(s.repository.commit(empty, &*s.record).await, Err(GitError::Invalid(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_born_and_never_under_a_file() {
    let s = Server::start().await;
    let first = s.repository.commit(request(vec![create("a", "1")]), &*s.record).await.unwrap();
    let mut topic = request(vec![create("b", "1")]);
    topic.branch = RefName::branch("topic").unwrap();
    topic.start = Some(first.oid);
    let made = s.repository.commit(topic.clone(), &*s.record).await.unwrap();
    assert_eq!(made.parents, [first.oid]);
    topic.branch = RefName::branch("topic/below").unwrap();
    assert!(matches!(s.repository.commit(topic, &*s.record).await, Err(GitError::Exists(_))));
    s.repository.set_default_branch(&RefName::branch("topic").unwrap()).await.unwrap();
    assert_eq!(s.repository.refs().await.unwrap().default_branch(), "topic");
    assert_eq!(s.repository.read(|r| r.resolve("HEAD")).await.unwrap().commit, made.oid);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_at_once_all_land() {
    let s = std::sync::Arc::new(Server::start().await);
    let tasks: Vec<_> = (0..20)
        .map(|i| {
            let s = s.clone();
            tokio::spawn(async move { s.repository.commit(request(vec![create(&format!("f{i}"), "x")]), &*s.record).await.unwrap().oid })
        })
        .collect();
    let mut made: Vec<Oid> = Vec::new();
    for task in tasks {
        made.push(task.await.unwrap());
    }
    let page = s.repository.read(|r| r.log(r.resolve("")?.commit, None, None, 100)).await.unwrap();
    assert_eq!(page.commits.len(), 20);
    // recorded in the order of the moves
    let order: Vec<_> = s.record.finished.lock().iter().flat_map(|o| o.updates.clone()).filter_map(|u| u.new).collect();
    let history: Vec<_> = page.commits.iter().map(|c| c.parents.len()).collect();
    assert_eq!(order.len(), 20);
    assert_eq!(history.iter().filter(|n| **n == 0).count(), 1);
    for pair in s.record.finished.lock().windows(2) {
        assert_eq!(pair[0].updates[0].new, pair[1].updates[0].old);
    }
}
