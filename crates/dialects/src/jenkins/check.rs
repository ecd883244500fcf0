//! What Jenkins checks of a model before it runs it, in its words.

use super::ast::At;
use super::model::{
    Agent, Arg, Args, Axis, Branch, Condition, EnvVar, Input, Matrix, MethodCall, Pipeline, PostCondition, Setting, Stage, StageBase, Step,
    Value,
};
use super::read::{Reader, bad_identifier};
use super::tables;

/// Names that occur more than once, each once.
fn repeated<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for name in names {
        match seen.iter_mut().find(|(n, _)| *n == name) {
            Some((_, count)) => *count += 1,
            None => seen.push((name, 1)),
        }
    }
    seen.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name).collect()
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Reader<'_> {
    pub(super) fn check(&mut self, pipeline: &Pipeline) {
        match &pipeline.stages {
            None => self.error(pipeline.at, "missing", "Missing required section \"stages\""),
            Some(stages) => self.check_stages(stages, pipeline.at, false),
        }
        self.check_base(&pipeline.base, pipeline.at, tables::OPTIONS);
        for (calls, what, known) in
            [(&pipeline.parameters, "parameter", tables::PARAMETERS), (&pipeline.triggers, "trigger", tables::TRIGGERS)]
        {
            let Some(calls) = calls else { continue };
            self.check_calls(calls, what, known, pipeline.at, what == "trigger");
        }
        if pipeline.libraries.as_ref().is_some_and(Vec::is_empty) {
            self.error(pipeline.at, "empty", "libraries can not be empty");
        }
    }

    fn check_stages(&mut self, stages: &[Stage], at: At, nested: bool) {
        if stages.is_empty() {
            self.error(at, "empty", "No stages specified");
        }
        for name in repeated(stages.iter().map(|s| s.name.as_str())) {
            self.error(at, "duplicate", format!("Duplicate stage name: \"{name}\""));
        }
        for stage in stages {
            self.check_stage(stage, nested);
        }
    }

    fn check_stage(&mut self, stage: &Stage, nested: bool) {
        let name = &stage.name;
        if name.trim().is_empty() {
            self.error(stage.at, "missing", "Stage does not have a name");
        }
        let kinds = [!stage.branches.is_empty(), stage.parallel.is_some(), stage.matrix.is_some(), stage.stages.is_some()];
        let kinds = kinds.into_iter().filter(|k| *k).count();
        let splits = stage.parallel.is_some() || stage.matrix.is_some();
        if nested && (stage.branches.len() > 1 || splits) {
            self.error(stage.at, "nesting", "Parallel stages or branches can only be included in a top-level stage.");
        } else if kinds > 1 {
            let message = format!("Only one of \"matrix\", \"parallel\", \"stages\", or \"steps\" allowed for stage \"{name}\"");
            self.error(stage.at, "nesting", message);
        } else if kinds == 0 {
            self.error(stage.at, "missing", format!("Expected one of \"steps\", \"stages\", or \"parallel\" for stage \"{name}\""));
        } else if splits {
            if let Some(agent) = &stage.base.agent {
                let message = format!("\"agent\" is not allowed in stage \"{name}\" as it contains parallel stages");
                self.error(agent.at, "nesting", message);
            }
            if stage.base.tools.is_some() {
                self.error(stage.at, "nesting", format!("\"tools\" is not allowed in stage \"{name}\" as it contains parallel stages"));
            }
        }
        for twice in repeated(stage.branches.iter().map(|b| b.name.as_str())) {
            self.error(stage.at, "duplicate", format!("Duplicate parallel branch name: \"{twice}\""));
        }
        for branch in &stage.branches {
            self.check_branch(branch);
        }
        if let Some(stages) = &stage.parallel {
            self.check_stages(stages, stage.at, true);
        }
        if let Some(stages) = &stage.stages {
            self.check_stages(stages, stage.at, nested);
        }
        if let Some(matrix) = &stage.matrix {
            self.check_matrix(matrix, stage.at);
        }
        self.check_base(&stage.base, stage.at, tables::STAGE_OPTIONS);
    }

    fn check_base(&mut self, base: &StageBase, at: At, options: &[&str]) {
        if let Some(agent) = &base.agent {
            self.check_agent(agent);
        }
        if let Some(when) = &base.when {
            if when.conditions.is_empty() {
                self.error(at, "empty", "Empty when closure, remove the property or add some content.");
            }
            for condition in &when.conditions {
                self.check_condition(condition);
            }
        }
        if let Some(post) = &base.post {
            self.check_post(post, at);
        }
        if let Some(tools) = &base.tools {
            self.check_tools(tools, at);
        }
        if let Some(environment) = &base.environment {
            self.check_environment(environment, at);
        }
        if let Some(calls) = &base.options {
            self.check_calls(calls, "option", options, at, true);
        }
        if let Some(input) = &base.input {
            self.check_input(input, at);
        }
    }

    fn check_environment(&mut self, environment: &[EnvVar], at: At) {
        if environment.is_empty() && self.out.errors() == 0 {
            self.error(at, "empty", "No variables specified for environment");
        }
        for variable in environment.iter().filter(|v| !is_identifier(&v.name)) {
            self.error(variable.at, "environment", bad_identifier(&variable.name));
        }
    }

    fn check_tools(&mut self, tools: &[(String, Value)], at: At) {
        if tools.is_empty() && self.out.errors() == 0 {
            self.error(at, "empty", "No tools specified");
        }
        for (name, value) in tools {
            if !tables::TOOLS.contains(&name.as_str()) && !name.contains('.') {
                let known = tables::TOOLS.join(", ");
                self.error(value.expr.at, "unknown", format!("Invalid tool type \"{name}\". Valid tool types: [{known}]"));
            }
        }
    }

    fn check_input(&mut self, input: &Input, at: At) {
        if input.get("message").is_none() {
            self.error(at, "missing", "No message specified for input");
        }
        if !input.parameters.is_empty() {
            self.check_calls(&input.parameters, "parameter", tables::PARAMETERS, at, false);
        }
    }

    fn check_calls(&mut self, calls: &[MethodCall], what: &str, known: &[&str], at: At, unique: bool) {
        if calls.is_empty() && self.out.errors() == 0 {
            self.error(at, "empty", format!("{what}s can not be empty"));
        }
        if unique {
            for name in repeated(calls.iter().map(|c| c.name.as_str())) {
                self.error(at, "duplicate", format!("Duplicate {what} name: \"{name}\""));
            }
        }
        for call in calls {
            if !known.contains(&call.name.as_str()) {
                let list = known.join(", ");
                self.error(call.at, "unknown", format!("Invalid {what} type \"{}\". Valid {what} types: [{list}]", call.name));
                continue;
            }
            let pairs = call.args.iter().filter(|a| matches!(a, Arg::Pair(..))).count();
            if pairs > 0 && pairs < call.args.len() {
                self.error(call.at, "arguments", "Cannot mix named and unnamed arguments");
            } else if let Some((_, required, optional)) = tables::CALLS.iter().find(|(name, ..)| *name == call.name) {
                self.check_call(call, required, optional);
            }
        }
    }

    /// The arguments of an option, parameter or trigger that is known.
    fn check_call(&mut self, call: &MethodCall, required: &[&str], optional: &[&str]) {
        let mut named = Vec::new();
        for arg in &call.args {
            match arg {
                Arg::Pair(key, value) => {
                    named.push(key.as_str());
                    if !required.contains(&key.as_str()) && !optional.contains(&key.as_str()) {
                        let near = tables::nearest(key, required.iter().chain(optional).copied());
                        self.error(call.at, "arguments", format!("Invalid parameter \"{key}\", did you mean \"{near}\"?"));
                    } else if let Arg::Value(value) = &**value {
                        self.check_type(&call.name, Some(key), value);
                    }
                }
                Arg::Value(value) if call.args.len() == required.len() => {
                    let key = required.first().copied().unwrap_or_default();
                    if tables::type_of(&call.name, key).is_some_and(|t| !t.takes(value)) {
                        self.check_type(&call.name, None, value);
                    }
                }
                _ => {}
            }
        }
        if named.is_empty() && call.args.len() != required.len() {
            let (wanted, given) = (required.len(), call.args.len());
            let message = format!("\"{}\" should have {wanted} arguments but has {given} arguments instead.", call.name);
            self.error(call.at, "arguments", message);
        } else if !named.is_empty() {
            for missing in required.iter().filter(|r| !named.contains(*r)) {
                self.error(call.at, "missing", format!("Missing required parameter: \"{missing}\""));
            }
        }
    }

    /// A constant that cannot be what the parameter takes; without a name it is the only parameter.
    fn check_type(&mut self, owner: &str, key: Option<&str>, value: &Value) {
        let single = tables::CALLS.iter().find(|(name, ..)| *name == owner).and_then(|(_, required, _)| required.first().copied());
        let single = single.or_else(|| tables::find(owner).and_then(|s| s.required.first().copied()));
        let single = single
            .or_else(|| tables::CONDITIONS.iter().find(|(n, ..)| *n == owner).and_then(|(_, _, r, o)| r.iter().chain(*o).next().copied()));
        let Some(wanted) = key.or(single).and_then(|key| tables::type_of(owner, key)) else { return };
        if wanted.takes(value) {
            return;
        }
        let shown = value.value.as_str().map_or_else(|| value.value.to_string(), str::to_owned);
        let of = tables::class_of(&value.value);
        let wanted = wanted.name();
        let message = match key {
            Some(key) => format!("Expecting \"{wanted}\" for parameter \"{key}\" but got \"{shown}\" of type {of} instead"),
            None => format!("Expecting \"{wanted}\" but got \"{shown}\" of type {of} instead"),
        };
        self.error(value.expr.at, "type", message);
    }

    fn check_post(&mut self, post: &[PostCondition], at: At) {
        if post.is_empty() && self.out.errors() == 0 {
            self.error(at, "empty", "post can not be empty");
        }
        for name in repeated(post.iter().map(|c| c.condition.as_str())) {
            self.error(at, "duplicate", format!("Duplicate build condition name: \"{name}\""));
        }
        for condition in post {
            if !tables::POST_CONDITIONS.contains(&condition.condition.as_str()) {
                let known = tables::POST_CONDITIONS.join(", ");
                self.error(
                    condition.at,
                    "unknown",
                    format!("Invalid condition \"{}\" - valid conditions are [{known}]", condition.condition),
                );
            }
            self.check_branch(&condition.branch);
        }
    }

    fn check_branch(&mut self, branch: &Branch) {
        if branch.steps.is_empty() {
            self.error(branch.at, "empty", "No steps specified for branch");
        }
        for step in &branch.steps {
            self.check_step(step);
        }
    }

    fn check_step(&mut self, step: &Step) {
        if let Some((_, why)) = tables::BLOCKED.iter().find(|(name, _)| *name == step.name) {
            self.error(step.at, "blocked_step", format!("Invalid step \"{}\" used - not allowed in this context - {why}", step.name));
        }
        if let Some(spec) = tables::find(&step.name) {
            self.check_args(&step.args, &step.name, spec.required, spec.optional, step.at, spec.block);
        }
        for child in step.children.iter().flatten() {
            self.check_step(child);
        }
    }

    fn check_args(&mut self, args: &Args, name: &str, required: &[&str], optional: &[&str], at: At, block: bool) {
        let open = optional == tables::ANY;
        match args {
            // the parameters of the one describable argument may stand in its place
            Args::Named(_) if matches!(name, "checkout" | "step" | "properties" | "publishHTML" | "wrap") => {}
            Args::Named(named) => {
                let mut good = true;
                for (key, value) in named {
                    self.check_type(name, Some(key), value);
                    if !open && !required.contains(&key.as_str()) && !optional.contains(&key.as_str()) {
                        good = false;
                        let near = tables::nearest(key, required.iter().chain(optional).copied());
                        self.error(value.expr.at, "arguments", format!("Invalid parameter \"{key}\", did you mean \"{near}\"?"));
                    }
                }
                for missing in required.iter().filter(|r| good && !named.iter().any(|(key, _)| key == *r)) {
                    self.error(at, "missing", format!("Missing required parameter: \"{missing}\""));
                }
            }
            Args::Positional(_) => self.error(at, "arguments", format!("Arguments to \"{name}\" must be explicitly named.")),
            Args::Single(_) if required.len() != 1 && !block && !open => {
                self.error(at, "arguments", "Step does not take a single required parameter - use named parameters instead");
            }
            Args::Single(value) => self.check_type(name, None, value),
        }
    }

    fn check_agent(&mut self, agent: &Agent) {
        let Some((kind, required, optional)) = tables::AGENTS.iter().find(|(kind, ..)| *kind == agent.kind) else {
            let known: Vec<&str> = tables::AGENTS.iter().map(|(kind, ..)| *kind).collect();
            // a block of settings is what the agents of plugins look like; the plan says that it cannot be run
            if matches!(agent.setting, Some(Setting::Map(_))) {
                return;
            }
            let message = format!("Invalid agent type \"{}\" specified. Must be one of [{}]", agent.kind, known.join(", "));
            self.error(agent.at, "agent", message);
            return;
        };
        if let Some(Setting::Map(map)) = &agent.setting {
            let open = *optional == tables::ANY;
            for (key, _) in map {
                if !open && !required.contains(&key.as_str()) && !optional.contains(&key.as_str()) {
                    let known: Vec<&str> = required.iter().chain(*optional).copied().collect();
                    let message = format!(
                        "Invalid config option \"{key}\" for agent type \"{kind}\". Valid config options are [{}]",
                        known.join(", ")
                    );
                    self.error(agent.at, "agent", message);
                }
            }
            let missing: Vec<&str> = required.iter().filter(|r| !map.iter().any(|(key, _)| key == *r)).copied().collect();
            if !missing.is_empty() {
                let message = format!("Missing required parameter for agent type \"{kind}\": {}", missing.join(", "));
                self.error(agent.at, "agent", message);
            }
        }
        let file = agent.get("filename").filter(|_| agent.kind == "dockerfile").and_then(Value::text);
        if file.is_some_and(|f| f.contains(['/', '\\'])) {
            self.error(agent.at, "agent", "Dockerfile filename cannot contain directory separators.");
        }
    }

    fn check_condition(&mut self, condition: &Condition) {
        let name = &condition.name;
        let Some((_, inside, required, optional)) = tables::CONDITIONS.iter().find(|(known, ..)| known == name) else {
            let known: Vec<&str> = tables::CONDITIONS.iter().map(|(known, ..)| *known).collect();
            self.error(condition.at, "unknown", format!("Unknown conditional {name}. Valid conditionals are: {}", known.join(", ")));
            return;
        };
        if *inside != 0 {
            if condition.args.is_some() {
                self.error(
                    condition.at,
                    "arguments",
                    format!("No additional arguments are allowed for children when condition \"{name}\"."),
                );
            } else if *inside < 0 && condition.children.is_empty() {
                self.error(condition.at, "missing", format!("Nested when condition \"{name}\" requires at least one child condition."));
            } else if *inside > 0 && condition.children.len() != 1 {
                self.error(condition.at, "missing", format!("Nested when condition \"{name}\" requires exactly 1 child condition(s)."));
            }
            for child in &condition.children {
                self.check_condition(child);
            }
        } else if !condition.children.is_empty() {
            self.error(condition.at, "arguments", format!("No children when conditions are allowed for when condition \"{name}\"."));
        } else if name != "expression"
            && let Some(args) = &condition.args
        {
            // `tag 'x'` takes its pattern without a name
            let single = matches!(args, Args::Single(_)) && name == "tag";
            if let Args::Single(value) = args
                && single
            {
                self.check_type(name, Some("pattern"), value);
            }
            if name == "changelog" {
                self.check_changelog(args, condition.at);
            } else if !single {
                self.check_comparator(args);
                self.check_args(args, name, required, optional, condition.at, false);
            }
        }
    }

    fn check_comparator(&mut self, args: &Args) {
        let Args::Named(named) = args else { return };
        let Some((_, value)) = named.iter().find(|(key, value)| key == "comparator" && value.literal) else { return };
        let text = value.text().unwrap_or_default();
        if !["GLOB", "EQUALS", "REGEXP"].iter().any(|c| text.eq_ignore_ascii_case(c)) {
            let message = format!("Invalid comparator \"{text}\". Valid comparators are EQUALS, GLOB, REGEXP");
            self.error(value.expr.at, "arguments", message);
        }
    }

    fn check_changelog(&mut self, args: &Args, at: At) {
        let pattern = match args {
            Args::Single(value) => Some(value),
            Args::Named(named) => named.iter().find(|(key, _)| key == "pattern").map(|(_, value)| value),
            Args::Positional(_) => return self.check_args(args, "changelog", &["pattern"], &[], at, false),
        };
        let Some(pattern) = pattern else {
            return self.error(at, "missing", "Changelog is missing required parameter \"pattern\".");
        };
        if let Some(text) = pattern.text()
            && let Err(error) = regex::Regex::new(text)
        {
            // the last line of what is said tells what is wrong
            let why = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            self.error(pattern.expr.at, "arguments", format!("\"{text}\" is not a valid regular expression. {why}"));
        }
    }

    fn check_matrix(&mut self, matrix: &Matrix, at: At) {
        match &matrix.axes {
            None => self.error(at, "missing", "Missing required section \"axes\""),
            Some(axes) => {
                if axes.is_empty() {
                    self.error(at, "empty", "No axes specified");
                }
                for name in repeated(axes.iter().filter_map(|a| a.name.as_deref())) {
                    self.error(at, "duplicate", format!("Duplicate axis name: \"{name}\""));
                }
                for axis in axes {
                    self.check_axis(axis);
                }
            }
        }
        match &matrix.stages {
            None => self.error(at, "missing", "Missing required section \"stages\""),
            Some(stages) => self.check_stages(stages, at, true),
        }
        if let Some(excludes) = &matrix.excludes {
            if excludes.is_empty() {
                self.error(at, "empty", "No excludes specified");
            }
            for exclude in excludes {
                if exclude.is_empty() {
                    self.error(at, "empty", "No axes specified");
                }
                for name in repeated(exclude.iter().filter_map(|a| a.name.as_deref())) {
                    self.error(at, "duplicate", format!("Duplicate axis name: \"{name}\""));
                }
                for axis in exclude {
                    self.check_axis(axis);
                }
            }
        }
        self.check_base(&matrix.base, at, tables::STAGE_OPTIONS);
    }

    fn check_axis(&mut self, axis: &Axis) {
        match &axis.name {
            None => self.error(axis.at, "missing", "Missing required section \"name\""),
            Some(name) if !is_identifier(name) => self.error(axis.at, "environment", bad_identifier(name)),
            Some(_) => {}
        }
        if axis.values.is_empty() {
            self.error(axis.at, "missing", "Missing required section \"values\"");
        }
        let mut seen: Vec<String> = Vec::new();
        for value in &axis.values {
            match value {
                Arg::Value(value) if value.literal => {
                    let text = value.value.as_str().map_or_else(|| value.value.to_string(), str::to_owned);
                    if seen.contains(&text) {
                        self.error(value.expr.at, "duplicate", format!("Duplicate axis value: \"{text}\""));
                    }
                    seen.push(text);
                }
                Arg::Value(value) => {
                    let text = value.value.as_str().unwrap_or_default().to_owned();
                    self.error(value.expr.at, "type", format!("Expected string literal but got {text}"));
                }
                Arg::Call(call) => self.error(call.at, "type", "Expected string literal"),
                Arg::Pair(key, _) => self.error(axis.at, "type", format!("Expected string literal but got {key}")),
            }
        }
    }
}
