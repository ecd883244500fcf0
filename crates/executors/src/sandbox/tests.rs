//! With real processes. What a machine cannot do (not root, no bubblewrap) is not asserted there.

use super::*;
use crate::spawn::Capture;

async fn machine(root: &Path, hidden: Vec<PathBuf>, limits: Limits) -> Arc<Machine> {
    Machine::prepare(MachineConfig {
        root: root.to_owned(),
        hidden,
        limits,
        pass_env: Vec::new(),
        docker_host: None,
        keep: KeepLimits::default(),
    })
    .await
    .unwrap()
}

async fn sh(place: &HostPlace, script: &str, extra: &[(&str, &str)]) -> (Exit, String) {
    let mut env = place.base_env();
    env.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    let mut out = Capture::new(1 << 20);
    let (_keep, stop) = watch::channel(Stop::No);
    let exec = Exec { argv: ["/bin/sh", "-c", script].map(String::from).to_vec(), env, cwd: place.dirs().workspace.clone(), stdin: None };
    let exit = place.exec(exec, &mut out, stop, None).await.unwrap();
    (exit, out.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_sees_its_own_and_nothing_of_ours() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("key"), "top").unwrap();
    let machine = machine(&base.path().join("runner"), vec![data.clone()], Limits::default()).await;
    let place = machine.place("job_1", "web").await.unwrap();
    let other = machine.place("job_2", "web").await.unwrap();
    fs::write(other.dirs().home.join("theirs"), "x").unwrap();

    let (exit, out) = sh(&place, "pwd; echo $HOME; echo hi > file && cat file; echo \"$ODD\"", &[("ODD", "it's $odd\nx")]).await;
    assert!(exit.ok(), "{out}");
    let dirs = place.dirs();
    assert_eq!(out, format!("{}\n{}\nhi\nit's $odd\nx\n", dirs.workspace.display(), dirs.home.display()));

    if machine.isolation().namespaces() {
        let script = format!("cat {}/key {}/theirs 2>&1; ls -A /root 2>&1; touch /etc/x 2>&1", data.display(), other.dirs().home.display());
        let (_, out) = sh(&place, &script, &[]).await;
        assert!(!out.contains("top"), "{out}");
        assert_eq!(out.matches("No such file").count(), 2, "{out}");
        assert!(out.contains("Read-only file system") || out.contains("Permission denied"), "{out}");
        let (_, out) = sh(&place, "ps -e -o comm= | wc -l", &[]).await;
        assert!(out.trim().parse::<u32>().unwrap() < 12, "{out}");
    }
    if machine.isolation() == Isolation::NamespacesAndUser {
        let (_, out) = sh(&place, "id -u; id -un; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status", &[]).await;
        let uid = place.uid().unwrap();
        assert_eq!(out, format!("{uid}\nrunner\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n"));
        assert_ne!(place.uid(), other.uid());
    }
    place.close().await;
    other.close().await;
    assert_eq!(fs::read_dir(base.path().join("runner/jobs")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_closed_to_others_may_hold_the_runner() {
    use std::os::unix::fs::PermissionsExt as _;
    // not below /tmp, which is hidden anyway
    let base = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    fs::set_permissions(base.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(base.path().join("key"), "top").unwrap();
    let machine = machine(&base.path().join("data/runner"), vec![base.path().join("data")], Limits::default()).await;
    if machine.isolation() == Isolation::User {
        return; // nothing can be done about it, and a note says so
    }
    let place = machine.place("job_1", "web").await.unwrap();
    let (exit, out) = sh(&place, &format!("echo hi > file && cat file; cat {}/key 2>&1", base.path().display()), &[]).await;
    assert!(out.starts_with("hi\n"), "{exit:?} {out}");
    assert!(machine.isolation() != Isolation::NamespacesAndUser || !out.contains("top"), "{out}");
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_step_leaves_running_lives_until_the_end_of_the_job() {
    let base = tempfile::tempdir().unwrap();
    let machine = machine(base.path(), Vec::new(), Limits::default()).await;
    let place = machine.place("job_1", "web").await.unwrap();
    let (_, out) = sh(&place, "sleep 321.5 & echo $! > pid", &[]).await;
    assert_eq!(out, "");
    let (exit, _) = sh(&place, "kill -0 $(cat pid)", &[]).await;
    assert!(exit.ok());
    assert!(runs(b"sleep\x00321.5"));
    place.close().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!runs(b"sleep\x00321.5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_reaches_the_program_and_its_children() {
    let base = tempfile::tempdir().unwrap();
    let machine = machine(base.path(), Vec::new(), Limits::default()).await;
    let place = machine.place("job_1", "web").await.unwrap();
    let (tell, stop) = watch::channel(Stop::No);
    let script = "trap 'echo got; exit 9' INT; sleep 50 & wait";
    let exec = Exec {
        argv: ["/bin/bash", "-c", script].map(String::from).to_vec(),
        env: place.base_env(),
        cwd: place.dirs().workspace.clone(),
        stdin: None,
    };
    let mut out = Capture::new(1000);
    let begun = std::time::Instant::now();
    let later = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tell.send_replace(Stop::Cancel);
    };
    let (exit, ()) = tokio::join!(place.exec(exec, &mut out, stop, None), later);
    assert_eq!((exit.unwrap(), out.text().as_str()), (Exit { code: 9, stopped: true }, "got\n"));
    assert!(begun.elapsed() < Duration::from_secs(5));
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_of_the_machine_can_be_used() {
    let base = tempfile::tempdir().unwrap();
    let machine = machine(base.path(), Vec::new(), Limits::default()).await;
    let place = machine.place("job_1", "web").await.unwrap();
    let (exit, out) = sh(&place, "cargo --version && cargo new --vcs none x && cd x && cargo test --offline", &[]).await;
    assert!(exit.ok(), "{out}");
    assert!(out.contains("test result: ok"), "{out}");
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_memory_ends_the_program_and_is_counted() {
    let base = tempfile::tempdir().unwrap();
    let machine = machine(base.path(), Vec::new(), Limits { memory: 64 << 20, pids: 64, ..Limits::default() }).await;
    if machine.cgroups.is_none() {
        return;
    }
    let place = machine.place("job_1", "web").await.unwrap();
    let (exit, _) = sh(&place, "head -c 300000000 /dev/zero | tail", &[]).await;
    assert!(!exit.ok());
    assert!(place.oom_kills() > 0);
    let (_, out) = sh(&place, "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; echo all", &[]).await;
    assert!(!out.contains("all"), "{out}");
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_of_a_job_do_not_reach_programs_with_our_rights() {
    let base = tempfile::tempdir().unwrap();
    let machine = machine(base.path(), Vec::new(), Limits::default()).await;
    let place = machine.place("job_1", "web").await.unwrap();
    let trap = place.dirs().workspace.join("trap.sh");
    fs::write(&trap, format!("id -u >> {}\n", place.dirs().workspace.join("who").display())).unwrap();
    let trap = trap.to_string_lossy().into_owned();
    let (_, _) = sh(&place, "true", &[("ENV", &trap), ("BASH_ENV", &trap), ("PATH", "/nonsense"), ("LD_PRELOAD", "/nope.so")]).await;
    let who = fs::read_to_string(place.dirs().workspace.join("who")).unwrap_or_default();
    if place.uid().is_some() {
        assert!(!who.lines().any(|uid| uid == "0"), "{who}");
    }
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_life_is_cleared() {
    let base = tempfile::tempdir().unwrap();
    let machine_a = machine(base.path(), Vec::new(), Limits::default()).await;
    let place = machine_a.place("job_1", "web").await.unwrap();
    sh(&place, "sleep 654.5 & true", &[]).await;
    assert!(
        Machine::prepare(MachineConfig {
            root: base.path().to_owned(),
            hidden: vec![],
            limits: Limits::default(),
            pass_env: vec![],
            docker_host: None,
            keep: KeepLimits::default()
        })
        .await
        .is_err()
    );
    // as after kill -9: nothing is dropped, only the lock goes
    std::mem::forget(place);
    drop(machine_a);
    fs::remove_file(base.path().join("lock")).unwrap();
    let _machine_b = machine(base.path(), Vec::new(), Limits::default()).await;
    assert_eq!(fs::read_dir(base.path().join("jobs")).unwrap().count(), 0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!runs(b"sleep\x00654.5"));
}

/// Is a process with this beginning of a command line alive?
fn runs(command: &[u8]) -> bool {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|e| fs::read(e.path().join("cmdline")).ok()).any(|c| c.starts_with(command))
}
