use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::dockerfile::expand;
use super::*;

fn build_in(dir: &Path, text: &str) -> Result<BuiltImage, Problem> {
    build_with(dir, text, &[], None)
}

fn build_with(dir: &Path, text: &str, args: &[(&str, &str)], target: Option<&str>) -> Result<BuiltImage, Problem> {
    let root = dir.canonicalize().unwrap();
    let context = root.join("ctx");
    let scratch = root.join("scratch");
    fs::create_dir_all(&scratch).unwrap();
    let ignore = Ignore::parse(&fs::read_to_string(context.join(".dockerignore")).unwrap_or_default()).unwrap();
    let args = args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    build(&BuildRequest {
        dockerfile: &parse(text)?,
        root: &root,
        context: &context,
        ignore: &ignore,
        args: &args,
        labels: &BTreeMap::new(),
        target,
        scratch: &scratch,
    })
}

fn context(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join("ctx").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

fn names(layer: &Layer) -> Vec<String> {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(&layer.file).unwrap()));
    tar.entries().unwrap().map(|e| e.unwrap().path().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_static_root_becomes_an_image() {
    let dir = context(&[("app", "binary"), ("public/index.html", "<p>"), ("public/skip.map", "x"), (".dockerignore", "**/*.map\n")]);
    let text = "ARG DIR=srv\nFROM scratch\nARG DIR\nENV PORT=80 NAME=\"a b\"\nLABEL org.x=\"$NAME\"\nWORKDIR /$DIR\nCOPY public ./public\n\
                COPY --chown=1:2 --chmod=755 app /usr/bin/app\nEXPOSE ${PORT} 53/udp\nUSER 65532:65532\nENTRYPOINT [\"/usr/bin/app\"]\nCMD serve now\n";
    let image = build_in(dir.path(), text).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&image.config).unwrap();
    let config = &config["config"];
    assert_eq!(config["Env"][1], "PORT=80");
    assert_eq!(config["Labels"]["org.x"], "a b");
    assert_eq!(config["WorkingDir"], "/srv");
    assert_eq!(config["Entrypoint"][0], "/usr/bin/app");
    assert_eq!(config["Cmd"], serde_json::json!(["/bin/sh", "-c", "serve now"]));
    assert!(config["ExposedPorts"]["80/tcp"].is_object() && config["ExposedPorts"]["53/udp"].is_object());
    assert_eq!(image.layers.len(), 3);
    assert_eq!(names(&image.layers[1]), ["srv/public/", "srv/public/index.html"]);
    assert_eq!(names(&image.layers[2]), ["usr/", "usr/bin/", "usr/bin/app"]);
    let manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
    assert_eq!(manifest["config"]["digest"], image.config_digest);
    assert_eq!(manifest["layers"][2]["digest"], image.layers[2].digest);
    for layer in &image.layers {
        assert_eq!(digest(&fs::read(&layer.file).unwrap()), layer.digest);
    }
}

#[test]
fn the_same_files_give_the_same_digest() {
    let text = "FROM scratch\nCOPY . /\n";
    let make = || {
        let dir = context(&[("b", "2"), ("a/x", "1"), ("a/y", "1")]);
        build_in(dir.path(), text).unwrap().digest
    };
    let first = make();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(first, make());
    let other = context(&[("b", "3"), ("a/x", "1"), ("a/y", "1")]);
    assert_ne!(first, build_in(other.path(), text).unwrap().digest);
}

#[test]
fn stages_that_copy_only_work_and_unneeded_ones_are_not_built() {
    let dir = context(&[("app", "b"), ("conf/x", "y")]);
    let text = "FROM rust AS build\nRUN cargo build\nFROM scratch AS base\nCOPY conf /etc/conf\nFROM base\nCOPY app /app\nCOPY --from=base /etc/conf/x /x\n";
    let image = build_in(dir.path(), text).unwrap();
    assert_eq!(names(&image.layers[2]), ["x"]);
    let problem = build_with(dir.path(), text, &[], Some("build")).unwrap_err();
    assert!(problem.to_string().starts_with("Dockerfile:1: FROM rust needs a Docker engine"), "{problem}");
}

#[test]
fn what_needs_an_engine_or_is_wrong_is_located() {
    let dir = context(&[("app", "b"), ("a.tgz", "\x1f\u{8b}")]);
    fs::write(dir.path().join("ctx/a.tgz"), [0x1f, 0x8b, 8, 0]).unwrap();
    for (text, expected) in [
        ("FROM scratch\n\n# c\nRUN make\n", "Dockerfile:4: RUN make: needs a Docker engine"),
        ("FROM scratch\nCOPY missing /x\n", "Dockerfile:2: `missing` is not in the build context"),
        ("FROM scratch\nCOPY app app /x\n", "Dockerfile:2: with several sources"),
        ("FROM scratch\nADD https://x/y /y\n", "Dockerfile:2: ADD https://x/y: addresses"),
        ("FROM scratch\nADD a.tgz /y\n", "Dockerfile:2: ADD a.tgz: archives"),
        ("FROM scratch\nCOPY --chown=www app /x\n", "Dockerfile:2: --chown=www: names"),
        ("FROM scratch\nCOPY --from=other /a /x\n", "Dockerfile:2: --from=other is not an earlier stage"),
        ("FROM --platform=linux/arm64 scratch\n", "Dockerfile:1: FROM --platform"),
        ("COPY a b\n", "Dockerfile:1: COPY before the first FROM"),
        ("FROM scratch\nFLY away\n", "Dockerfile:2: unknown instruction FLY"),
        ("", "Dockerfile:1: there is no FROM"),
    ] {
        let problem = build_in(dir.path(), text).unwrap_err().to_string();
        assert!(problem.starts_with(expected), "{problem}");
    }
}

#[test]
fn links_never_lead_out() {
    let dir = context(&[("d/a", "1")]);
    fs::write(dir.path().join("outside"), "s").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("ctx/passwd")).unwrap();
    std::os::unix::fs::symlink("/etc", dir.path().join("ctx/d/etc")).unwrap();
    assert!(build_in(dir.path(), "FROM scratch\nCOPY passwd /x\n").unwrap_err().message.contains("leads out"));
    assert!(build_in(dir.path(), "FROM scratch\nCOPY ../../etc/passwd /x\n").is_err());
    let image = build_in(dir.path(), "FROM scratch\nCOPY d /d\n").unwrap();
    assert_eq!(names(&image.layers[0]), ["d/", "d/a", "d/etc"]);
}

#[test]
fn variables() {
    let vars = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
    for (text, value) in [
        ("$A-${A}", "1-1"),
        ("${B:-x$A}", "x1"),
        ("${E:-d}", "d"),
        ("${A:+y}${B:+z}", "y"),
        ("\\$A $", "$A $"),
        ("a\\b", "a\\b"),
        ("$Ab", ""),
    ] {
        assert_eq!(expand(text, &vars).unwrap(), value, "{text}");
    }
    assert!(expand("${A", &vars).is_err() && expand("${A%x}", &vars).is_err());
}

#[test]
fn lines_and_forms() {
    let file = parse("# escape=`\nfrom scratch as Base\nenv A=1 `\n  # comment\n  B='x $y'\ncopy [\"a b\", \"/c\"]\nENV old style value\n")
        .unwrap();
    let stage = &file.stages[0];
    assert_eq!(stage.name.as_deref(), Some("base"));
    assert_eq!(stage.instructions[0].1, Instruction::Env(vec![("A".into(), "1".into()), ("B".into(), "x \\$y".into())]));
    assert_eq!(stage.instructions[0].0, 3);
    assert!(matches!(&stage.instructions[1].1, Instruction::Copy { sources, target, .. } if sources == &["a b"] && target == "/c"));
    assert_eq!(stage.instructions[2].1, Instruction::Env(vec![("old".into(), "style value".into())]));
}
