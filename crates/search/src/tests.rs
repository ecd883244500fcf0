//! The embedded index against plain scanning, under repetition, change, damage and crash.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;

fn put(path: &str, content: &str) -> Change {
    // the oid only needs to name the content
    let oid = format!("{:040x}", content.bytes().fold(7u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b))));
    Change::Put { path: path.into(), oid, content: content.as_bytes().to_vec() }
}

fn remove(path: &str) -> Change {
    Change::Remove { path: path.into() }
}

fn batch(changes: Vec<Change>, marker: &str) -> Batch {
    Batch { changes, marker: Some(marker.into()) }
}

async fn paths(index: &dyn Index, query: Query) -> Vec<String> {
    let mut paths: Vec<String> = index.search(query).await.unwrap().hits.into_iter().map(|h| h.path).collect();
    paths.sort();
    paths
}

fn folder_of(root: &Path, project: ProjectId) -> std::path::PathBuf {
    let name = project.uuid().simple().to_string();
    root.join(&name[30..]).join(&name)
}

#[tokio::test]
async fn finds_text_names_and_expressions() {
    let dir = TempDir::new().unwrap();
    let index = Embedded::open(dir.path()).unwrap();
    let p = ProjectId::new();
    assert_eq!(index.marker(p).await.unwrap(), None);
    index
        .apply(
            p,
            batch(
                vec![
                    put("src/main.rs", "fn main() {\n    Hello::world();\n}\n"),
                    put("src/hello.rs", "// says nothing\n"),
                    put("docs/a.md", "hello, HELLO world\n"),
                    put("bin", "hello\0"),
                    put("big.txt", &"hello ".repeat(200_000)),
                ],
                "c1",
            ),
        )
        .await
        .unwrap();
    assert_eq!(index.marker(p).await.unwrap().as_deref(), Some("c1"));
    let found = index.search(Query::text("hello", vec![p])).await.unwrap();
    assert!(found.complete);
    let order: Vec<&str> = found.hits.iter().map(|h| h.path.as_str()).collect();
    assert_eq!(order, ["src/hello.rs", "docs/a.md", "src/main.rs"]);
    assert_eq!(found.hits[0].path_ranges, [(4, 9)]);
    assert_eq!(found.hits[1].matches, [LineMatch { line: 1, text: "hello, HELLO world".into(), ranges: vec![(0, 5), (7, 12)] }]);
    assert_eq!(found.hits[2].matches[0].line, 2);
    let with = |f: fn(&mut Query)| {
        let mut q = Query::text("Hello", vec![p]);
        f(&mut q);
        q
    };
    assert_eq!(paths(&index, with(|q| q.case_sensitive = true)).await, ["src/main.rs"]);
    assert_eq!(
        paths(
            &index,
            with(|q| {
                q.regex = true;
                q.pattern = r"h\w+o(,|::)".into();
            })
        )
        .await,
        ["docs/a.md", "src/main.rs"]
    );
    assert_eq!(paths(&index, with(|q| q.pattern = "no such thing".into())).await, Vec::<String>::new());
    assert_eq!(paths(&index, with(|q| q.pattern = "}".into())).await, ["src/main.rs"]);
    assert_eq!(paths(&index, with(|q| q.projects.clear())).await, Vec::<String>::new());
    assert_eq!(paths(&index, with(|q| q.offset = 2)).await, ["src/main.rs"]);
    assert!(matches!(index.search(with(|q| q.pattern.clear())).await, Err(Error::Pattern(_))));
}

#[tokio::test]
async fn projects_are_apart() {
    let dir = TempDir::new().unwrap();
    let index = Embedded::open(dir.path()).unwrap();
    let all: Vec<ProjectId> = (0..600).map(|_| ProjectId::new()).collect();
    for (i, p) in all.iter().enumerate() {
        index.apply(*p, batch(vec![put("f", &format!("secret number {i};\n"))], "m")).await.unwrap();
    }
    let found = index.search(Query { limit: 1000, ..Query::text("secret", all[..500].to_vec()) }).await.unwrap();
    assert_eq!((found.hits.len(), found.total), (500, 500));
    assert_eq!(found.hits.iter().map(|h| h.project).collect::<Vec<_>>(), all[..500]);
    let found = index.search(Query::text("number 599;", vec![all[599], all[0]])).await.unwrap();
    assert_eq!(found.hits.len(), 1);
    index.forget(all[599]).await.unwrap();
    assert_eq!(index.search(Query::text("secret", vec![all[599]])).await.unwrap().total, 0);
    assert_eq!(index.marker(all[599]).await.unwrap(), None);
    assert!(!folder_of(dir.path(), all[599]).exists());
}

/// Small texts over a small alphabet, so that everything happens often.
fn dice(seed: &mut u64, n: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % n
}

#[tokio::test]
async fn agrees_with_plain_scanning_through_many_changes() {
    let dir = TempDir::new().unwrap();
    let p = ProjectId::new();
    let mut truth: BTreeMap<String, String> = BTreeMap::new();
    let mut seed = 42;
    let words = ["alpha", "beta", "gamma", "Delta", "eps", "zeta_eta", "θήτα", "x", "fn main()", "\r"];
    let mut index = Embedded::open(dir.path()).unwrap();
    for round in 0..120 {
        let mut changes = Vec::new();
        for _ in 0..dice(&mut seed, 30) {
            let path = format!("d{}/f{}", dice(&mut seed, 5), dice(&mut seed, 60));
            if dice(&mut seed, 4) == 0 {
                truth.remove(&path);
                changes.push(remove(&path));
            } else {
                let text: String = (0..dice(&mut seed, 40))
                    .map(|_| format!("{}{}", words[dice(&mut seed, 10) as usize], if dice(&mut seed, 5) == 0 { '\n' } else { ' ' }))
                    .collect();
                changes.push(put(&path, &text));
                truth.insert(path, text);
            }
        }
        let once = batch(changes, &format!("m{round}"));
        index.apply(p, once.clone()).await.unwrap();
        if round % 7 == 0 {
            index.apply(p, once).await.unwrap();
        }
        if round % 20 == 19 {
            index = Embedded::open(dir.path()).unwrap();
        }
        assert_eq!(index.stats(p).await.unwrap().files, truth.len() as u64, "round {round}");
    }
    assert_eq!(index.marker(p).await.unwrap().as_deref(), Some("m119"));
    for pattern in ["alpha", "delta", "DELTA", "beta gamma", "main()", "θήτα", "eps x", "eta", "zz", "x x", "d1/f1"] {
        for case_sensitive in [false, true] {
            let query = Query { case_sensitive, limit: 1000, ..Query::text(pattern, vec![p]) };
            let fold = |s: &str| if case_sensitive { s.to_owned() } else { s.to_lowercase() };
            let want: Vec<String> = truth
                .iter()
                .filter(|(path, text)| fold(path).contains(&fold(pattern)) || text.lines().any(|l| fold(l).contains(&fold(pattern))))
                .map(|(path, _)| path.clone())
                .collect();
            assert_eq!(paths(&index, query).await, want, "{pattern} {case_sensitive}");
        }
    }
    let stats = index.stats(p).await.unwrap();
    assert!(stats.segments < 16, "{stats:?}");
}

#[tokio::test]
async fn the_same_again_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let index = Embedded::open(dir.path()).unwrap();
    let p = ProjectId::new();
    let once = batch(vec![put("a", "text one"), put("b", "text two"), remove("c")], "m");
    index.apply(p, once.clone()).await.unwrap();
    let manifest = folder_of(dir.path(), p).join("manifest");
    let before = (std::fs::read(&manifest).unwrap(), std::fs::metadata(&manifest).unwrap().modified().unwrap());
    index.apply(p, once).await.unwrap();
    assert_eq!(before, (std::fs::read(&manifest).unwrap(), std::fs::metadata(&manifest).unwrap().modified().unwrap()));
    index.apply(p, Batch { changes: vec![put("a", "other")], marker: None }).await.unwrap();
    assert_eq!(index.marker(p).await.unwrap().as_deref(), Some("m"));
    assert_eq!(paths(&index, Query::text("text", vec![p])).await, ["b"]);
}

#[tokio::test]
async fn a_crash_leaves_the_old_state_and_is_swept_up() {
    let dir = TempDir::new().unwrap();
    let p = ProjectId::new();
    let index = Embedded::open(dir.path()).unwrap();
    index.apply(p, batch(vec![put("a", "first text")], "m1")).await.unwrap();
    let folder = folder_of(dir.path(), p);
    // what a crash between the segment and the manifest leaves
    std::fs::write(folder.join("0000000000000001.segment"), b"half").unwrap();
    std::fs::write(folder.join("0000000000000002.new"), b"half").unwrap();
    std::fs::write(folder.join("manifest.new"), b"{").unwrap();
    let index = Embedded::open(dir.path()).unwrap();
    assert_eq!(index.marker(p).await.unwrap().as_deref(), Some("m1"));
    index.apply(p, batch(vec![put("b", "second text")], "m2")).await.unwrap();
    assert_eq!(paths(&index, Query::text("text", vec![p])).await, ["a", "b"]);
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["0000000000000000.segment", "0000000000000001.segment", "manifest"]);
}

#[tokio::test]
async fn damage_is_seen_and_sends_back_to_the_start() {
    for (what, place) in [("manifest", 0usize), ("0000000000000000.segment", 40), ("0000000000000000.segment", usize::MAX)] {
        let dir = TempDir::new().unwrap();
        let p = ProjectId::new();
        let text: String = (0..2000).map(|i| format!("needle line {i}\n")).collect();
        Embedded::open(dir.path()).unwrap().apply(p, batch(vec![put("a", &text)], "m1")).await.unwrap();
        let file = folder_of(dir.path(), p).join(what);
        let mut bytes = std::fs::read(&file).unwrap();
        let at = place.min(bytes.len() - 10);
        for b in &mut bytes[at..at + 8] {
            *b = !*b;
        }
        std::fs::write(&file, bytes).unwrap();
        let index = Embedded::open(dir.path()).unwrap();
        let found = index.search(Query::text("needle", vec![p])).await.unwrap();
        assert_eq!(found.total, 0, "{what} {place}");
        assert_eq!(index.marker(p).await.unwrap(), None, "{what} {place}");
        index.apply(p, batch(vec![put("a", &text)], "m2")).await.unwrap();
        assert_eq!(index.search(Query::text("needle", vec![p])).await.unwrap().total, 1);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    /// Whatever the damage: an error or an answer, never a panic.
    #[test]
    fn any_segment_file_is_survived(at in 0usize..3000, value in proptest::prelude::any::<u8>(), cut in 0usize..3000) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("s");
        let documents = (0..20).map(|i| segment::NewDocument { path: format!("p{i}"), oid: "00".into(), content: Some(format!("some text {i}").into_bytes()) }).collect();
        segment::write(std::fs::File::create(&path).unwrap(), documents, &mut trigram::Extractor::new()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] = value;
        bytes.truncate(bytes.len().saturating_sub(cut / 1000));
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(segment) = segment::Segment::open(&path) {
            let need = trigram::need("some text", true);
            if let Ok(Some(list)) = segment.candidates(&need, 0) {
                for n in list {
                    if let Ok(d) = segment.document(n) { let _ = segment.content(&d); }
                }
            }
            let _ = segment.documents();
            let _ = segment.locate(&["p1"]);
        }
    }
}

#[test]
fn a_search_server_is_refused_in_clear_words() {
    let dir = TempDir::new().unwrap();
    let error = open(Some("http://user:pass@host:9200"), dir.path()).err().unwrap().to_string();
    assert!(error.contains("DEVMENTOR_SEARCH_URL") && !error.contains("pass"), "{error}");
    assert_eq!(open(None, dir.path()).unwrap().kind(), "embedded");
}
