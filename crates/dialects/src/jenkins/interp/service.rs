//! Steps of this service: building an image of the project, and deploying it. They need no client in the job.

use indexmap::IndexMap;

use super::value::Value;
use super::{Context, Eval, Interp, Request, exception};
use crate::plan::Action;

/// Parameters of `devmentorBuildImage`, and what the action calls them.
const IMAGE: &[(&str, &str)] = &[
    ("context", "context"),
    ("dockerfile", "dockerfile"),
    ("image", "image"),
    ("tags", "tags"),
    ("buildArgs", "build-args"),
    ("target", "target"),
    ("push", "push"),
];
/// Parameters of `devmentorDeploy`.
const DEPLOY: &[(&str, &str)] = &[("environment", "environment"), ("image", "image"), ("config", "config"), ("wait", "wait")];

impl Interp<'_> {
    pub(super) fn service_step(&self, name: &str, args: &super::steps::Args, ctx: &Context, at: u32) -> Eval<Value> {
        let wrong = |why: String| exception("java.lang.IllegalArgumentException", why, at);
        let (action, known) = if name == "devmentorDeploy" { (Action::Deploy, DEPLOY) } else { (Action::BuildImage, IMAGE) };
        let mut with: IndexMap<String, String> = IndexMap::new();
        for (key, value) in args.named() {
            let Some((_, input)) = known.iter().find(|(k, _)| k == key) else {
                let names: Vec<&str> = known.iter().map(|(k, _)| *k).collect();
                return Err(wrong(format!("Invalid parameter \"{key}\" of {name}, it has {}", names.join(", "))));
            };
            let text = match (value.items(), value.entries()) {
                (Some(items), _) => items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
                (None, Some(map)) => map.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("\n"),
                _ => value.to_string(),
            };
            with.insert((*input).to_owned(), text);
        }
        if action == Action::Deploy && !with.contains_key("environment") {
            return Err(wrong("Missing required parameter: \"environment\"".into()));
        }
        self.ask(ctx, at, Request::Service { action, with }).map(|_| Value::Null)
    }
}
