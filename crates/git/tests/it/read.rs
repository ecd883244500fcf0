//! Reading what the real client wrote.

use std::time::Duration;

use git::read::{ChangeKind, DiffLimits, LogCursor};
use git::{EntryKind, GitError};
use kernel::RepoPath;

use crate::server::Server;

fn path(text: &str) -> RepoPath {
    RepoPath::parse(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_trees_and_blobs() {
    let s = Server::start().await;
    let work = s.work("work").await;
    std::os::unix::fs::symlink("../etc", work.join("link")).unwrap();
    let tip = s.change(&work, "src/deep/a.rs", "fn a() {}\n").await;
    s.git(&work, &["tag", "-a", "-m", "t", "v1"]).await;
    s.git(&work, &["push", "-q", "origin", "main", "v1"]).await;

    for name in ["", "HEAD", "main", "refs/heads/main", "v1", "refs/tags/v1", &tip, &tip[..8]] {
        let name = name.to_owned();
        let found = s.repository.read(move |r| r.resolve(&name)).await.unwrap();
        assert_eq!(found.commit.to_string(), tip);
    }
    s.repository
        .read(|r| {
            let commit = r.resolve("main")?.commit;
            let root = r.tree(r.tree_at(commit, None)?)?;
            let kinds: Vec<_> = root.iter().map(|e| (e.name_lossy(), e.kind, e.mode_text())).collect();
            assert_eq!(
                kinds,
                [
                    ("README.md".to_owned(), EntryKind::Blob, "100644".to_owned()),
                    ("link".to_owned(), EntryKind::Symlink, "120000".to_owned()),
                    ("src".to_owned(), EntryKind::Tree, "040000".to_owned()),
                ]
            );
            let file = r.entry(r.commit(commit)?.tree, &path("src/deep/a.rs"))?;
            assert_eq!(r.blob(file.oid, 100)?.data.as_deref(), Some(&b"fn a() {}\n"[..]));
            let large = r.blob(file.oid, 5)?;
            assert_eq!((large.size, large.data), (10, None));
            // a path does not lead through a link or a file
            for bad in ["link/passwd", "README.md/x", "nothing", "src/nothing"] {
                assert!(matches!(r.entry(r.commit(commit)?.tree, &path(bad)), Err(GitError::NotFound(_))), "{bad}");
            }
            assert!(matches!(r.tree_at(commit, Some(&path("README.md"))), Err(GitError::NotFound(_))));
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_gits() {
    let s = Server::start().await;
    let work = s.work("work").await;
    for i in 0..10 {
        s.change(&work, if i % 3 == 0 { "a" } else { "dir/b" }, &format!("{i}\n")).await;
    }
    s.git(&work, &["checkout", "-q", "-b", "side", "HEAD~4"]).await;
    s.change(&work, "a", "side\n").await;
    s.change(&work, "c", "side\n").await;
    s.git(&work, &["checkout", "-q", "main"]).await;
    s.git(&work, &["merge", "-q", "-X", "ours", "--no-ff", "-m", "merge", "side"]).await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;

    for filter in [None, Some("a"), Some("dir/b"), Some("dir"), Some("c"), Some("README.md"), Some("none")] {
        let mut arguments = vec!["log", "--format=%H", "main"];
        arguments.extend(filter.iter().flat_map(|f| ["--", *f]));
        let mut theirs: Vec<String> = s.git(&work, &arguments).await.lines().map(str::to_owned).collect();
        let mut ours = Vec::new();
        let mut cursor: Option<LogCursor> = None;
        loop {
            let (from, filter) = (cursor.clone(), filter.map(path));
            let page = s.repository.read(move |r| r.log(r.resolve("main")?.commit, filter.as_ref(), from.as_ref(), 3)).await.unwrap();
            ours.extend(page.commits.iter().map(|c| c.oid.to_string()));
            let Some(next) = page.next else { break };
            // through its text, as clients send it back
            cursor = Some(LogCursor::parse(&next.to_text()).unwrap());
        }
        // equal times may come in either order
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs, "{filter:?}");
    }
    let between = s.repository.read(|r| r.commits_between(Some(r.resolve("main")?.commit), r.resolve("main")?.commit, 10)).await.unwrap();
    assert!(between.0.is_empty() && between.1);
    let old = git::Oid::parse(&s.git(&work, &["rev-parse", "main~2"]).await).unwrap();
    let want = s.git(&work, &["rev-list", "--count", "main~2..main"]).await;
    let between = s.repository.read(move |r| r.commits_between(Some(old), r.resolve("main")?.commit, 100)).await.unwrap();
    assert_eq!(between.0.len().to_string(), want);
    assert!(LogCursor::parse("zz").is_err() && LogCursor::parse("").is_err() && LogCursor::parse("abcd").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn last_commits_are_gits() {
    let s = Server::start().await;
    let work = s.work("work").await;
    for i in 0..6 {
        s.change(&work, &format!("d{}/f{i}", i % 2), &format!("{i}\n")).await;
    }
    s.git(&work, &["rm", "-q", "d0/f0"]).await;
    s.git(&work, &["commit", "-q", "-m", "rm"]).await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    for dir in [None, Some("d0"), Some("d1")] {
        let last = s
            .repository
            .read(move |r| r.last_commits(r.resolve("")?.commit, dir.map(path).as_ref(), 1000, Duration::from_secs(5)))
            .await
            .unwrap();
        assert!(last.complete);
        for (name, commit) in last.by_name {
            let name = String::from_utf8(name).unwrap();
            let full = dir.map_or(name.clone(), |d| format!("{d}/{name}"));
            assert_eq!(commit.oid.to_string(), s.git(&work, &["log", "-1", "--format=%H", "--", &full]).await, "{full}");
        }
    }
    let last = s.repository.read(move |r| r.last_commits(r.resolve("")?.commit, None, 1, Duration::from_secs(5))).await.unwrap();
    assert!(!last.complete && last.by_name.len() < 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_renames_and_lines() {
    let s = Server::start().await;
    let work = s.work("work").await;
    let text: String = (0..50).map(|i| format!("line {i}\n")).collect();
    std::fs::create_dir(work.join("src")).unwrap();
    std::fs::write(work.join("src/old.rs"), &text).unwrap();
    std::fs::write(work.join("exact"), "exactly this\n").unwrap();
    std::fs::write(work.join("bin"), b"\0\x01\x02").unwrap();
    let old = s.change(&work, "gone", "gone\n").await;
    s.git(&work, &["mv", "src/old.rs", "src/new.rs"]).await;
    s.git(&work, &["mv", "exact", "moved"]).await;
    s.git(&work, &["rm", "-q", "gone"]).await;
    std::fs::write(work.join("src/new.rs"), text.replace("line 25", "line twenty-five")).unwrap();
    std::fs::write(work.join("bin"), b"\0\x01\x03").unwrap();
    let new = s.change(&work, "added/x", "one\ntwo\n").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;

    let (o, n) = (git::Oid::parse(&old).unwrap(), git::Oid::parse(&new).unwrap());
    let diff = s.repository.read(move |r| r.diff(Some(o), n, DiffLimits::PAGE)).await.unwrap();
    let files: Vec<_> = diff
        .files
        .iter()
        .map(|f| (f.change.path.as_str(), f.change.old_path.as_deref(), f.change.kind, f.additions, f.deletions, f.binary))
        .collect();
    assert_eq!(
        files,
        [
            ("added/x", None, ChangeKind::Added, 2, 0, false),
            ("bin", None, ChangeKind::Modified, 0, 0, true),
            ("gone", None, ChangeKind::Deleted, 0, 1, false),
            ("moved", Some("exact"), ChangeKind::Renamed, 0, 0, false),
            ("src/new.rs", Some("src/old.rs"), ChangeKind::Renamed, 1, 1, false),
        ]
    );
    let hunk = &diff.files[4].hunks[0];
    assert_eq!((hunk.old_start, hunk.old_lines, hunk.new_start, hunk.new_lines), (23, 7, 23, 7));
    assert_eq!(diff.files[0].change.size, Some(8));

    // for what follows a push: plain paths
    let changes =
        s.repository.read(move |r| r.changes(Some(o), n, DiffLimits { rename_pairs: 0, files: 3, ..DiffLimits::PUSH })).await.unwrap();
    assert!(!changes.complete && changes.items.len() <= 3);
    let all = s.repository.read(move |r| r.changes(None, n, DiffLimits::PUSH)).await.unwrap();
    assert_eq!(all.items.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["README.md", "added/x", "bin", "moved", "src/new.rs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_bomb_is_cut() {
    let s = Server::start().await;
    let work = s.work("work").await;
    // ten trees of ten trees of ... one blob: 10^10 paths in a dozen objects
    let mut oid = s.git(&work, &["rev-parse", "HEAD:README.md"]).await;
    for level in 0..10 {
        let (mode, kind) = if level == 0 { ("100644", "blob") } else { ("040000", "tree") };
        let lines: String = (0..10).map(|i| format!("{mode} {kind} {oid}\tf{i}\n")).collect();
        std::fs::write(work.join("../lines"), lines).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a client, not the service")]
        let out = tokio::process::Command::new("git")
            .arg("mktree")
            .current_dir(&work)
            .stdin(std::fs::File::open(work.join("../lines")).unwrap())
            .output()
            .await
            .unwrap();
        oid = String::from_utf8(out.stdout).unwrap().trim().to_owned();
    }
    let commit = s.git(&work, &["commit-tree", "-m", "bomb", &oid]).await;
    s.git(&work, &["push", "-q", "origin", &format!("{commit}:refs/heads/main")]).await;
    let tip = git::Oid::parse(&commit).unwrap();
    let changes = s.repository.read(move |r| r.changes(None, tip, DiffLimits::PAGE)).await.unwrap();
    assert!(!changes.complete && changes.items.len() <= 1000);
}
