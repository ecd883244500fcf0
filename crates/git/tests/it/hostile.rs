//! What a pusher may try, one row each: refused or harmless, never stored under a name that hurts.

use std::path::Path;

use crate::server::Server;

/// Ref names that git itself would take (facts from measuring), and that must not get in.
const REFS: &[&str] = &[
    "refs/heads/-x",
    "refs/heads/--upload-pack=x",
    "refs/heads/$(id)",
    "refs/heads/`id`",
    "refs/heads/a;id",
    "refs/heads/x|y",
    "refs/heads/<img/src=x>",
    "refs/heads/a%0d%0a",
    "refs/heads/a\u{202e}b",
    "refs/heads/HEAD",
    "refs/heads/refs/heads/main",
    "refs/heads/0123456789012345678901234567890123456789",
    "refs/tags/0123456789012345678901234567890123456789",
    "refs/pull/1/head",
    "refs/keep-around/x",
    "refs/x/y",
    "refs/replace/0123456789012345678901234567890123456789",
    "refs/notes/commits",
];

#[tokio::test(flavor = "multi_thread")]
async fn ref_names() {
    let s = Server::start().await;
    let work = s.work("work").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    for name in REFS {
        let said = s.git_fails(&work, &["push", "origin", &format!("HEAD:{name}")]).await;
        assert!(said.contains("remote rejected") || said.contains("error:") || said.contains("fatal:"), "{name}: {said}");
    }
    let refs = s.repository.refs().await.unwrap();
    assert_eq!(refs.refs.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["refs/heads/main"]);
    let stored = s.git(&s.dir(), &["for-each-ref", "--format=%(refname)"]).await;
    assert_eq!(stored, "refs/heads/main");
}

/// Tree entries as `mode name`, or a script around them; all must be refused by the checks on what is received.
const TREES: &[(&str, &[u8])] = &[
    ("100644", b".git"),
    ("100644", b".GIT"),
    ("100644", b"git~1"),
    ("100644", ".g\u{200c}it".as_bytes()),
    ("100644", b".."),
    ("100644", b"."),
    ("100644", b"a/b"),
    ("0100644", b"zero-padded"),
    ("120000", b".gitmodules"),
];

#[tokio::test(flavor = "multi_thread")]
async fn trees() {
    let s = Server::start().await;
    let work = s.work("work").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    let blob = s.git(&work, &["hash-object", "-w", "README.md"]).await;
    for (mode, name) in TREES {
        push_tree(&s, &work, &[(mode, name)], &blob, false).await;
    }
    push_tree(&s, &work, &[("100644", b"twice"), ("100644", b"twice")], &blob, false).await;
    // what git lets pass must at least be read without harm
    push_tree(&s, &work, &[("120000", b"link-to-etc"), ("100644", b"new\nline"), ("100644", b"\x1b[31m")], &blob, true).await;
    let tip = s.repository.refs().await.unwrap().get("refs/heads/odd").unwrap().oid;
    let names = s.repository.read(move |r| r.tree(r.commit(tip)?.tree)).await.unwrap();
    assert_eq!(names.len(), 3);
    let changes = s.repository.read(move |r| r.changes(None, tip, git::read::DiffLimits::PAGE)).await.unwrap();
    assert_eq!(changes.items.len(), 3);
}

async fn push_tree(s: &Server, work: &Path, entries: &[(&str, &[u8])], blob: &str, fine: bool) {
    let mut tree = Vec::new();
    let mut entries = entries.to_vec();
    entries.sort_by_key(|(_, n)| *n);
    for (mode, name) in entries.iter().copied() {
        tree.extend_from_slice(mode.as_bytes());
        tree.push(b' ');
        tree.extend_from_slice(name);
        tree.push(0);
        let oid = git::Oid::parse(blob).unwrap();
        tree.extend_from_slice(oid.as_bytes());
    }
    std::fs::write(work.join("../tree"), tree).unwrap();
    let tree = s.git(work, &["hash-object", "-w", "-t", "tree", "--literally", "../tree"]).await;
    let commit = s.git(work, &["commit-tree", "-m", "odd", &tree]).await;
    let out = s.try_git(work, &["push", "origin", &format!("{commit}:refs/heads/odd")]).await;
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.success(), fine, "{entries:?}: {said}");
    if !fine {
        assert!(said.contains("unpack"), "{said}");
        assert!(s.repository.refs().await.unwrap().get("refs/heads/odd").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_given_to_reads_are_only_names() {
    let s = Server::start().await;
    let work = s.work("work").await;
    s.git(&work, &["push", "-q", "origin", "main"]).await;
    for name in [
        "--output=/tmp/pwned",
        "-h",
        "--all",
        "main..HEAD",
        "main~1",
        "main^",
        "main@{0}",
        ":/change",
        "HEAD:README.md",
        "../../etc/passwd",
        "refs/heads/../../config",
        "\0",
        "",
        &"a".repeat(10_000),
    ] {
        let name = name.to_owned();
        let shown = name.clone();
        let found = s.repository.read(move |r| r.resolve(&name)).await;
        assert_eq!(found.is_ok(), shown.is_empty(), "{shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_inflates_to_gigabytes_ends_the_push_only() {
    let s = Server::start().await;
    // a pack of one tree object that claims and holds 3 GiB of zeros
    let size: u64 = 3 << 30;
    let mut pack = b"PACK\0\0\0\x02\0\0\0\x01".to_vec();
    let mut rest = size;
    let mut byte = 2 << 4 | (rest & 15) as u8;
    rest >>= 4;
    while rest > 0 {
        pack.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    pack.push(byte);
    let mut zlib = flate2::write::ZlibEncoder::new(pack, flate2::Compression::fast());
    // a fraction is enough: the size is believed first
    std::io::Write::write_all(&mut zlib, &vec![0u8; 16 << 20]).unwrap();
    let pack = zlib.finish().unwrap();
    let mut wire = bytes::BytesMut::new();
    git::pktline::put(&mut wire, format!("{} {} refs/heads/main\0 report-status side-band-64k", "0".repeat(40), "1".repeat(40)).as_bytes());
    git::pktline::put_flush(&mut wire);
    wire.extend_from_slice(&pack);
    let pieces = futures::stream::iter([Ok(wire.freeze())]);
    let body = git::serve::Incoming::new(pieces, false, 1 << 30, std::time::Duration::from_secs(10));
    let answer = s.repository.receive_pack(body, git::serve::PushRules::default(), s.record.clone()).await.unwrap();
    let git::serve::Body::Stream(stream) = answer else { panic!("refused too early") };
    let said: Vec<bytes::Bytes> = futures::TryStreamExt::try_collect(stream).await.unwrap();
    let said = String::from_utf8_lossy(&said.concat()).into_owned();
    assert!(said.contains("ng refs/heads/main"), "{said}");
    assert!(said.contains("attempting to allocate") || said.contains("over limit"), "{said}");
    assert!(s.repository.refs().await.unwrap().refs.is_empty());
}
