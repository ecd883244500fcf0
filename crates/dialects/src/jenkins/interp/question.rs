//! What a pipeline asks of people while it runs: `input`, as a directive and as a step; and `milestone`.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::super::model::{Arg, Input, MethodCall};
use super::super::run::{choices, default_of};
use super::value::Value;
use super::{BuildResult, Context, Eval, Exception, Interp, Reply, Request, exception, interrupted};

/// Kinds of parameters that can be asked for. A password would be stored with the answer.
const KINDS: &[&str] = &["string", "text", "booleanParam", "choice"];

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Unique in the job.
    pub key: String,
    /// What is asked.
    pub message: String,
    /// Label of the button that goes on.
    pub ok: String,
    /// Names of those who may answer; empty means everybody who may start runs.
    #[serde(default)]
    pub submitters: Vec<String>,
    /// What is asked for besides yes or no.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

/// A value that is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// `string`, `text`, `boolean`, `choice`.
    pub kind: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// What it is when nobody says so.
    pub default: serde_json::Value,
    /// Allowed values of a choice.
    #[serde(default)]
    pub choices: Vec<String>,
}

/// What people say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Go on?
    pub proceed: bool,
    /// Values of all parameters.
    #[serde(default)]
    pub values: IndexMap<String, serde_json::Value>,
    /// Who said so.
    #[serde(default)]
    pub by: String,
}

fn kind(word: &str) -> String {
    if word == "booleanParam" { "boolean".into() } else { word.to_owned() }
}

fn names(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

/// A parameter as a directive writes it.
///
/// # Errors
/// Why it cannot be asked for.
pub(crate) fn parameter(call: &MethodCall) -> Result<Parameter, String> {
    if !KINDS.contains(&call.name.as_str()) {
        return Err(format!("`input` cannot ask for parameters of type `{}` here: use {}", call.name, KINDS.join(", ")));
    }
    let (name, default) = default_of(call).ok_or("a parameter needs a constant name")?;
    let choices = if call.name == "choice" { choices(call) } else { Vec::new() };
    if call.name == "choice" && choices.is_empty() {
        return Err("the choices must be constant texts".into());
    }
    let description = match call.named("description") {
        Some(Arg::Value(value)) => value.text().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    Ok(Parameter { name, kind: kind(&call.name), description, default, choices })
}

impl Interp<'_> {
    /// The directive `input`: what was answered becomes the environment of the stage.
    pub(crate) fn asked(&self, input: &Input, ctx: &Context, at: u32, field: &dyn Fn(&str) -> Eval<Option<String>>) -> Eval<Context> {
        let parameters: Result<Vec<Parameter>, String> = input.parameters.iter().map(parameter).collect();
        let question = Question {
            key: String::new(),
            message: field("message")?.unwrap_or_default(),
            ok: field("ok")?.filter(|t| !t.is_empty()).unwrap_or_else(|| "Proceed".into()),
            submitters: names(&field("submitter")?.unwrap_or_default()),
            parameters: parameters.map_err(|why| exception("java.lang.IllegalArgumentException", why, at))?,
        };
        let answer = self.question(question, ctx, at)?;
        let text = |v: serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let mut pairs: Vec<(String, String)> = answer.values.into_iter().map(|(n, v)| (n, text(v))).collect();
        pairs.extend(field("submitterParameter")?.filter(|n| !n.is_empty()).map(|name| (name, answer.by)));
        Ok(ctx.with_env(pairs))
    }

    /// The step `input`.
    pub(super) fn input_step(&self, args: &super::steps::Args, ctx: &Context, at: u32) -> Eval<Value> {
        let wrong = |why: String| exception("java.lang.IllegalArgumentException", why, at);
        let mut parameters = Vec::new();
        for value in args.get("parameters").and_then(|v| v.items()).unwrap_or_default() {
            let fields = value.entries().unwrap_or_default();
            let field = |name: &str| fields.get(name).map(ToString::to_string);
            let word = field("$binding").unwrap_or_default();
            if !KINDS.contains(&word.as_str()) {
                return Err(wrong(format!("`input` cannot ask for parameters of type `{word}` here: use {}", KINDS.join(", "))));
            }
            let choices: Vec<String> = match fields.get("choices") {
                Some(list) if list.items().is_some() => list.items().unwrap_or_default().iter().map(ToString::to_string).collect(),
                Some(text) => text.to_string().lines().map(str::to_owned).collect(),
                None => Vec::new(),
            };
            let default = match word.as_str() {
                "booleanParam" => fields.get("defaultValue").is_some_and(Value::truth).into(),
                "choice" => choices.first().cloned().ok_or_else(|| wrong("a choice needs `choices`".into()))?.into(),
                _ => field("defaultValue").unwrap_or_default().into(),
            };
            let name = field("name").filter(|n| !n.is_empty()).ok_or_else(|| wrong("a parameter needs a name".into()))?;
            parameters.push(Parameter { name, kind: kind(&word), description: field("description").unwrap_or_default(), default, choices });
        }
        let message = args.first("message").map(|v| v.to_string()).unwrap_or_default();
        let question = Question {
            key: String::new(),
            message,
            ok: args.text("ok").filter(|t| !t.is_empty()).unwrap_or_else(|| "Proceed".into()),
            submitters: names(&args.text("submitter").unwrap_or_default()),
            parameters,
        };
        let answer = self.question(question, ctx, at)?;
        let mut values: IndexMap<String, Value> = answer.values.iter().map(|(n, v)| (n.clone(), Value::from_json(v))).collect();
        if let Some(name) = args.text("submitterParameter").filter(|n| !n.is_empty()) {
            if values.is_empty() {
                return Ok(answer.by.into());
            }
            values.insert(name, answer.by.into());
            return Ok(Value::map(values));
        }
        // one value is the result itself
        match values.len() {
            0 => Ok(Value::Null),
            1 => Ok(values.into_values().next().unwrap_or(Value::Null)),
            _ => Ok(Value::map(values)),
        }
    }

    fn question(&self, question: Question, ctx: &Context, at: u32) -> Eval<Answer> {
        self.echo(ctx, &question.message)?;
        self.echo(ctx, &format!("{} or Abort", question.ok))?;
        let outside = !ctx.agent;
        let Reply::Answer(answer) = self.ask(ctx, at, Request::Input { question, outside })? else { return Ok(Answer::default()) };
        if !answer.proceed {
            return Err(interrupted(format!("Rejected by {}", answer.by), at));
        }
        self.echo(ctx, &format!("Approved by {}", answer.by))?;
        Ok(answer)
    }

    /// The step `milestone`: builds pass it in their order, and those that are overtaken end.
    pub(super) fn milestone(&self, args: &super::steps::Args, ctx: &Context, at: u32) -> Eval<Value> {
        let given = match args.first("ordinal") {
            Some(Value::Int(n)) if n >= 0 => Some(n),
            None | Some(Value::Null) => None,
            Some(_) => return Err(exception("java.lang.IllegalArgumentException", "the ordinal of a milestone is a number", at)),
        };
        let ordinal = {
            let mut last = super::value::lock(&self.shared.milestone);
            let next = given.unwrap_or(*last + 1);
            if next <= *last {
                let why = format!("Using ordinal {next} is not possible: it must be greater than {}", *last);
                return Err(exception("hudson.AbortException", why, at));
            }
            *last = next;
            next
        };
        if let Reply::Text(by) = self.ask(ctx, at, Request::Milestone(ordinal))? {
            let message = format!("Superseded by {by} at milestone {ordinal}");
            self.echo(ctx, &message)?;
            return Err(Box::new(Exception { result: BuildResult::NotBuilt, ..*interrupted(message, at) }));
        }
        Ok(Value::Null)
    }
}
