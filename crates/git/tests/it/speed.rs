//! Not benchmarks: what must be true for the service to be fast and durable.

use std::time::Instant;

use git::serve::{Service, Version};

use crate::server::Server;

/// `core.fsync=all` reaches git: trace2 counts the flushes of a push, and there are some for packs and for refs.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_flushed() {
    let home = tempfile::tempdir().unwrap();
    let program = git::program::Program::detect(home.path()).await.unwrap();
    let s = Server::start().await;
    let work = s.work("work").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    let tip = s.git(&work, &["rev-parse", "HEAD"]).await;
    let trace = home.path().join("trace");
    program
        .command("update-ref")
        .in_repository(&s.dir())
        .flag("--stdin")
        .env("GIT_TRACE2_EVENT", trace.as_os_str())
        .output(format!("create refs/heads/flushed {tip}\n").as_bytes(), std::time::Duration::from_secs(5), 100)
        .await
        .unwrap();
    let text = std::fs::read_to_string(&trace).unwrap();
    let flushes: u64 = text
        .lines()
        .filter(|l| l.contains("\"category\":\"fsync\"") && l.contains("\"key\":\"fsync/hardware-flush\""))
        .filter_map(|l| l.split("\"value\":\"").nth(1).or_else(|| l.split("\"count\":").nth(1)))
        .filter_map(|v| v.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok())
        .sum();
    assert!(flushes >= 1, "{text}");
}

/// The advertisement is answered from memory: far above what a process could give, even in a debug build.
#[tokio::test(flavor = "multi_thread")]
async fn advertisements_take_no_process() {
    let s = Server::start().await;
    let work = s.work("work").await;
    for i in 0..20 {
        s.git(&work, &["branch", &format!("b{i}")]).await;
    }
    s.git(&work, &["push", "-q", "--all", "origin"]).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    s.repository.refs().await.unwrap();
    let start = Instant::now();
    for _ in 0..1000 {
        s.repository.info_refs(Service::UploadPack, Version::V0).await.unwrap();
    }
    let each = start.elapsed() / 1000;
    println!("info/refs of 21 refs: {each:?}");
    assert!(each.as_micros() < 2000, "{each:?}");
}
