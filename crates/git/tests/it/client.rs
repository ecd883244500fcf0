//! Clone, fetch and push as people do them.

use std::time::Duration;

use git::Options;
use kernel::ProjectId;

use crate::server::{Server, main_branch};

#[tokio::test(flavor = "multi_thread")]
async fn clone_push_fetch_in_every_version() {
    for version in ["0", "1", "2"] {
        let s = Server::start().await;
        let v = format!("protocol.version={version}");
        let empty = s.path("empty");
        s.git(s.root.path(), &["-c", &v, "clone", "-q", &s.url(), "empty"]).await;
        assert!(empty.join(".git").exists());

        let work = s.work("work").await;
        let first = s.git(&work, &["rev-parse", "HEAD"]).await;
        s.git(&work, &["-c", &v, "push", "-q", "origin", "main"]).await;
        s.git(s.root.path(), &["-c", &v, "clone", "-q", &s.url(), "copy"]).await;
        let copy = s.path("copy");
        assert_eq!(s.git(&copy, &["rev-parse", "HEAD"]).await, first);
        assert_eq!(s.git(&copy, &["symbolic-ref", "--short", "HEAD"]).await, "main");

        let second = s.change(&work, "src/lib.rs", "fn main() {}\n").await;
        s.git(&work, &["tag", "-a", "-m", "one", "v1"]).await;
        s.git(&work, &["tag", "light"]).await;
        s.git(&work, &["-c", &v, "push", "-q", "--follow-tags", "origin", "main", "light"]).await;
        s.git(&copy, &["-c", &v, "pull", "-q"]).await;
        assert_eq!(s.git(&copy, &["rev-parse", "HEAD"]).await, second);
        assert_eq!(s.git(&copy, &["rev-parse", "v1^{commit}", "light"]).await, format!("{second}\n{second}"));
        let remote = s.git(&copy, &["-c", &v, "ls-remote", "origin"]).await;
        assert!(remote.contains("HEAD") && remote.contains("refs/tags/v1^{}"), "{remote}");

        let updates: Vec<_> = s.record.finished.lock().iter().flat_map(|o| o.updates.clone()).collect();
        assert_eq!(updates[0].name, "refs/heads/main");
        assert_eq!((updates[0].old.as_deref(), updates[0].new.as_deref()), (None, Some(first.as_str())));
        assert_eq!((updates[1].old.as_deref(), updates[1].forced), (Some(first.as_str()), false));
        assert_eq!(updates.len(), 4);
        s.fsck().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn advertisements_are_gits_own() {
    let s = Server::start().await;
    let work = s.work("work").await;
    s.git(&work, &["tag", "-a", "-m", "one", "v1"]).await;
    for step in 0..3 {
        for (service, version) in
            [("upload-pack", "0"), ("upload-pack", "1"), ("upload-pack", "2"), ("receive-pack", "0"), ("receive-pack", "1")]
        {
            #[expect(clippy::disallowed_methods, reason = "the program we compare with")]
            let theirs = tokio::process::Command::new("git")
                .args(["-c", "safe.directory=*", service, "--stateless-rpc", "--advertise-refs"])
                .arg(s.dir())
                .env("GIT_PROTOCOL", format!("version={version}"))
                .output()
                .await
                .unwrap();
            let ours = {
                let wanted = git::serve::Service::parse(&format!("git-{service}")).unwrap();
                s.repository.info_refs(wanted, git::serve::Version::from_header(&format!("version={version}"))).await.unwrap()
            };
            let prefix = format!("# service=git-{service}\n");
            let ours = String::from_utf8_lossy(&ours).into_owned();
            let ours = ours.split_once(&prefix).map_or(ours.as_str(), |(_, rest)| rest.strip_prefix("0000").unwrap());
            let sort = |text: &str| {
                // the order of capabilities is free
                text.split('\0')
                    .map(|part| part.split([' ', '\n']).map(str::to_owned).collect::<std::collections::BTreeSet<_>>())
                    .collect::<Vec<_>>()
            };
            let theirs = String::from_utf8_lossy(&theirs.stdout).into_owned();
            let cut = |t: &str| if t.len() > 4 && t.contains('\0') { t[4..].to_owned() } else { t.to_owned() };
            assert_eq!(sort(&cut(ours)), sort(&cut(&theirs)), "{step} {service} {version}");
        }
        match step {
            0 => drop(s.git(&work, &["push", "-q", "origin", "main", "v1"]).await),
            _ => drop(s.git(&s.dir(), &["pack-refs", "--all"]).await),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn force_delete_atomic_and_default_branch() {
    let s = Server::start().await;
    let work = s.work("work").await;
    let first = s.git(&work, &["rev-parse", "HEAD"]).await;
    s.git(&work, &["push", "-q", "origin", "main", "main:topic"]).await;
    s.git(&work, &["commit", "-q", "--amend", "-m", "other"]).await;
    let second = s.git(&work, &["rev-parse", "HEAD"]).await;
    assert!(s.git_fails(&work, &["push", "origin", "main"]).await.contains("rejected"));
    s.git(&work, &["push", "-q", "--force", "origin", "main"]).await;
    let last = s.record.finished.lock().last().cloned().unwrap();
    assert_eq!((last.updates[0].old.as_deref(), last.updates[0].forced), (Some(first.as_str()), true));

    let said = s.git_fails(&work, &["push", "origin", ":main"]).await;
    assert!(said.contains("the default branch cannot be deleted"), "{said}");
    s.git(&work, &["push", "-q", "origin", ":topic"]).await;
    let last = s.record.finished.lock().last().cloned().unwrap();
    assert_eq!((last.updates[0].name.as_str(), &last.updates[0].new), ("refs/heads/topic", &None));

    // one bad ref of three: without --atomic the others go through, with it none does
    let said = s.git_fails(&work, &["push", "origin", "main:good", "main:refs/x/y", "main:refs/heads/a;id"]).await;
    assert!(said.contains("[new branch]      main -> good") && said.contains("only refs/heads/ and refs/tags/ may be written"), "{said}");
    let said = s.git_fails(&work, &["push", "--atomic", "origin", "main:good2", "main:refs/x/y"]).await;
    assert!(said.contains("atomic"), "{said}");
    let refs = s.repository.refs().await.unwrap();
    assert!(refs.get("refs/heads/good2").is_none());
    assert_eq!(refs.get("refs/heads/good").unwrap().oid.to_string(), second);
    s.fsck().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shallow_and_partial() {
    let s = Server::start().await;
    let work = s.work("work").await;
    for i in 0..5 {
        s.change(&work, "file", &format!("{i}\n")).await;
    }
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    // twice: from git, from the cache
    for round in 0..2 {
        let name = format!("shallow{round}");
        s.git(s.root.path(), &["clone", "-q", "--depth=2", &s.url(), &name]).await;
        assert_eq!(s.git(&s.path(&name), &["rev-list", "--count", "HEAD"]).await, "2");
        s.git(&s.path(&name), &["fetch", "-q", "--unshallow"]).await;
        assert_eq!(s.git(&s.path(&name), &["rev-list", "--count", "HEAD"]).await, "6");

        let name = format!("partial{round}");
        s.git(s.root.path(), &["clone", "-q", "--no-checkout", "--filter=blob:none", &s.url(), &name]).await;
        let missing = s.git(&s.path(&name), &["rev-list", "--objects", "--missing=print", "HEAD"]).await;
        assert_eq!(missing.lines().filter(|l| l.starts_with('?')).count(), 6);
        s.git(&s.path(&name), &["checkout", "-q", "main"]).await;
        assert_eq!(std::fs::read_to_string(s.path(&name).join("file")).unwrap(), "4\n");
    }
    // a shallow clone can push
    s.change(&s.path("shallow0"), "more", "x").await;
    s.git(&s.path("shallow0"), &["push", "-q", "origin", "main"]).await;
    s.fsck().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_clone_is_served_from_the_cache_until_a_ref_moves() {
    let s = Server::start().await;
    let work = s.work("work").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    let kept = || std::fs::read_dir(s.path("data/clones")).unwrap().count();
    s.git(s.root.path(), &["clone", "-q", &s.url(), "one"]).await;
    assert_eq!(kept(), 1);
    s.git(s.root.path(), &["clone", "-q", &s.url(), "two"]).await;
    assert_eq!(kept(), 1);
    let tip = s.change(&work, "b", "b").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    s.git(s.root.path(), &["clone", "-q", &s.url(), "three"]).await;
    assert_eq!(s.git(&s.path("three"), &["rev-parse", "HEAD"]).await, tip);
    assert_eq!(kept(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_read_on_the_terminal() {
    let s = Server::start().await;
    let work = s.work("work").await;
    *s.record.refuse.lock() = Some("no pushes on Sundays".into());
    let said = s.git_fails(&work, &["push", "origin", "main"]).await;
    assert!(said.contains("remote rejected") && said.contains("no pushes on Sundays"), "{said}");
    *s.record.refuse.lock() = None;

    s.rules.lock().refuse = Some("the project is archived".into());
    let said = s.git_fails(&work, &["push", "origin", "main"]).await;
    assert!(said.contains("the project is archived"), "{said}");
    s.rules.lock().refuse = None;
    assert!(s.record.begun.lock().is_empty() && s.repository.refs().await.unwrap().refs.is_empty());

    // larger than allowed
    s.rules.lock().max_bytes = Some(1000);
    let noise: String = (0..40_000u32).map(|i| char::from(33 + (i.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect();
    s.change(&work, "big", &noise).await;
    let said = s.git_fails(&work, &["push", "origin", "main"]).await;
    assert!(said.contains("exceeds maximum allowed size"), "{said}");
    s.rules.lock().max_bytes = None;
    assert_eq!(s.record.finished.lock().last().unwrap().updates.len(), 0);

    // stored, but not on record: no success is shown
    *s.record.fail.lock() = Some("the database is away".into());
    let said = s.git_fails(&work, &["push", "origin", "main"]).await;
    assert!(said.contains("stored, but was not confirmed: the database is away"), "{said}");
    *s.record.fail.lock() = None;
    s.git(&work, &["push", "origin", "main"]).await;
    s.fsck().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_pushes_and_clones() {
    let s = std::sync::Arc::new(Server::start().await);
    let work = s.work("work").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    let mut tasks = Vec::new();
    for i in 0..8 {
        let s = s.clone();
        tasks.push(tokio::spawn(async move {
            let name = format!("c{i}");
            s.git(s.root.path(), &["clone", "-q", &s.url(), &name]).await;
            let dir = s.path(&name);
            for round in 0..3 {
                s.change(&dir, &format!("f{i}"), &format!("{round}\n")).await;
                s.git(&dir, &["push", "-q", "origin", &format!("HEAD:refs/heads/b{i}")]).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let refs = s.repository.refs().await.unwrap();
    assert_eq!(refs.under("refs/heads/b").len(), 8);
    assert_eq!(s.record.finished.lock().len(), 25);
    s.fsck().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_leaves_nothing() {
    let s = Server::with(Options { idle: Duration::from_secs(5), ..Options::default() }).await;
    let work = s.work("work").await;
    let noise: Vec<u8> = (0..8_000_000u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    std::fs::write(work.join("big"), &noise).unwrap();
    s.git(&work, &["add", "-A"]).await;
    s.git(&work, &["commit", "-q", "-m", "big"]).await;
    let push = "git push origin main & P=$!; sleep 0.12; kill -9 -- $(pgrep -P $P) $P; wait";
    #[expect(clippy::disallowed_methods, reason = "a client, not the service")]
    let _ = tokio::process::Command::new("sh").args(["-c", push]).current_dir(&work).output().await.unwrap();
    for _ in 0..200 {
        let quiet = s.record.begun.lock().len() == s.record.finished.lock().len();
        let left = std::fs::read_dir(s.dir().join("objects"))
            .unwrap()
            .flatten()
            .any(|e| e.file_name().to_string_lossy().starts_with("tmp_objdir"));
        if quiet && !left {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let left: Vec<_> = std::fs::read_dir(s.dir().join("objects")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().starts_with("tmp_objdir")), "{left:?}");
    assert_eq!(s.record.begun.lock().len(), s.record.finished.lock().len());
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    s.fsck().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_come_and_go() {
    let s = Server::start().await;
    let id = ProjectId::new();
    assert!(s.repositories.get(id).is_err());
    s.repositories.create(id, &main_branch()).await.unwrap();
    assert!(matches!(s.repositories.create(id, &main_branch()).await, Err(git::GitError::Exists(_))));
    assert_eq!(s.repositories.projects().await.unwrap().len(), 2);
    let handle = s.repositories.get(id).unwrap();
    s.repositories.delete(id).await.unwrap();
    s.repositories.delete(id).await.unwrap();
    assert!(!s.repositories.exists(id));
    assert!(matches!(handle.refs().await, Err(git::GitError::NotFound(_))));
    assert!(matches!(handle.read(|r| r.resolve("")).await, Err(git::GitError::NotFound(_))));
}
