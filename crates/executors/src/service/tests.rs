//! Layers that try to get out, and applications that outlive whoever started them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::process::Process;
use super::rootfs::Limits;
use super::rootfs::Rootfs;
use super::*;

enum Item<'a> {
    File(&'a str, &'a str),
    Dir(&'a str),
    Symlink(&'a str, &'a str),
    Link(&'a str, &'a str),
}

fn layer(items: &[Item<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        let (name, link, kind, body) = match item {
            Item::File(name, body) => (name, "", tar::EntryType::Regular, *body),
            Item::Dir(name) => (name, "", tar::EntryType::Directory, ""),
            Item::Symlink(name, to) => (name, *to, tar::EntryType::Symlink, ""),
            Item::Link(name, to) => (name, *to, tar::EntryType::Link, ""),
        };
        header.set_entry_type(kind);
        header.set_mode(0o6755);
        header.set_size(body.len() as u64);
        // the crate's own setters refuse hostile names
        let raw = header.as_old_mut();
        raw.name[..name.len()].copy_from_slice(name.as_bytes());
        raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        tar.append(&header, body.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn unpack(root: &Path, layers: &[Vec<u8>]) -> io::Result<()> {
    let mut rootfs = Rootfs::create(root, None, Limits { bytes: 1000, entries: 50 })?;
    layers.iter().try_for_each(|l| rootfs.unpack(&l[..]))
}

#[test]
fn layers_cannot_leave_the_root() {
    use Item::*;
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    let root = dir.path().join("root");
    for hostile in [
        layer(&[File("../outside", "x")]),
        layer(&[File("a/../../outside", "x")]),
        layer(&[Link("l", "../outside")]),
        layer(&[Link("l", "nothing")]),
        layer(&[Symlink("a", "b"), Symlink("b", "a"), File("a/x", "x")]),
        layer(&[File("big", &"x".repeat(1001))]),
        layer(&vec![0; 51].iter().map(|_| Dir("d")).collect::<Vec<_>>()),
    ] {
        assert!(unpack(&root, &[hostile]).is_err());
    }
    // links out are kept as text and followed within the root
    let escaping = layer(&[
        Symlink("up", "../../../.."),
        File("up/caught", "x"),
        Symlink("abs", "/sub"),
        File("abs/caught", "x"),
        Symlink("host", &outside.display().to_string()),
        File("host", "replaced"),
        File("/leading", "x"),
    ]);
    unpack(&root, &[escaping]).unwrap();
    for inside in ["caught", "sub/caught", "host", "leading"] {
        assert!(root.join(inside).is_file(), "{inside}");
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    // no rights to become somebody else
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(root.join("leading")).unwrap().permissions().mode() & 0o7777, 0o755);
    assert!(unpack(&root, &[b"(\xb5/\xfd....".to_vec()]).unwrap_err().to_string().contains("zstd"));
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    use Item::*;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let lower = layer(&[Dir("d"), File("d/old", "1"), File("gone", "1"), Dir("bin"), Symlink("usr", "bin"), File("f", "file")]);
    let upper = layer(&[
        File("d/new", "2"),
        File("d/.wh..wh..opq", ""),
        File(".wh.gone", ""),
        File("usr/tool", "2"),
        File("f/inside", "2"),
        File(".wh...", ""),
        Link("hard", "d/new"),
    ]);
    unpack(&root, &[lower, upper]).unwrap();
    assert!(!root.join("d/old").exists() && !root.join("gone").exists());
    assert_eq!(fs::read_to_string(root.join("d/new")).unwrap(), "2");
    assert_eq!(fs::read_to_string(root.join("hard")).unwrap(), "2");
    assert!(root.join("bin/tool").is_file() && root.join("f/inside").is_file());
}

/// The machine's own shell with its libraries, as an image.
fn shell(rootfs: &Path) {
    for (from, to) in [("/bin/busybox", "bin/sh"), ("/bin/sh", "bin/sh")] {
        if Path::new(from).exists() {
            fs::create_dir_all(rootfs.join("bin")).unwrap();
            fs::copy(from, rootfs.join(to)).unwrap();
            break;
        }
    }
    for name in
        ["/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6", "/lib/ld-linux-aarch64.so.1", "/lib/aarch64-linux-gnu/libc.so.6"]
    {
        if Path::new(name).exists() {
            let to = rootfs.join(&name[1..]);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(name, to).unwrap();
        }
    }
}

async fn until(service: &dyn Service, wanted: impl Fn(&State) -> bool) -> State {
    for _ in 0..200 {
        let state = service.state().await.unwrap();
        if wanted(&state) {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the state stays {:?}", service.state().await)
}

#[tokio::test]
async fn a_process_is_kept_in_found_again_and_stopped() {
    if let Err(why) = process::available().await {
        eprintln!("skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let base = process::reachable(dir.path()).unwrap();
    let app = Process::new(&base, "dpl_test", 250_001);
    assert_eq!(app.state().await.unwrap(), State::Missing);
    app.prepare(Limits::default()).unwrap();
    shell(&app.rootfs());
    let script = "echo \"port $PORT secret $SECRET $0\"; echo * ; trap 'echo bye; exit 0' TERM; while :; do read x < /dev/null; done";
    let what = App {
        command: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: BTreeMap::from([("SECRET".into(), "s3cret value".into())]),
        ..App::default()
    };
    let others = 20_000..=30_000;
    let port = app.start(&what, &others).await.unwrap();
    assert!(!others.contains(&port) && port < 32_768, "{port}");
    // it runs from the first moment, also while its helpers take each other's place
    for _ in 0..50 {
        assert_eq!(app.state().await.unwrap(), State::Running { port });
    }
    for _ in 0..100 {
        if app.log(10).await.unwrap().lines().count() >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = app.log(10).await.unwrap();
    assert!(log.contains(&format!("port {port} secret s3cret value")), "{log}");
    assert!(!log.contains("root") && !log.contains("home"), "it sees the machine's files: {log}");
    // neither the secret nor the command's environment shows in any command line
    let shown = crate::spawn::pids().into_iter().filter_map(|p| fs::read(format!("/proc/{p}/cmdline")).ok());
    assert!(!shown.map(|c| String::from_utf8_lossy(&c).into_owned()).any(|c| c.contains("s3cret value")));
    let usage = app.usage().await.unwrap();
    assert!(usage.memory > 0);
    // somebody who only knows the name finds it
    let again = Process::new(&base, "dpl_test", 250_001);
    assert_eq!(again.state().await.unwrap(), State::Running { port });
    again.stop(Duration::from_secs(5)).await.unwrap();
    assert!(matches!(until(&app, |s| matches!(s, State::Exited { .. })).await, State::Exited { .. }));
    assert!(again.log(1).await.unwrap().contains("bye"), "{}", again.log(5).await.unwrap());
    // one that does not listen to TERM is made to end
    let deaf =
        App { command: vec!["/bin/sh".into(), "-c".into(), "trap '' TERM; while :; do read x < /dev/null; done".into()], ..App::default() };
    app.start(&deaf, &others).await.unwrap();
    until(&app, |s| matches!(s, State::Running { .. })).await;
    app.stop(Duration::from_millis(200)).await.unwrap();
    // starting a name twice leaves one
    app.start(&deaf, &others).await.unwrap();
    app.start(&deaf, &others).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    app.remove().await.unwrap();
    assert_eq!(app.state().await.unwrap(), State::Missing);
    // one that ends by itself says how
    app.prepare(Limits::default()).unwrap();
    shell(&app.rootfs());
    app.start(&App { command: vec!["/bin/sh".into(), "-c".into(), "echo over; exit 7".into()], ..App::default() }, &others).await.unwrap();
    assert_eq!(until(&app, |s| matches!(s, State::Exited { code: Some(_) })).await, State::Exited { code: Some(7) });
    app.remove().await.unwrap();
}
