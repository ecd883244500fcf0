//! Repacking beside traffic, and sweeping.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use git::maintain::Effort;

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn repack_while_people_push_and_clone() {
    let s = Arc::new(Server::start().await);
    let work = s.work("work").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let upkeep = tokio::spawn({
        let (s, stop) = (s.clone(), stop.clone());
        async move {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) {
                let effort = if rounds % 2 == 0 { Effort::Incremental } else { Effort::Full };
                s.repository.maintain(effort).await.unwrap();
                rounds += 1;
            }
            rounds
        }
    });
    for i in 0..12 {
        s.change(&work, &format!("f{i}"), &format!("{i}\n")).await;
        s.git(&work, &["push", "-q", "origin", "main"]).await;
        s.git(s.root.path(), &["clone", "-q", &s.url(), &format!("c{i}")]).await;
        let page = s.repository.read(|r| r.log(r.resolve("")?.commit, None, None, 100)).await.unwrap();
        assert_eq!(page.commits.len(), i + 2);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(upkeep.await.unwrap() > 2);
    let done = s.repository.maintain(Effort::Full).await.unwrap();
    assert_eq!((done.after.packs, done.after.loose), (1, 0));
    assert!(!done.after.needs_work());
    s.fsck().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_the_dead_are_swept_and_nothing_else() {
    let s = Server::start().await;
    let work = s.work("work").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    let dir = s.dir();
    let age = |path: &std::path::Path, hours: u64| {
        #[expect(clippy::disallowed_methods, reason = "file times are of this kind")]
        let then = SystemTime::now() - Duration::from_secs(3600 * hours);
        std::fs::File::open(path).unwrap().set_modified(then).unwrap();
    };
    for (name, hours) in [("tmp_objdir-incoming-old", 3), ("tmp_objdir-incoming-young", 0)] {
        std::fs::create_dir(dir.join("objects").join(name)).unwrap();
        age(&dir.join("objects").join(name), hours);
    }
    let lock = dir.join("refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    age(&lock, 1);
    // the lock blocks one push; that push clears it away
    s.change(&work, "b", "b").await;
    s.git_fails(&work, &["push", "origin", "main"]).await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;

    assert_eq!(s.repository.sweep().await.unwrap(), 1);
    assert!(!dir.join("objects/tmp_objdir-incoming-old").exists());
    assert!(dir.join("objects/tmp_objdir-incoming-young").exists());
}
