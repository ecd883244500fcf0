//! Actions whose files lie in a repository (`action.yml`), and images as steps.

use indexmap::IndexMap;

use crate::diagnostic::Span;
use crate::expr::scope;
use crate::plan::{ActionHook, ActionInput, ActionPlace, ActionRuns, CustomAction, Map, StepKind};
use crate::yaml::{self, Node, Value};

use super::library::{Foreign, Found, Want};
use super::read::Reader;
use super::step;

/// Actions may use actions so deep.
const MAX_DEPTH: usize = 9;
/// Names of the file that describes an action, and the one that is an action by itself.
const NAMES: [&str; 3] = ["action.yml", "action.yaml", "Dockerfile"];

/// A step that uses an action which is not built in.
pub(super) fn read(r: &mut Reader<'_>, uses: &Node, text: &str, with: Option<&Node>) -> Option<StepKind> {
    let here = r.step_scope();
    let mut given = with.map(|node| r.env(node, "with", here)).unwrap_or_default();
    let action = if let Some(image) = text.strip_prefix("docker://") {
        if image.is_empty() {
            r.out.error(&uses.span, "empty_value", "`docker://` names no image");
            return None;
        }
        Some(image_action(text, &mut given))
    } else {
        let (foreign, path) = match text.strip_prefix("./") {
            Some(path) => (None, path),
            None => {
                let (foreign, path) = foreign(r, &uses.span, text)?;
                (Some(foreign), path)
            }
        };
        let path = clean(path);
        if path.split('/').any(|part| part == "..") {
            r.out.error(&uses.span, "bad_value", format!("`{text}` leads out of the repository"));
            return None;
        }
        load(r, uses, text, foreign, &path)?
    };
    if let Some(action) = &action {
        check_inputs(r, uses, with, &given, action);
    }
    Some(StepKind::Custom { uses: text.to_owned(), with: given, action: action.map(Box::new) })
}

/// Without `.` and doubled or trailing slashes.
fn clean(path: &str) -> String {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

/// `owner/name[/path]@ref`.
pub(super) fn foreign<'t>(r: &mut Reader<'_>, span: &Span, text: &'t str) -> Option<(Foreign, &'t str)> {
    let Some((name, reference)) = text.rsplit_once('@').filter(|(_, reference)| !reference.is_empty()) else {
        let message = format!("Expected format {{owner}}/{{repo}}[/path]@ref. Actual '{text}': it names no version, such as {text}@v1");
        r.out.error(span, "missing_version", message);
        return None;
    };
    let mut slashes = name.match_indices('/').map(|(at, _)| at);
    let (Some(_), end) = (slashes.next(), slashes.next()) else {
        let message = format!("Expected format {{owner}}/{{repo}}[/path]@ref, `./path` or `docker://image`. Actual '{text}'");
        r.out.error(span, "bad_value", message);
        return None;
    };
    let (repository, path) = end.map_or((name, ""), |at| (&name[..at], &name[at + 1..]));
    Some((Foreign { repository: repository.to_owned(), reference: reference.to_owned() }, path))
}

fn image_action(text: &str, given: &mut Map) -> CustomAction {
    let mut take = |name: &str| given.keys().find(|k| k.eq_ignore_ascii_case(name)).cloned().and_then(|k| given.shift_remove(&k));
    let entrypoint = take("entrypoint");
    let args = take("args").map(|a| words(&a)).unwrap_or_default();
    CustomAction {
        place: ActionPlace::Image,
        name: text.to_owned(),
        inputs: given.keys().map(|k| (k.clone(), ActionInput::default())).collect(),
        outputs: Map::new(),
        runs: ActionRuns::Docker { image: text.to_owned(), entrypoint, args, env: Map::new() },
    }
}

/// The words of a command line: blanks separate, quotes join.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if matches!(c, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Looks the action up. The inner none: nobody could look, which was said, or somebody will.
fn load(r: &mut Reader<'_>, uses: &Node, text: &str, foreign: Option<Foreign>, path: &str) -> Option<Option<CustomAction>> {
    if r.depth >= MAX_DEPTH {
        r.out.error(&uses.span, "too_deep", format!("`{text}`: actions use actions more than {MAX_DEPTH} deep"));
        return None;
    }
    if !r.spend(&uses.span) {
        return None;
    }
    let mut waiting = false;
    for name in NAMES {
        let file = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let want = Want { foreign: foreign.clone(), path: file };
        let title = want.title();
        let library = r.library;
        match library.find(want, r.wants) {
            None => waiting = true,
            Some(Found::Absent) => {}
            Some(Found::Offline) => {
                let where_ = if foreign.is_some() { "the repositories of the instance" } else { "the commit" };
                r.out.warning(
                    &uses.span,
                    "unresolved_action",
                    format!("`{text}` is looked up in {where_} when the run is made; here it is not known"),
                );
                return Some(None);
            }
            Some(Found::Closed(why)) => {
                r.out.error(&uses.span, "unknown_action", format!("`{text}`: {why}. Actions are not downloaded from elsewhere; have them in a project of this instance, or do it in a `run` step"));
                return None;
            }
            // an earlier name decides, so it has to be known first
            Some(Found::File { .. }) if waiting => {}
            Some(Found::File { bytes, pin }) => {
                let place = match pin.clone() {
                    None => ActionPlace::Workspace { path: path.to_owned() },
                    Some(pin) => ActionPlace::Repository {
                        repository: pin.repository,
                        project: pin.project,
                        commit: pin.commit,
                        path: path.to_owned(),
                    },
                };
                if name == "Dockerfile" {
                    let runs = ActionRuns::Docker { image: name.into(), entrypoint: None, args: Vec::new(), env: Map::new() };
                    return Some(Some(CustomAction { place, name: text.to_owned(), inputs: IndexMap::new(), outputs: Map::new(), runs }));
                }
                let mut inner = r.inner(foreign.clone(), true);
                let root = yaml::parse(&title, bytes, inner.out)?;
                return describe(&mut inner, &root, place, text).map(Some);
            }
        }
    }
    if waiting {
        return Some(None);
    }
    r.out.error(&uses.span, "unknown_action", format!("`{text}`: there is no action.yml, action.yaml or Dockerfile"));
    None
}

/// Reads `action.yml`.
fn describe(r: &mut Reader<'_>, root: &Node, place: ActionPlace, text: &str) -> Option<CustomAction> {
    let mut action = CustomAction {
        place,
        name: text.to_owned(),
        inputs: IndexMap::new(),
        outputs: Map::new(),
        runs: ActionRuns::Composite { steps: Vec::new() },
    };
    let mut runs = None;
    for (key, value) in r.mapping(root, "an action")? {
        match key.name.as_str() {
            "name" => action.name = r.plain_text(value, "name").filter(|n| !n.is_empty()).unwrap_or(action.name),
            "description" | "author" | "branding" => {}
            "inputs" => inputs(r, value, &mut action.inputs),
            "outputs" => {
                for (name, node) in r.mapping(value, "`outputs`").unwrap_or_default() {
                    if let Some(text) = node.get("value") {
                        action.outputs.extend(r.text(text, "value", scope::ACTION_STEP).map(|t| (name.name.clone(), t)));
                    }
                }
            }
            "runs" => runs = Some(value),
            other => r.out.warning(&key.span, "unknown_key", format!("`{other}` means nothing in an action")),
        }
    }
    let Some(node) = runs else {
        r.out.error(&root.span, "missing_key", "Required property is missing: runs");
        return None;
    };
    action.runs = read_runs(r, node)?;
    Some(action)
}

fn inputs(r: &mut Reader<'_>, node: &Node, into: &mut IndexMap<String, ActionInput>) {
    if matches!(node.value, Value::Null) {
        return;
    }
    for (name, node) in r.mapping(node, "`inputs`").unwrap_or_default() {
        let mut input = ActionInput::default();
        if !matches!(node.value, Value::Null) {
            for (key, value) in r.mapping(node, "an input").unwrap_or_default() {
                match key.name.as_str() {
                    "default" => input.default = r.text(value, "default", scope::ACTION_DEFAULT),
                    "required" => input.required = value.scalar_text().is_some_and(|t| t.eq_ignore_ascii_case("true")),
                    "description" | "deprecationMessage" | "type" | "options" => {}
                    other => r.out.warning(&key.span, "unknown_key", format!("`{other}` means nothing for an input of an action")),
                }
            }
        }
        into.insert(name.name.clone(), input);
    }
}

fn read_runs(r: &mut Reader<'_>, node: &Node) -> Option<ActionRuns> {
    let entries = r.mapping(node, "`runs`")?;
    let using = node.get("using").and_then(Node::scalar_text).unwrap_or_default().to_ascii_lowercase();
    let known: &[&str] = match using.as_str() {
        "composite" => &["using", "steps"],
        "docker" => &["using", "image", "entrypoint", "args", "env", "pre-entrypoint", "pre-if", "post-entrypoint", "post-if"],
        node if node.starts_with("node") => &["using", "main", "pre", "pre-if", "post", "post-if"],
        _ => {
            let message = format!("`using: {using}`: an action is composite, docker, or runs on Node (node20, node24)");
            r.out.error(&node.span, "unsupported_action", message);
            return None;
        }
    };
    for (key, _) in entries {
        match key.name.as_str() {
            name @ ("pre-entrypoint" | "post-entrypoint") if using == "docker" => {
                r.out.error(&key.span, "unsupported_key", format!("`{name}` is not supported; only the entrypoint of an action is run"));
            }
            name if !known.contains(&name) => r.unknown_key(key, "`runs`", known),
            _ => {}
        }
    }
    let text = |r: &mut Reader<'_>, key: &str| node.get(key).and_then(|n| r.plain_text(n, key)).filter(|t| !t.is_empty());
    let required = |r: &mut Reader<'_>, key: &str| {
        let found = text(r, key);
        if found.is_none() {
            r.out.error(&node.span, "missing_key", format!("Required property is missing: {key}"));
        }
        found
    };
    Some(match using.as_str() {
        "composite" => {
            let Some(steps) = node.get("steps") else {
                r.out.error(&node.span, "missing_key", "Required property is missing: steps");
                return None;
            };
            ActionRuns::Composite { steps: step::read_all(r, steps) }
        }
        "docker" => {
            let image = required(r, "image")?;
            if !image.starts_with("docker://") && image.split('/').any(|part| part == "..") {
                r.out.error(&node.span, "bad_value", format!("`image: {image}` leads out of the action"));
            }
            ActionRuns::Docker {
                image,
                entrypoint: text(r, "entrypoint"),
                args: node.get("args").map(|n| args(r, n)).unwrap_or_default(),
                env: node.get("env").map(|n| r.env(n, "env", scope::ACTION_STEP)).unwrap_or_default(),
            }
        }
        _ => {
            let main = required(r, "main")?;
            let hook = |r: &mut Reader<'_>, key: &str, when: &str| {
                let file = text(r, key)?;
                let condition = node.get(when).and_then(|n| r.condition(n, scope::ACTION_IF));
                Some(ActionHook { file, condition })
            };
            ActionRuns::Node { main, pre: hook(r, "pre", "pre-if"), post: hook(r, "post", "post-if") }
        }
    })
}

fn args(r: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let Value::Seq(items) = &node.value else {
        r.out.error(&node.span, "wrong_type", "`args` must be a list");
        return Vec::new();
    };
    items.iter().filter_map(|n| r.text(n, "args", scope::ACTION_STEP)).collect()
}

fn check_inputs(r: &mut Reader<'_>, uses: &Node, with: Option<&Node>, given: &Map, action: &CustomAction) {
    for key in given.keys() {
        if !action.inputs.keys().any(|n| n.eq_ignore_ascii_case(key)) {
            let span = with.and_then(|w| w.get(key)).map_or_else(|| uses.span.clone(), |n| n.span.clone());
            let known: Vec<&str> = action.inputs.keys().map(String::as_str).collect();
            r.out.warning(&span, "unknown_input", format!("Unexpected input '{key}', valid inputs are {known:?}"));
        }
    }
    for (name, input) in &action.inputs {
        if input.required && input.default.is_none() && !given.keys().any(|k| k.eq_ignore_ascii_case(name)) {
            r.out.warning(&uses.span, "missing_input", format!("the action says that it needs the input `{name}`, which is not given"));
        }
    }
}
