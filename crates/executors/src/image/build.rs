//! Carries out the instructions of a Dockerfile that need no program run.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use globset::GlobBuilder;
use serde_json::{Map, Value, json};

use super::dockerfile::{CommandForm, Dockerfile, Instruction, Problem, Stage, expand};
use super::ignore::Ignore;
use super::layer::{self, Kind, Layer, Node, Tree, digest};
use super::{CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE};
use crate::sandbox::open_beneath;

/// What every image has for `PATH` unless it says otherwise.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The only time in the result.
const EPOCH: &str = "1970-01-01T00:00:00Z";
/// Most entries of one image.
const ENTRIES_MAX: usize = 500_000;

/// What to build.
#[derive(Clone, Debug)]
pub struct BuildRequest<'a> {
    /// The Dockerfile, read.
    pub dockerfile: &'a Dockerfile,
    /// No file outside is ever read; `context` lies below it.
    pub root: &'a Path,
    /// Where sources are looked for.
    pub context: &'a Path,
    /// What of the context does not count.
    pub ignore: &'a Ignore,
    /// Values for `ARG`.
    pub args: &'a BTreeMap<String, String>,
    /// Labels to add.
    pub labels: &'a BTreeMap<String, String>,
    /// Stage to stop at; the last one when none.
    pub target: Option<&'a str>,
    /// Where layers are written.
    pub scratch: &'a Path,
}

/// An image, ready to push.
#[derive(Clone, Debug)]
pub struct BuiltImage {
    /// Its configuration.
    pub config: Bytes,
    /// `sha256:…` of the configuration.
    pub config_digest: String,
    /// Layers from the bottom up.
    pub layers: Vec<Layer>,
    /// Its manifest.
    pub manifest: Bytes,
    /// `sha256:…` of the manifest: the image's digest.
    pub digest: String,
}

/// A stage while and after it is built.
#[derive(Clone, Default)]
struct Built {
    tree: Tree,
    layers: Vec<Layer>,
    env: Vec<(String, String)>,
    labels: BTreeMap<String, String>,
    exposed: BTreeMap<String, Value>,
    volumes: BTreeMap<String, Value>,
    user: String,
    workdir: String,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    stop_signal: Option<String>,
    shell: Vec<String>,
    history: Vec<Value>,
}

/// Builds an image. Blocking: call it where that is allowed.
///
/// # Errors
/// The first instruction that cannot be done without a Docker engine, or whose files are not there.
pub fn build(request: &BuildRequest<'_>) -> Result<BuiltImage, Problem> {
    let stages = &request.dockerfile.stages;
    let wanted = match request.target {
        None => stages.len() - 1,
        Some(name) => find(stages, stages.len(), name).ok_or_else(|| Problem::new(1, format!("there is no stage `{name}`")))?,
    };
    let mut builder = Builder { request, done: HashMap::new(), serial: 0 };
    let built = builder.stage(wanted)?;
    Ok(finish(built, request.labels))
}

/// Finds a stage before `limit` by name or number.
fn find(stages: &[Stage], limit: usize, name: &str) -> Option<usize> {
    let by_name = stages[..limit].iter().position(|s| s.name.as_deref() == Some(&name.to_ascii_lowercase()));
    by_name.or_else(|| name.parse().ok().filter(|&n| n < limit))
}

struct Builder<'a> {
    request: &'a BuildRequest<'a>,
    done: HashMap<usize, Built>,
    serial: usize,
}

impl Builder<'_> {
    fn stage(&mut self, index: usize) -> Result<Built, Problem> {
        if let Some(built) = self.done.get(&index) {
            return Ok(built.clone());
        }
        let file = self.request.dockerfile;
        let stage = &file.stages[index];
        let mut args: BTreeMap<String, String> = BTreeMap::new();
        for (name, default) in &file.global_args {
            let value = self.request.args.get(name).cloned().or_else(|| default.clone()).unwrap_or_default();
            let value = expand(&value, &args).map_err(|e| Problem::new(stage.line, e))?;
            args.insert(name.clone(), value);
        }
        if stage.platform.is_some() {
            return Err(Problem::new(stage.line, "FROM --platform needs a Docker engine"));
        }
        let base = expand(&stage.base, &args).map_err(|e| Problem::new(stage.line, e))?;
        let mut built = if base.eq_ignore_ascii_case("scratch") {
            Built {
                env: vec![("PATH".into(), DEFAULT_PATH.into())],
                shell: vec!["/bin/sh".into(), "-c".into()],
                workdir: "/".into(),
                ..Built::default()
            }
        } else if let Some(earlier) = find(&file.stages, index, &base) {
            self.stage(earlier)?
        } else {
            let message = format!("FROM {base} needs a Docker engine: without one, images start from scratch");
            return Err(Problem::new(stage.line, message));
        };
        let globals = args;
        let mut vars: BTreeMap<String, String> = BTreeMap::new();
        for (line, instruction) in &stage.instructions {
            let mut seen = vars.clone();
            seen.extend(built.env.iter().cloned());
            self.carry_out(*line, instruction, index, &mut built, &mut vars, &seen, &globals)?;
        }
        self.done.insert(index, built.clone());
        Ok(built)
    }

    #[expect(clippy::too_many_arguments, reason = "the state of a stage, passed on as it is")]
    fn carry_out(
        &mut self,
        line: usize,
        instruction: &Instruction,
        index: usize,
        built: &mut Built,
        vars: &mut BTreeMap<String, String>,
        seen: &BTreeMap<String, String>,
        globals: &BTreeMap<String, String>,
    ) -> Result<(), Problem> {
        let text = |value: &str| expand(value, seen).map_err(|e| Problem::new(line, e));
        let note = |said: String| json!({ "created": EPOCH, "created_by": said, "empty_layer": true });
        match instruction {
            Instruction::Arg(args) => {
                for (name, default) in args {
                    let given = self.request.args.get(name).cloned();
                    let value = match (given, default) {
                        (Some(value), _) => Some(value),
                        (None, Some(default)) => Some(text(default)?),
                        (None, None) => globals.get(name).cloned(),
                    };
                    vars.insert(name.clone(), value.unwrap_or_default());
                }
                return Ok(());
            }
            Instruction::Env(pairs) => {
                for (name, value) in pairs {
                    let value = text(value)?;
                    match built.env.iter_mut().find(|(known, _)| known == name) {
                        Some(known) => known.1 = value,
                        None => built.env.push((name.clone(), value)),
                    }
                }
                built.history.push(note(format!("ENV {}", shown(pairs))));
            }
            Instruction::Label(pairs) => {
                for (name, value) in pairs {
                    built.labels.insert(text(name)?, text(value)?);
                }
                built.history.push(note(format!("LABEL {}", shown(pairs))));
            }
            Instruction::Expose(ports) => {
                for port in ports {
                    let port = text(port)?;
                    built.exposed.insert(if port.contains('/') { port } else { format!("{port}/tcp") }, json!({}));
                }
                built.history.push(note(format!("EXPOSE {}", ports.join(" "))));
            }
            Instruction::User(user) => {
                built.user = text(user)?;
                built.history.push(note(format!("USER {}", built.user)));
            }
            Instruction::Workdir(dir) => {
                built.workdir = format!("/{}", inside(&built.workdir, &text(dir)?).display());
                let dir = PathBuf::from(built.workdir.trim_start_matches('/'));
                let mut tree = Tree::new();
                parents(&dir.join("x"), &built.tree, &mut tree);
                let said = format!("WORKDIR {}", built.workdir);
                self.layer(line, built, tree, said)?;
            }
            Instruction::Entrypoint(form) => {
                built.entrypoint = Some(argv(form, &built.shell));
                // an entrypoint takes back the command of the base
                built.cmd = None;
                built.history.push(note(format!("ENTRYPOINT {}", json!(built.entrypoint))));
            }
            Instruction::Cmd(form) => {
                built.cmd = Some(argv(form, &built.shell));
                built.history.push(note(format!("CMD {}", json!(built.cmd))));
            }
            Instruction::Volume(paths) => {
                for path in paths {
                    built.volumes.insert(text(path)?, json!({}));
                }
                built.history.push(note(format!("VOLUME {}", paths.join(" "))));
            }
            Instruction::StopSignal(signal) => built.stop_signal = Some(text(signal)?),
            Instruction::Shell(shell) => built.shell = shell.clone(),
            Instruction::Run(what) => {
                return Err(Problem::new(line, format!("RUN {what}: needs a Docker engine; do it in a step before the image is built")));
            }
            Instruction::Other(what) => {
                return Err(Problem::new(line, format!("{what}: needs a Docker engine")));
            }
            Instruction::Copy { add, from, chown, chmod, sources, target } => {
                let owner = chown.as_deref().map(text).transpose()?.map(|o| owner(line, &o)).transpose()?.unwrap_or((0, 0));
                let mode = chmod.as_deref().map(text).transpose()?;
                let mode = match mode.map(|m| u32::from_str_radix(&m, 8)) {
                    None => None,
                    Some(Ok(mode)) => Some(mode),
                    Some(Err(_)) => return Err(Problem::new(line, "--chmod needs an octal number")),
                };
                let sources = sources.iter().map(|s| text(s)).collect::<Result<Vec<_>, _>>()?;
                let target = text(target)?;
                let found = match from {
                    None => self.found_in_context(line, *add, &sources)?,
                    Some(from) => {
                        let from = text(from)?;
                        let Some(stage) = find(&self.request.dockerfile.stages, index, &from) else {
                            let message = format!("--from={from} is not an earlier stage; other images need a Docker engine");
                            return Err(Problem::new(line, message));
                        };
                        from_tree(line, &self.stage(stage)?.tree, &sources)?
                    }
                };
                let tree = place(line, found, &target, built, owner, mode)?;
                let word = if *add { "ADD" } else { "COPY" };
                self.layer(line, built, tree, format!("{word} {} {target}", sources.join(" ")))?;
            }
        }
        Ok(())
    }

    fn layer(&mut self, line: usize, built: &mut Built, tree: Tree, said: String) -> Result<(), Problem> {
        if tree.is_empty() {
            built.history.push(json!({ "created": EPOCH, "created_by": said, "empty_layer": true }));
            return Ok(());
        }
        built.tree.extend(tree.clone());
        if built.tree.len() > ENTRIES_MAX {
            return Err(Problem::new(line, format!("the image has more than {ENTRIES_MAX} files")));
        }
        self.serial += 1;
        let file = self.request.scratch.join(format!("layer-{}.tar.gz", self.serial));
        let layer = layer::write(&tree, self.request.root, &file).map_err(|e| Problem::new(line, format!("{said}: {e}")))?;
        built.layers.push(layer);
        built.history.push(json!({ "created": EPOCH, "created_by": said }));
        Ok(())
    }

    /// Sources from the build context: each with what lies below it.
    fn found_in_context(&self, line: usize, add: bool, sources: &[String]) -> Result<Vec<Found>, Problem> {
        let mut all = Vec::new();
        for source in sources {
            if add && source.contains("://") {
                return Err(Problem::new(line, format!("ADD {source}: addresses need a Docker engine; fetch it in a step")));
            }
            let relative = inside("/", source);
            let relative_text = relative.to_string_lossy();
            let context = self.request.context;
            let mut matched = Vec::new();
            if relative_text.contains(['*', '?', '[']) {
                let glob = GlobBuilder::new(&relative_text).literal_separator(true).build();
                let glob = glob.map_err(|e| Problem::new(line, format!("`{source}` is not a pattern: {}", e.kind())))?.compile_matcher();
                let depth = relative.components().count();
                let walk = walkdir::WalkDir::new(context).follow_root_links(false).min_depth(1).max_depth(depth).sort_by_file_name();
                for entry in walk.into_iter().flatten() {
                    if let Ok(path) = entry.path().strip_prefix(context)
                        && glob.is_match(path)
                        && !self.request.ignore.leaves_out(path)
                    {
                        matched.push(path.to_owned());
                    }
                }
            } else if relative.as_os_str().is_empty() || context.join(&relative).symlink_metadata().is_ok() {
                matched.push(relative.clone());
            }
            let before = all.len();
            for path in matched {
                all.extend(self.walk(line, &path, add)?);
            }
            if all.len() == before {
                return Err(Problem::new(line, format!("`{source}` is not in the build context, or .dockerignore leaves it out")));
            }
        }
        Ok(all)
    }

    fn walk(&self, line: usize, path: &Path, add: bool) -> Result<Option<Found>, Problem> {
        let request = self.request;
        let start = request.context.join(path);
        // a link named as source is followed, as long as it stays in the job's directories
        let real = start.canonicalize().map_err(|e| Problem::new(line, format!("`{}`: {e}", path.display())))?;
        if !real.starts_with(request.root) {
            return Err(Problem::new(line, format!("`{}` leads out of the build context", path.display())));
        }
        if real.is_file() {
            if path.as_os_str() != "" && request.ignore.leaves_out(path) {
                return Ok(None);
            }
            if add && is_archive(request.root, &real) {
                let message = format!("ADD {}: archives need a Docker engine; unpack it in a step and COPY the result", path.display());
                return Err(Problem::new(line, message));
            }
            let name = path.file_name().map(PathBuf::from).unwrap_or_default();
            let mode = real.metadata().map_or(0o644, |m| m.permissions().mode());
            return Ok(Some(Found { name, single: Some((Kind::File(real), mode)), below: Vec::new() }));
        }
        let mut below = Vec::new();
        let mut walker = walkdir::WalkDir::new(&real).follow_links(false).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = walker.next() {
            let entry = entry.map_err(|e| Problem::new(line, e.to_string()))?;
            let Ok(inner) = entry.path().strip_prefix(&real) else { continue };
            if request.ignore.leaves_out(&path.join(inner)) {
                if entry.file_type().is_dir() && !request.ignore.has_exceptions() {
                    walker.skip_current_dir();
                }
                continue;
            }
            let kind = if entry.file_type().is_dir() {
                Kind::Dir
            } else if entry.file_type().is_symlink() {
                let target = std::fs::read_link(entry.path()).map_err(|e| Problem::new(line, e.to_string()))?;
                Kind::Link(target)
            } else if entry.file_type().is_file() {
                Kind::File(entry.path().to_owned())
            } else {
                continue;
            };
            let mode = entry.metadata().map_or(0o644, |m| m.permissions().mode());
            below.push((inner.to_owned(), kind, mode));
            if below.len() > ENTRIES_MAX {
                return Err(Problem::new(line, format!("more than {ENTRIES_MAX} files")));
            }
        }
        Ok(Some(Found { name: PathBuf::new(), single: None, below }))
    }
}

/// A source: one file, or what lies in a directory.
struct Found {
    name: PathBuf,
    single: Option<(Kind, u32)>,
    below: Vec<(PathBuf, Kind, u32)>,
}

fn from_tree(line: usize, tree: &Tree, sources: &[String]) -> Result<Vec<Found>, Problem> {
    let mut all = Vec::new();
    for source in sources {
        let path = inside("/", source);
        let whole = path.as_os_str().is_empty();
        match tree.get(&path).filter(|node| !matches!(node.kind, Kind::Dir)) {
            Some(node) => {
                let name = path.file_name().map(PathBuf::from).unwrap_or_default();
                all.push(Found { name, single: Some((node.kind.clone(), node.mode)), below: Vec::new() });
            }
            None if whole || tree.contains_key(&path) => {
                let below = tree
                    .iter()
                    .filter_map(|(p, node)| Some((p.strip_prefix(&path).ok()?.to_owned(), node.kind.clone(), node.mode)))
                    .filter(|(p, ..)| !p.as_os_str().is_empty())
                    .collect();
                all.push(Found { name: PathBuf::new(), single: None, below });
            }
            None => return Err(Problem::new(line, format!("`{source}` is not in the earlier stage"))),
        }
    }
    Ok(all)
}

/// Where the sources come to lie in the image.
fn place(line: usize, found: Vec<Found>, target: &str, built: &Built, owner: (u64, u64), mode: Option<u32>) -> Result<Tree, Problem> {
    let to = inside(&built.workdir, target);
    let is_dir =
        target.ends_with('/') || target == "." || target.ends_with("/.") || built.tree.get(&to).is_some_and(|n| n.kind == Kind::Dir);
    if found.len() > 1 && !is_dir {
        return Err(Problem::new(line, format!("with several sources the target `{target}` must end with /")));
    }
    let mut tree = Tree::new();
    let put = |path: PathBuf, kind: Kind, from_mode: u32, tree: &mut Tree| {
        parents(&path, &built.tree, tree);
        let mode = mode.filter(|_| kind != Kind::Dir).unwrap_or(if matches!(kind, Kind::Link(_)) { 0o777 } else { from_mode & 0o7777 });
        tree.insert(path, Node { kind, mode, uid: owner.0, gid: owner.1 });
    };
    for one in found {
        if let Some((kind, mode)) = one.single {
            put(if is_dir || to.as_os_str().is_empty() { to.join(&one.name) } else { to.clone() }, kind, mode, &mut tree);
            continue;
        }
        parents(&to.join("x"), &built.tree, &mut tree);
        for (path, kind, mode) in one.below {
            put(to.join(path), kind, mode, &mut tree);
        }
    }
    Ok(tree)
}

/// Adds the directories above a path that are not there yet.
fn parents(path: &Path, have: &Tree, tree: &mut Tree) {
    for dir in path.ancestors().skip(1).filter(|d| !d.as_os_str().is_empty()) {
        if !have.contains_key(dir) && !tree.contains_key(dir) {
            tree.insert(dir.to_owned(), Node { kind: Kind::Dir, mode: 0o755, uid: 0, gid: 0 });
        }
    }
}

/// A path of the image without its leading slash; `..` never leaves the root.
fn inside(workdir: &str, path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in Path::new("/").join(workdir).join(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

fn owner(line: usize, text: &str) -> Result<(u64, u64), Problem> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    match (user.parse(), group.parse()) {
        (Ok(user), Ok(group)) => Ok((user, group)),
        _ => Err(Problem::new(line, format!("--chown={text}: names need a Docker engine, give numbers"))),
    }
}

fn is_archive(root: &Path, file: &Path) -> bool {
    let Ok(Ok(mut file)) = file.strip_prefix(root).map(|inside| open_beneath(root, inside, true)) else { return false };
    let mut head = [0u8; 262];
    let count = file.read(&mut head).unwrap_or(0);
    let head = &head[..count];
    head.starts_with(&[0x1f, 0x8b]) || head.starts_with(b"BZh") || head.starts_with(b"\xfd7zXZ") || head.get(257..262) == Some(b"ustar")
}

fn argv(form: &CommandForm, shell: &[String]) -> Vec<String> {
    match form {
        CommandForm::Exec(argv) => argv.clone(),
        CommandForm::Shell(text) => shell.iter().cloned().chain([text.clone()]).collect(),
    }
}

fn shown(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// Name of the processor in image configurations.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn finish(built: Built, labels: &BTreeMap<String, String>) -> BuiltImage {
    let mut config = Map::new();
    let mut set = |name: &str, value: Value| {
        let blank = match &value {
            Value::String(text) => text.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Null => true,
            _ => false,
        };
        if !blank {
            config.insert(name.to_owned(), value);
        }
    };
    let mut all_labels = built.labels;
    all_labels.extend(labels.clone());
    set("User", built.user.into());
    set("ExposedPorts", json!(built.exposed));
    set("Env", built.env.iter().map(|(n, v)| format!("{n}={v}")).collect());
    set("Entrypoint", json!(built.entrypoint));
    set("Cmd", json!(built.cmd));
    set("Volumes", json!(built.volumes));
    set("WorkingDir", built.workdir.into());
    set("Labels", json!(all_labels));
    set("StopSignal", json!(built.stop_signal));
    let diff_ids: Vec<&str> = built.layers.iter().map(|l| l.diff_id.as_str()).collect();
    let image = json!({
        "created": EPOCH,
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": built.history,
    });
    let config = Bytes::from(image.to_string());
    let config_digest = digest(&config);
    let layers: Vec<Value> = built.layers.iter().map(|l| json!({ "mediaType": LAYER_TYPE, "size": l.size, "digest": l.digest })).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": CONFIG_TYPE, "size": config.len(), "digest": config_digest },
        "layers": layers,
    });
    let manifest = Bytes::from(manifest.to_string());
    let digest = digest(&manifest);
    BuiltImage { config, config_digest, layers: built.layers, manifest, digest }
}
