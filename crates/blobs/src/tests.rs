//! The same behaviour of both stores, and what is particular to a directory after a crash.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::TryStreamExt;
use object_store::memory::InMemory;

use crate::*;

fn owner(name: &str) -> Owner {
    Owner::parse(name).unwrap()
}

fn key(name: &str) -> UploadKey {
    UploadKey::parse(name).unwrap()
}

fn chunks(bytes: &[u8], size: usize) -> Body {
    let list: Vec<_> = bytes.chunks(size).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    futures::stream::iter(list).boxed()
}

/// Bytes that do not repeat in step with any chunk size.
fn noise(len: usize) -> Vec<u8> {
    let mut x = 0x2545_f491_u32;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            x as u8
        })
        .collect()
}

async fn collect(reader: Reader) -> Vec<u8> {
    reader
        .body
        .try_fold(Vec::new(), |mut all, c| async move {
            all.extend_from_slice(&c);
            Ok(all)
        })
        .await
        .unwrap()
}

fn stores() -> Vec<(Blobs, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().unwrap();
    let memory = Arc::new(InMemory::new());
    let bucket = Bucket::over(memory.clone(), memory, "some/prefix".into());
    vec![(Blobs::over(Traced::new(Directory::open(dir.path()).unwrap())), Some(dir)), (Blobs::over(bucket), None)]
}

#[tokio::test]
async fn blobs_come_back_whole_and_in_parts() {
    for (blobs, _dir) in stores() {
        let me = owner("prj_a");
        for len in [0, 1, 1000, (1 << 20) - 1, 1 << 20, 3_000_001, 20 << 20] {
            let data = noise(len);
            let stored = blobs.put(&me, chunks(&data, 70_001), None).await.unwrap();
            assert_eq!(stored, Stored { digest: Digest::of(&data), size: len as u64 });
            assert_eq!(blobs.size(&me, &stored.digest).await.unwrap(), Some(len as u64));
            let reader = blobs.get(&me, &stored.digest, Want::All).await.unwrap().unwrap();
            assert_eq!((reader.total, reader.range.clone()), (len as u64, 0..len as u64));
            assert!(collect(reader).await == data, "{len}");
            if len > 2000 {
                let cases =
                    [(Want::Between(500, 1499), 500..1500), (Want::From(len as u64 - 7), len - 7..len), (Want::Last(3), len - 3..len)];
                for (want, range) in cases {
                    let reader = blobs.get(&me, &stored.digest, want).await.unwrap().unwrap();
                    assert_eq!(reader.range, range.start as u64..range.end as u64);
                    assert_eq!(reader.total, len as u64);
                    assert!(collect(reader).await == data[range]);
                }
                let past = blobs.get(&me, &stored.digest, Want::From(len as u64)).await;
                assert!(matches!(past, Err(Error::Range { total }) if total == len as u64), "{past:?}");
            }
            assert!(blobs.delete(&me, &stored.digest).await.unwrap());
            assert!(!blobs.delete(&me, &stored.digest).await.unwrap());
            assert!(blobs.get(&me, &stored.digest, Want::All).await.unwrap().is_none());
            assert!(blobs.get(&me, &stored.digest, Want::Last(1)).await.unwrap().is_none());
        }
    }
}

#[tokio::test]
async fn wrong_digest_leaves_nothing() {
    for (blobs, dir) in stores() {
        let me = owner("prj_a");
        let wrong = Digest::of(b"something else");
        for len in [10, 9 << 20] {
            let result = blobs.put(&me, chunks(&noise(len), 1 << 16), Some(&wrong)).await;
            assert!(matches!(result, Err(Error::DigestMismatch { .. })), "{result:?}");
        }
        assert_eq!(blobs.size(&me, &wrong).await.unwrap(), None);
        if let Some(dir) = &dir {
            assert_eq!(files(dir.path()), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn a_digest_alone_grants_nothing() {
    for (blobs, _dir) in stores() {
        let (a, b) = (owner("prj_a"), owner("prj_b"));
        let digest = blobs.put_bytes(&a, "secret").await.unwrap().digest;
        assert_eq!(blobs.size(&b, &digest).await.unwrap(), None);
        assert!(blobs.get(&b, &digest, Want::All).await.unwrap().is_none());
        assert!(!blobs.link(&owner("prj_c"), &digest, &b).await.unwrap());
        assert!(blobs.link(&a, &digest, &b).await.unwrap());
        assert!(blobs.link(&a, &digest, &b).await.unwrap());
        blobs.purge(&a).await.unwrap();
        assert_eq!(blobs.size(&a, &digest).await.unwrap(), None);
        assert_eq!(blobs.read(&b, &digest, 100).await.unwrap().unwrap(), "secret");
        assert!(matches!(blobs.read(&b, &digest, 5).await, Err(Error::TooLarge { limit: 5 })));
    }
}

#[tokio::test]
async fn uploads_resume() {
    for (blobs, _dir) in stores() {
        let (me, k) = (owner("prj_a"), key("u1"));
        let data = noise(21 << 20);
        let digest = Digest::of(&data);
        assert!(matches!(blobs.upload_append(&me, &k, None, chunks(b"x", 1)).await, Err(Error::UploadUnknown)));
        blobs.upload_start(&me, &k).await.unwrap();
        assert!(blobs.upload_start(&me, &k).await.is_err());
        assert_eq!(blobs.upload_size(&me, &k).await.unwrap(), Some(0));
        let mut at = 0;
        for size in [1, 3 << 20, 9 << 20, 500] {
            let next = blobs.upload_append(&me, &k, Some(at as u64), chunks(&data[at..at + size], 65_536)).await.unwrap();
            at += size;
            assert_eq!(next, at as u64);
        }
        // overlap and gap
        for offset in [0, at as u64 - 1, at as u64 + 1] {
            let result = blobs.upload_append(&me, &k, Some(offset), chunks(b"x", 1)).await;
            assert!(matches!(result, Err(Error::OffsetMismatch { stored, .. }) if stored == at as u64), "{result:?}");
        }
        // a body that breaks keeps what came
        let broken = chunks(&data[at..at + 1000], 100).chain(futures::stream::iter([Err("gone".into())])).boxed();
        assert!(matches!(blobs.upload_append(&me, &k, None, broken).await, Err(Error::Body(_))));
        at += 1000;
        assert_eq!(blobs.upload_size(&me, &k).await.unwrap(), Some(at as u64));
        assert_eq!(blobs.upload_append(&me, &k, None, chunks(&data[at..], 65_536)).await.unwrap(), data.len() as u64);
        let stored = blobs.upload_finish(&me, &k, &digest).await.unwrap();
        assert_eq!(stored, Stored { digest, size: data.len() as u64 });
        assert!(collect(blobs.get(&me, &digest, Want::All).await.unwrap().unwrap()).await == data);
        assert!(matches!(blobs.upload_finish(&me, &k, &digest).await, Err(Error::UploadUnknown)));
        assert_eq!(blobs.upload_size(&me, &k).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_upload_with_the_wrong_digest_is_gone() {
    for (blobs, dir) in stores() {
        let (me, k) = (owner("prj_a"), key("u1"));
        for data in [noise(100), noise(10 << 20), Vec::new()] {
            blobs.upload_start(&me, &k).await.unwrap();
            blobs.upload_append(&me, &k, None, chunks(&data, 4096)).await.unwrap();
            let result = blobs.upload_finish(&me, &k, &Digest::of(b"other")).await;
            assert!(matches!(result, Err(Error::DigestMismatch { .. })), "{result:?}");
            assert_eq!(blobs.upload_size(&me, &k).await.unwrap(), None);
        }
        blobs.upload_start(&me, &k).await.unwrap();
        assert!(blobs.upload_cancel(&me, &k).await.unwrap());
        assert!(!blobs.upload_cancel(&me, &k).await.unwrap());
        if let Some(dir) = &dir {
            assert_eq!(files(dir.path()), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn the_janitor_takes_only_what_is_idle() {
    for (blobs, _dir) in stores() {
        let me = owner("prj_a");
        let digest = blobs.put_bytes(&me, "kept").await.unwrap().digest;
        blobs.upload_start(&me, &key("old")).await.unwrap();
        blobs.upload_append(&me, &key("old"), None, chunks(&noise(9 << 20), 65_536)).await.unwrap();
        assert_eq!(blobs.sweep(Duration::from_secs(60)).await.unwrap().count, 0);
        assert!(blobs.upload_size(&me, &key("old")).await.unwrap().is_some());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(blobs.sweep(Duration::ZERO).await.unwrap().count, 1);
        assert_eq!(blobs.upload_size(&me, &key("old")).await.unwrap(), None);
        assert_eq!(blobs.read(&me, &digest, 10).await.unwrap().unwrap(), "kept");
        blobs.check().await.unwrap();
    }
}

#[tokio::test]
async fn limits_hold_while_bytes_arrive() {
    for (blobs, _dir) in stores() {
        let (me, small) = (owner("prj_a"), blobs.limited(1000));
        assert!(matches!(small.put(&me, chunks(&noise(1001), 100), None).await, Err(Error::TooLarge { limit: 1000 })));
        assert!(small.put(&me, chunks(&noise(1000), 100), None).await.is_ok());
        small.upload_start(&me, &key("u")).await.unwrap();
        small.upload_append(&me, &key("u"), None, chunks(&noise(600), 100)).await.unwrap();
        assert!(matches!(small.upload_append(&me, &key("u"), None, chunks(&noise(600), 100)).await, Err(Error::TooLarge { .. })));
    }
}

/// All files below a directory.
fn files(root: &std::path::Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut stack = vec![root.to_path_buf()];
    while let Some(dir) = stack.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { stack.push(path) } else { out.push(path.display().to_string()) }
        }
    }
    out
}

#[tokio::test]
async fn another_process_takes_an_upload_over() {
    let dir = tempfile::tempdir().unwrap();
    let (me, k, data) = (owner("prj_a"), key("u1"), noise(3 << 20));
    let first = Blobs::over(Directory::open(dir.path()).unwrap());
    first.upload_start(&me, &k).await.unwrap();
    first.upload_append(&me, &k, None, chunks(&data[..2_000_000], 65_536)).await.unwrap();
    drop(first);
    // a process that starts anew knows no hash state and reads the file again
    let second = Blobs::over(Directory::open(dir.path()).unwrap());
    second.upload_append(&me, &k, Some(2_000_000), chunks(&data[2_000_000..], 65_536)).await.unwrap();
    assert_eq!(second.upload_finish(&me, &k, &Digest::of(&data)).await.unwrap().size, data.len() as u64);
}

#[tokio::test]
async fn two_writers_of_one_upload_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (me, k) = (owner("prj_a"), key("u1"));
    let (a, b) = (Blobs::over(Directory::open(dir.path()).unwrap()), Blobs::over(Directory::open(dir.path()).unwrap()));
    a.upload_start(&me, &k).await.unwrap();
    let (send, receive) = tokio::sync::mpsc::channel::<Bytes>(1);
    let slow = futures::stream::unfold(receive, |mut r| async move { r.recv().await.map(|c| (Ok(c), r)) }).boxed();
    let (a2, me2, k2) = (a.clone(), me.clone(), k.clone());
    let writing = tokio::spawn(async move { a2.upload_append(&me2, &k2, None, slow).await });
    send.send(Bytes::from_static(b"one")).await.unwrap();
    send.send(Bytes::from_static(b"two")).await.unwrap();
    assert!(matches!(b.upload_append(&me, &k, None, chunks(b"x", 1)).await, Err(Error::UploadBusy)));
    drop(send);
    assert_eq!(writing.await.unwrap().unwrap(), 6);
    assert_eq!(b.upload_append(&me, &k, Some(6), chunks(b"x", 1)).await.unwrap(), 7);
}

#[tokio::test]
async fn what_a_crash_leaves_is_swept_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let me = owner("prj_a");
    let blobs = Blobs::over(Directory::open(dir.path()).unwrap());
    // a put cut off by its client
    let endless = chunks(&noise(4 << 20), 65_536).chain(futures::stream::pending()).boxed();
    let put = tokio::time::timeout(Duration::from_millis(300), blobs.put(&me, endless, None)).await;
    assert!(put.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(files(dir.path()), Vec::<String>::new());
    // a process killed in the middle of one leaves its temporary file
    std::fs::write(dir.path().join(".uploads/prj_a/.put-dead"), b"half").unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(blobs.sweep(Duration::ZERO).await.unwrap(), Swept { count: 1, bytes: 4 });
    assert_eq!(files(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_truncated_file_is_an_error_not_a_short_answer() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::over(Directory::open(dir.path()).unwrap());
    let digest = blobs.put_bytes(&owner("prj_a"), noise(3 << 20)).await.unwrap().digest;
    let reader = blobs.get(&owner("prj_a"), &digest, Want::All).await.unwrap().unwrap();
    let path = files(dir.path()).pop().unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_len(1 << 20).unwrap();
    assert!(reader.body.try_collect::<Vec<_>>().await.is_err());
}

#[test]
fn urls() {
    let dir = tempfile::tempdir().unwrap();
    for url in
        [format!("file:{}/a", dir.path().display()), format!("file://{}/b", dir.path().display()), format!("{}/c", dir.path().display())]
    {
        assert!(Blobs::open(&url).is_ok(), "{url}");
    }
    for bad in ["", "ftp://x/y", "relative/path", "s3://"] {
        assert!(matches!(Blobs::open(bad), Err(Error::Config(_))), "{bad}");
    }
}
