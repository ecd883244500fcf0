//! The declarative model, and the JSON form that Jenkins converts it to.

use serde_json::{Value as Json, json};

use super::ast::{At, Expr, Stmt};

/// A constant, or code.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// It is a constant.
    pub literal: bool,
    /// The constant; of code its text.
    pub value: Json,
    /// The code.
    pub expr: Expr,
}

/// Arguments of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Args {
    /// `a: 1, b: 2`; empty for none.
    Named(Vec<(String, Value)>),
    /// One without a name.
    Single(Value),
    /// Several without names.
    Positional(Vec<Value>),
}

/// An argument of an option, parameter or trigger.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// A value.
    Value(Value),
    /// A call.
    Call(MethodCall),
    /// A named one.
    Pair(String, Box<Arg>),
}

/// An option, parameter or trigger.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodCall {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Arg>,
    /// Where.
    pub at: At,
}

impl MethodCall {
    /// A named argument.
    pub fn named(&self, name: &str) -> Option<&Arg> {
        self.args.iter().find_map(|a| match a {
            Arg::Pair(key, value) if key == name => Some(&**value),
            _ => None,
        })
    }

    /// A named argument, or the only one.
    pub fn value(&self, name: &str) -> Option<&Value> {
        let found = self.named(name).or_else(|| self.args.first().filter(|a| !matches!(a, Arg::Pair(..))));
        match found {
            Some(Arg::Value(value)) => Some(value),
            _ => None,
        }
    }
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Args,
    /// Steps inside it.
    pub children: Option<Vec<Step>>,
    /// Where.
    pub at: At,
}

/// Steps in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// `default`, or the name of a parallel branch.
    pub name: String,
    /// The steps.
    pub steps: Vec<Step>,
    /// The same as statements, to run them.
    pub body: Vec<Stmt>,
    /// Where.
    pub at: At,
}

/// A value of `environment`.
#[derive(Clone, Debug, PartialEq)]
pub enum EnvValue {
    /// A text.
    Value(Value),
    /// `credentials('id')`.
    Credentials(Vec<Value>),
}

/// `name = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value.
    pub value: EnvValue,
    /// The expression on the right.
    pub expr: Expr,
    /// Where.
    pub at: At,
}

/// What an agent is set to.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// One value.
    Value(Value),
    /// Named settings.
    Map(Vec<(String, Setting)>),
}

/// `agent`.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// `any`, `none`, `label`, `node`, `docker`, ...
    pub kind: String,
    /// Its settings.
    pub setting: Option<Setting>,
    /// Where.
    pub at: At,
}

impl Agent {
    /// A setting of that name, or the only value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self.setting.as_ref()? {
            Setting::Value(value) => Some(value),
            Setting::Map(map) => map.iter().find(|(key, _)| key == name).and_then(|(_, s)| match s {
                Setting::Value(value) => Some(value),
                Setting::Map(_) => None,
            }),
        }
    }
}

/// A condition of `when`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// `branch`, `expression`, `not`, ...
    pub name: String,
    /// Its arguments; none when it has conditions inside.
    pub args: Option<Args>,
    /// Conditions inside.
    pub children: Vec<Condition>,
    /// The statements of `expression`.
    pub code: Vec<Stmt>,
    /// Where.
    pub at: At,
}

/// `when`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// Asked before the agent.
    pub before_agent: Option<bool>,
    /// Asked before the input.
    pub before_input: Option<bool>,
    /// Asked before the options.
    pub before_options: Option<bool>,
}

/// A condition of `post` with its steps.
#[derive(Clone, Debug, PartialEq)]
pub struct PostCondition {
    /// `always`, ...
    pub condition: String,
    /// Its steps.
    pub branch: Branch,
    /// Where.
    pub at: At,
}

/// `input` of a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// `message`, `id`, `ok`, `submitter`, `submitterParameter`.
    pub fields: Vec<(&'static str, Value)>,
    /// Parameters that are asked for.
    pub parameters: Vec<MethodCall>,
}

/// An axis of a matrix, or of an exclude.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Name.
    pub name: Option<String>,
    /// Values.
    pub values: Vec<Arg>,
    /// `notValues`.
    pub inverse: bool,
    /// Where.
    pub at: At,
}

/// `matrix`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    /// `axes`.
    pub axes: Option<Vec<Axis>>,
    /// `excludes`.
    pub excludes: Option<Vec<Vec<Axis>>>,
    /// Stages of each cell.
    pub stages: Option<Vec<Stage>>,
    /// What a cell has.
    pub base: StageBase,
}

/// What stages and cells have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageBase {
    /// `agent`.
    pub agent: Option<Agent>,
    /// `when`.
    pub when: Option<When>,
    /// `post`.
    pub post: Option<Vec<PostCondition>>,
    /// `tools`.
    pub tools: Option<Vec<(String, Value)>>,
    /// `environment`.
    pub environment: Option<Vec<EnvVar>>,
    /// `options`.
    pub options: Option<Vec<MethodCall>>,
    /// `input`.
    pub input: Option<Input>,
}

/// `stage`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    /// Name.
    pub name: String,
    /// The common part.
    pub base: StageBase,
    /// `stages`.
    pub stages: Option<Vec<Stage>>,
    /// `parallel`.
    pub parallel: Option<Vec<Stage>>,
    /// `matrix`.
    pub matrix: Option<Box<Matrix>>,
    /// `steps`; several of an old `parallel` step.
    pub branches: Vec<Branch>,
    /// `failFast`.
    pub fail_fast: Option<bool>,
    /// Where.
    pub at: At,
}

/// `pipeline`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pipeline {
    /// `stages`.
    pub stages: Option<Vec<Stage>>,
    /// `agent`, `environment`, `post`, `tools`, `options`.
    pub base: StageBase,
    /// `parameters`.
    pub parameters: Option<Vec<MethodCall>>,
    /// `triggers`.
    pub triggers: Option<Vec<MethodCall>>,
    /// `libraries`.
    pub libraries: Option<Vec<Value>>,
    /// Where.
    pub at: At,
}

fn object(pairs: impl IntoIterator<Item = (&'static str, Option<Json>)>) -> Json {
    Json::Object(pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

fn list<T>(items: &[T], one: impl Fn(&T) -> Json) -> Json {
    Json::Array(items.iter().map(one).collect())
}

fn pairs(items: &[(String, Value)]) -> Json {
    list(items, |(key, value)| json!({"key": key, "value": value.json()}))
}

impl Value {
    fn json(&self) -> Json {
        json!({"isLiteral": self.literal, "value": self.value})
    }

    /// The constant text.
    pub fn text(&self) -> Option<&str> {
        self.value.as_str().filter(|_| self.literal)
    }
}

impl Args {
    fn json(&self) -> Json {
        match self {
            Args::Named(named) => pairs(named),
            Args::Single(value) => value.json(),
            Args::Positional(values) => list(values, Value::json),
        }
    }
}

impl Arg {
    fn json(&self) -> Json {
        match self {
            Arg::Value(value) => value.json(),
            Arg::Call(call) => call.json(),
            Arg::Pair(key, value) => json!({"key": key, "value": value.json()}),
        }
    }
}

impl MethodCall {
    fn json(&self) -> Json {
        json!({"name": self.name, "arguments": list(&self.args, Arg::json)})
    }
}

impl Step {
    fn json(&self) -> Json {
        object([
            ("name", Some(json!(self.name))),
            ("arguments", Some(self.args.json())),
            ("children", self.children.as_ref().map(|c| list(c, Step::json))),
        ])
    }
}

impl Branch {
    fn json(&self) -> Json {
        json!({"name": self.name, "steps": list(&self.steps, Step::json)})
    }
}

impl EnvVar {
    fn json(&self) -> Json {
        let value = match &self.value {
            EnvValue::Value(value) => value.json(),
            EnvValue::Credentials(args) => json!({"name": "credentials", "arguments": list(args, Value::json)}),
        };
        json!({"key": self.name, "value": value})
    }
}

impl Setting {
    fn json(&self) -> Json {
        match self {
            Setting::Value(value) => value.json(),
            Setting::Map(map) => list(map, |(key, value)| json!({"key": key, "value": value.json()})),
        }
    }
}

impl Agent {
    /// `label ''` means any agent.
    pub fn is_empty_label(&self) -> bool {
        let empty = |s: &Setting| matches!(s, Setting::Value(v) if v.value == "");
        match (self.kind.as_str(), &self.setting) {
            ("label" | "node", Some(value @ Setting::Value(_))) => empty(value),
            ("label" | "node", Some(Setting::Map(map))) => matches!(map.as_slice(), [(key, value)] if key == "label" && empty(value)),
            _ => false,
        }
    }

    fn json(&self) -> Json {
        if self.is_empty_label() {
            return json!({"type": "any"});
        }
        let (mut arguments, mut argument) = (None, None);
        match &self.setting {
            Some(map @ Setting::Map(entries)) if !entries.is_empty() => arguments = Some(map.json()),
            Some(value @ Setting::Value(_)) => argument = Some(value.json()),
            _ => {}
        }
        object([("type", Some(json!(self.kind))), ("arguments", arguments), ("argument", argument)])
    }
}

impl Condition {
    fn json(&self) -> Json {
        let children = (!self.children.is_empty()).then(|| list(&self.children, Condition::json));
        object([("name", Some(json!(self.name))), ("arguments", self.args.as_ref().map(Args::json)), ("children", children)])
    }
}

impl When {
    fn json(&self) -> Json {
        object([
            ("conditions", Some(list(&self.conditions, Condition::json))),
            ("beforeAgent", self.before_agent.map(Json::Bool)),
            ("beforeInput", self.before_input.map(Json::Bool)),
            ("beforeOptions", self.before_options.map(Json::Bool)),
        ])
    }
}

fn post(conditions: &[PostCondition]) -> Json {
    json!({"conditions": list(conditions, |c| json!({"condition": c.condition, "branch": c.branch.json()}))})
}

fn calls(key: &str, calls: &[MethodCall]) -> Json {
    json!({ key: list(calls, MethodCall::json) })
}

impl Input {
    /// A field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn json(&self) -> Json {
        let mut out = serde_json::Map::new();
        for (key, value) in &self.fields {
            out.insert((*key).into(), value.json());
        }
        if !self.parameters.is_empty() {
            out.insert("parameters".into(), calls("parameters", &self.parameters));
        }
        Json::Object(out)
    }
}

impl Axis {
    fn json(&self) -> Json {
        object([
            ("name", Some(json!(self.name.as_deref().unwrap_or_default()))),
            ("values", Some(list(&self.values, Arg::json))),
            ("inverse", self.inverse.then_some(Json::Bool(true))),
        ])
    }
}

impl StageBase {
    fn json(&self) -> Vec<(&'static str, Option<Json>)> {
        vec![
            ("agent", self.agent.as_ref().map(Agent::json)),
            ("when", self.when.as_ref().map(When::json)),
            ("post", self.post.as_ref().map(|p| post(p))),
            ("tools", self.tools.as_ref().map(|t| pairs(t))),
            ("environment", self.environment.as_ref().map(|e| list(e, EnvVar::json))),
            ("options", self.options.as_ref().map(|o| calls("options", o))),
            ("input", self.input.as_ref().map(Input::json)),
        ]
    }
}

impl Matrix {
    fn json(&self) -> Json {
        let mut out = self.base.json();
        out.push(("axes", self.axes.as_ref().map(|a| list(a, Axis::json))));
        out.push(("excludes", self.excludes.as_ref().map(|e| list(e, |axes| list(axes, Axis::json)))));
        out.push(("stages", self.stages.as_ref().map(|s| list(s, Stage::json))));
        object(out)
    }
}

impl Stage {
    fn json(&self) -> Json {
        let mut out = self.base.json();
        out.push(("name", Some(json!(self.name))));
        out.push(("stages", self.stages.as_ref().map(|s| list(s, Stage::json))));
        out.push(("parallel", self.parallel.as_ref().map(|s| list(s, Stage::json))));
        out.push(("matrix", self.matrix.as_ref().map(|m| m.json())));
        out.push(("branches", (!self.branches.is_empty()).then(|| list(&self.branches, Branch::json))));
        out.push(("failFast", self.fail_fast.map(Json::Bool)));
        object(out)
    }
}

impl Pipeline {
    /// The JSON form.
    pub fn json(&self) -> Json {
        let mut out = self.base.json();
        out.push(("stages", self.stages.as_ref().map(|s| list(s, Stage::json))));
        let some = |c: &Option<Vec<MethodCall>>, key: &str| c.as_ref().filter(|c| !c.is_empty()).map(|c| calls(key, c));
        out.push(("parameters", some(&self.parameters, "parameters")));
        out.push(("triggers", some(&self.triggers, "triggers")));
        let libraries = self.libraries.as_ref().filter(|l| !l.is_empty());
        out.push(("libraries", libraries.map(|l| json!({"libraries": list(l, Value::json)}))));
        json!({"pipeline": object(out)})
    }
}
