//! Reads a pipeline of GitLab into a draft: the tree after includes, `extends` and references, before rules are asked.

mod parts;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, Span};
use crate::gitlab;
use crate::plan::RefFilter;
use crate::yaml::{Key, Node, Value};

use super::Target;
use super::conditions;
use super::draft::{Base, Cond, Does, Draft, Fact, Gate, Image, Job, Matrix, Piece, Side, Start, Step, Text, When};

pub(super) fn read(path: &str, bytes: &[u8], out: &mut Diagnostics) -> Result<Draft, Vec<Diagnostic>> {
    let compiled = gitlab::compile(path, bytes, &gitlab::Facts::sample(), &gitlab::Nothing);
    // whether jobs need each other depends on the event, which is not known here
    let broken = |d: &&Diagnostic| d.severity == Severity::Error && !matches!(d.code.as_str(), "needs_excluded" | "rule_not_decidable");
    if compiled.diagnostics.iter().any(|d| broken(&d)) {
        return Err(compiled.diagnostics);
    }
    let Some(root) = gitlab::tree(path, bytes) else { return Err(compiled.diagnostics) };
    let Value::Map(entries) = &root.value else { return Err(compiled.diagnostics) };
    let mut reader = Reader { out, draft: Draft::default(), stages: Vec::new(), defaults: Vec::new(), requests: false };
    reader.pipeline(&root, entries);
    let Reader { mut draft, requests, .. } = reader;
    draft.push = Some(RefFilter::default());
    draft.by_hand = true;
    if requests {
        draft.pull_request = Some(RefFilter::default());
    }
    draft.jobs.iter_mut().for_each(|j| j.when.through = true);
    Ok(draft)
}

struct Reader<'r> {
    out: &'r mut Diagnostics,
    draft: Draft,
    stages: Vec<String>,
    defaults: Vec<(Key, Node)>,
    /// Some rule speaks of merge requests.
    requests: bool,
}

/// Texts of a scalar or a list, lists in lists flattened.
fn list(node: &Node) -> Vec<String> {
    match &node.value {
        Value::Seq(items) => items.iter().flat_map(list).collect(),
        Value::Null | Value::Map(_) => Vec::new(),
        Value::Number(_, written) => vec![written.clone()],
        _ => node.scalar_text().into_iter().collect(),
    }
}

fn one(node: &Node) -> String {
    list(node).into_iter().next().unwrap_or_default()
}

/// A text in which GitLab replaces variables.
fn text(value: &str) -> Text {
    let mut pieces = Vec::new();
    let mut lit = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        lit.push_str(&rest[..at]);
        let from = &rest[at + 1..];
        if let Some(after) = from.strip_prefix('$') {
            lit.push('$');
            rest = after;
            continue;
        }
        let braced = from.starts_with('{');
        let name = &from[usize::from(braced)..];
        let length = name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let after = &name[length..];
        if length == 0 || name.starts_with(|c: char| c.is_ascii_digit()) || braced && !after.starts_with('}') {
            lit.push('$');
            rest = from;
            continue;
        }
        if !lit.is_empty() {
            pieces.push(Piece::Lit(std::mem::take(&mut lit)));
        }
        let name = &name[..length];
        pieces.push(match Fact::of_variable(name, Target::Gitlab) {
            Some(fact) => Piece::Fact(fact),
            None => Piece::Var(name.to_owned()),
        });
        rest = if braced { &after[1..] } else { after };
    }
    lit.push_str(rest);
    if !lit.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Lit(lit));
    }
    Text(pieces)
}

fn minutes(text: &str) -> Option<f64> {
    gitlab::seconds(text).map(|s| (s as f64 / 60.0 * 100.0).round() / 100.0)
}

impl Reader<'_> {
    fn lost(&mut self, span: &Span, code: &str, message: impl Into<String>) {
        self.out.error(span, code, message);
    }

    fn pipeline(&mut self, root: &Node, entries: &[(Key, Node)]) {
        self.stages =
            root.get("stages").or_else(|| root.get("types")).map_or_else(|| ["build", "test", "deploy"].map(String::from).to_vec(), list);
        self.stages.retain(|s| s != ".pre" && s != ".post");
        self.stages.insert(0, ".pre".into());
        self.stages.push(".post".into());
        if let Some(Node { value: Value::Map(entries), .. }) = root.get("default") {
            self.defaults.clone_from(entries);
        }
        let mut workflow = Cond::True;
        for (key, value) in entries {
            match key.name.as_str() {
                "variables" => self.draft.env = self.variables(value, true),
                "workflow" => workflow = self.workflow(value),
                "image" | "services" | "cache" | "before_script" | "after_script" => self.defaults.push((key.clone(), value.clone())),
                _ => {}
            }
        }
        let known = [
            "stages",
            "types",
            "default",
            "variables",
            "workflow",
            "image",
            "services",
            "cache",
            "before_script",
            "after_script",
            "include",
        ];
        let jobs: Vec<&(Key, Node)> =
            entries.iter().filter(|(k, _)| !known.contains(&k.name.as_str()) && !k.name.starts_with('.')).collect();
        let mut names: Vec<(String, String)> = Vec::new();
        for (key, node) in &jobs {
            let mut job = self.job(key, node);
            job.when.cond = workflow.clone().and(job.when.cond);
            names.push((key.name.clone(), job.stage.clone().unwrap_or_default()));
            self.draft.jobs.push(job);
        }
        self.order(&jobs);
    }

    /// What jobs wait for and take: named, or all of the stages before.
    fn order(&mut self, jobs: &[&(Key, Node)]) {
        let stage_of = |reader: &Self, i: usize| {
            let stage = reader.draft.jobs[i].stage.clone().unwrap_or_default();
            reader.stages.iter().position(|s| *s == stage).unwrap_or(usize::MAX)
        };
        let levels: Vec<usize> = (0..jobs.len()).map(|i| stage_of(self, i)).collect();
        let with_files: Vec<String> = self
            .draft
            .jobs
            .iter()
            .filter(|j| j.steps.iter().any(|s| matches!(s.does, Does::Upload { .. })))
            .map(|j| j.key.clone())
            .collect();
        for (i, (_, node)) in jobs.iter().enumerate() {
            let mut from: Vec<String>;
            let mut needs: Vec<String> = Vec::new();
            if let Some(named) = node.get("needs") {
                from = Vec::new();
                let items = match &named.value {
                    Value::Seq(items) => items.clone(),
                    Value::Null => Vec::new(),
                    _ => vec![(*named).clone()],
                };
                for item in items {
                    let name = item.get("job").map_or_else(|| one(&item), one);
                    if item.get("parallel").is_some() {
                        self.out.warning(&item.span, "needs_matrix", format!("`{name}`: all jobs of its matrix are waited for"));
                    }
                    if item.get("optional").and_then(Node::scalar_text).as_deref() == Some("true") {
                        self.out.warning(
                            &item.span,
                            "needs_optional",
                            format!("`{name}` is waited for even if its conditions leave it out"),
                        );
                    }
                    if item.get("artifacts").and_then(Node::scalar_text).as_deref() != Some("false") {
                        from.push(name.clone());
                    }
                    needs.push(name);
                }
            } else {
                let before: Vec<usize> = (0..jobs.len()).filter(|&j| levels[j] < levels[i]).collect();
                let nearest = before.iter().map(|&j| levels[j]).max();
                from = before.iter().map(|&j| self.draft.jobs[j].key.clone()).collect();
                // the stage before waits for those before it, unless its jobs say otherwise
                let direct = before.iter().filter(|&&j| Some(levels[j]) == nearest || jobs.iter().any(|(_, n)| n.get("needs").is_some()));
                needs = direct.map(|&j| self.draft.jobs[j].key.clone()).collect();
            }
            if let Some(dependencies) = node.get("dependencies") {
                let only = list(dependencies);
                from.retain(|f| only.contains(f));
            }
            from.retain(|f| with_files.contains(f));
            let job = &mut self.draft.jobs[i];
            needs.retain(|n| *n != job.key);
            job.needs = needs;
            let span = job.span.clone();
            let first = job.steps.iter().position(|s| !matches!(s.does, Does::Checkout | Does::Cache { .. })).unwrap_or(0);
            for (n, key) in from.into_iter().enumerate() {
                job.steps.insert(first + n, Step::new(&span, Does::Download { name: Some(Text::lit(key)), path: None }));
            }
        }
    }

    fn workflow(&mut self, node: &Node) -> Cond {
        if let Some(name) = node.get("name") {
            self.draft.name = Some(one(name)).filter(|n| !n.contains('$'));
            if self.draft.name.is_none() {
                self.out.warning(&name.span, "run_name", "the name of a pipeline with variables in it is not kept");
            }
        }
        if let Some(auto) = node.get("auto_cancel") {
            self.draft.alone = Some(true);
            self.out.warning(&auto.span, "auto_cancel", "a newer run stops the older one of the ref as a whole");
        }
        node.get("rules").map_or(Cond::True, |rules| self.rules(rules, None).cond)
    }

    fn variables(&mut self, node: &Node, inputs: bool) -> IndexMap<String, Text> {
        let mut vars = IndexMap::new();
        let Value::Map(entries) = &node.value else { return vars };
        for (key, value) in entries {
            if inputs && (value.get("description").is_some() || value.get("options").is_some()) {
                self.out.warning(
                    &key.span,
                    "prefilled_variable",
                    format!("`{}` can be changed when a pipeline is started by hand: it becomes a plain variable", key.name),
                );
            }
            let held = value.get("value").unwrap_or(value);
            let raw = value.get("expand").and_then(Node::scalar_text).as_deref() == Some("false");
            let written = one(held);
            vars.insert(key.name.clone(), if raw { Text::lit(written) } else { text(&written) });
        }
        vars
    }

    /// Rules as one condition: the first that holds decides.
    fn rules(&mut self, node: &Node, job: Option<&mut Job>) -> When {
        let mut flat = Vec::new();
        flatten(node, &mut flat);
        let mut cond = Cond::True.not();
        let mut bases = Vec::new();
        let mut gate = None;
        let mut may_fail = None;
        for rule in flat.iter().rev() {
            let mut held = Cond::True;
            if let Some(text) = rule.get("if") {
                held = held.and(conditions::gitlab(&one(text)));
            }
            if let Some(changes) = rule.get("changes") {
                held = held.and(Cond::Changed(list(changes.get("paths").unwrap_or(changes))));
            }
            if let Some(exists) = rule.get("exists") {
                held = held.and(Cond::Exists(list(exists.get("paths").unwrap_or(exists))));
            }
            self.requests |= mentions_requests(&held);
            if rule.get("variables").is_some() {
                self.lost(&rule.span, "rule_variables", "variables that a rule sets hold only if it decides, which cannot be said there");
            }
            if rule.get("needs").is_some() {
                self.lost(&rule.span, "rule_needs", "what a job needs cannot depend on its conditions there");
            }
            let when = rule.get("when").map_or_else(|| "on_success".into(), one);
            if when == "never" {
                cond = if cond == Cond::True.not() { cond } else { held.not().and(cond) };
                continue;
            }
            bases.push(when.clone());
            if let Some(flag) = rule.get("allow_failure") {
                may_fail = Some(one(flag) == "true");
            }
            match when.as_str() {
                "manual" => gate = Some(Gate::Manual { blocking: rule.get("allow_failure").map(one).as_deref() != Some("true") }),
                "delayed" => gate = Some(Gate::Delay(rule.get("start_in").and_then(|n| gitlab::seconds(&one(n))).unwrap_or(0))),
                _ => {}
            }
            cond = if cond == Cond::True.not() { held } else { held.or(cond) };
        }
        bases.dedup();
        if bases.len() > 1 && job.is_some() {
            self.out.warning(
                &node.span,
                "rules_when",
                format!("the rules differ in `when` ({}): the first one's holds for all", bases.join(", ")),
            );
        }
        if let Some(job) = job {
            job.gate = gate.or(job.gate.take());
            job.may_fail = may_fail.unwrap_or(job.may_fail);
        }
        When { base: base_of(bases.last().map_or("on_success", String::as_str)), cond, through: true }
    }

    fn job(&mut self, key: &Key, node: &Node) -> Job {
        let mut job = Job::new(&key.name, &key.span);
        job.stage = Some(node.get("stage").or_else(|| node.get("type")).map_or_else(|| "test".into(), one));
        job.when.base = base_of(&node.get("when").map(one).unwrap_or_default());
        let inherit = |what: &str, name: &str| match node.get("inherit").and_then(|i| i.get(what)) {
            Some(Node { value: Value::Bool(all), .. }) => *all,
            Some(names) => list(names).iter().any(|n| n == name),
            None => true,
        };
        let own: &[(Key, Node)] = if let Value::Map(entries) = &node.value { entries } else { &[] };
        let trigger = node.get("trigger");
        // a job that starts a pipeline takes no defaults
        let defaults: Vec<(Key, Node)> = self
            .defaults
            .iter()
            .filter(|_| trigger.is_none())
            .filter(|(k, _)| node.get(&k.name).is_none() && inherit("default", &k.name))
            .cloned()
            .collect();
        if node.get("inherit").is_some_and(|i| i.get("variables").is_some()) {
            self.out.warning(&key.span, "inherit", "the job does not take all variables of the pipeline; there every job has them");
        }
        let entries: Vec<(&Key, &Node)> = own.iter().map(|(k, v)| (k, v)).chain(defaults.iter().map(|(k, v)| (k, v))).collect();
        let find = |name: &str| entries.iter().find(|(k, _)| k.name == name).map(|(_, v)| *v);
        for (key, value) in &entries {
            self.key(key, value, &mut job);
        }
        if let Some(trigger) = trigger {
            job.steps = vec![self.trigger(trigger)];
            return job;
        }
        let no_sources = [&job.env, &self.draft.env].iter().find_map(|e| e.get("GIT_STRATEGY")?.plain()).as_deref() == Some("none");
        job.env.shift_remove("GIT_STRATEGY");
        let mut steps = Vec::new();
        if !no_sources {
            steps.push(Step::new(&job.span, Does::Checkout));
        }
        if let Some(cache) = find("cache") {
            let caches = if let Value::Seq(items) = &cache.value { items.clone() } else { vec![cache.clone()] };
            steps.extend(caches.iter().filter_map(|c| self.cache(c)));
        }
        let lines: Vec<String> = [find("before_script"), find("script")].into_iter().flatten().flat_map(list).collect();
        let span = find("script").map_or_else(|| job.span.clone(), |n| n.span.clone());
        let mut script = Step::script(&span, Text::lit(lines.join("\n")));
        if let Does::Script { shell, .. } = &mut script.does {
            *shell = Some("bash".into());
        }
        steps.push(script);
        if let Some(after) = find("after_script").map(list).filter(|l| !l.is_empty()) {
            let mut step = Step::script(&span, Text::lit(after.join("\n")));
            step.name = Some("After script".into());
            step.when.base = Base::Always;
            step.may_fail = true;
            steps.push(step);
            self.out.warning(
                &span,
                "after_script",
                "`after_script` becomes a step of its own: there its time is not limited to five minutes",
            );
        }
        if let Some(artifacts) = find("artifacts") {
            self.artifacts(artifacts, &job, &mut steps);
        }
        job.steps = steps;
        job
    }

    fn key(&mut self, key: &Key, value: &Node, job: &mut Job) {
        match key.name.as_str() {
            "stage" | "type" | "script" | "before_script" | "after_script" | "cache" | "artifacts" | "needs" | "dependencies"
            | "extends" | "inherit" | "trigger" => {}
            "image" => job.image = Some(self.image(value)),
            "services" => {
                let items = if let Value::Seq(items) = &value.value { items.clone() } else { vec![value.clone()] };
                for item in items {
                    let image = self.image(&item);
                    let bare = image.name.plain().unwrap_or_default();
                    let bare = bare.split(['@', ':']).next().unwrap_or_default().replace('/', "-");
                    job.services.insert(item.get("alias").map_or(bare, one), image);
                }
            }
            "variables" => job.env = self.variables(value, false),
            "rules" => job.when = self.rules(value, Some(job)),
            "only" | "except" => self.only(key, value, job),
            "when" => match one(value).as_str() {
                "manual" => {
                    job.gate = Some(Gate::Manual { blocking: false });
                    job.may_fail = true;
                }
                "delayed" => job.gate = Some(Gate::Delay(0)),
                "never" => job.when.cond = Cond::True.not(),
                _ => {}
            },
            "start_in" => job.gate = Some(Gate::Delay(gitlab::seconds(&one(value)).unwrap_or(0))),
            "allow_failure" => match value.get("exit_codes") {
                Some(_) => self.lost(&key.span, "exit_codes", "exit codes that do not count as failures cannot be said there"),
                None => job.may_fail = one(value) == "true",
            },
            "tags" => job.labels = list(value).iter().map(|t| text(t)).collect(),
            "timeout" => job.timeout = minutes(&one(value)),
            "retry" => {
                let max = value.get("max").unwrap_or(value);
                job.retry = one(max).parse().unwrap_or(0);
                if value.get("when").is_some() || value.get("exit_codes").is_some() {
                    self.out.warning(&key.span, "retry_when", "the kinds of failure that are tried again cannot be chosen there");
                }
            }
            "interruptible" => job.interruptible = one(value) == "true",
            "resource_group" => job.group = Some(text(&one(value))),
            "environment" => {
                let name = value.get("name").unwrap_or(value);
                job.environment = Some((text(&one(name)), value.get("url").map(|u| text(&one(u)))));
                for other in ["on_stop", "auto_stop_in", "action", "deployment_tier", "kubernetes"] {
                    if let Some(node) = value.get(other) {
                        self.lost(&node.span, "environment", format!("`environment:{other}` cannot be said there"));
                    }
                }
            }
            "parallel" => self.parallel(value, job),
            "coverage" => self.lost(&key.span, "coverage", "the coverage that is found in the log cannot be said there: keep a report"),
            other => self.lost(&key.span, "keyword", format!("`{other}` of the job `{}` cannot be said there", job.key)),
        }
    }

    fn only(&mut self, key: &Key, value: &Node, job: &mut Job) {
        let wanted = key.name == "only";
        let refs = value.get("refs").unwrap_or(value);
        let mut any: Option<Cond> = None;
        for name in list(refs) {
            let is = |event: &str| Cond::Same(Side::Fact(Fact::Event), Side::Text(event.into()));
            let cond = match name.as_str() {
                "branches" => Cond::Set(Side::Fact(Fact::Branch)),
                "tags" => Cond::Set(Side::Fact(Fact::Tag)),
                "pushes" => is("push"),
                "merge_requests" => {
                    self.requests = true;
                    is("pull_request")
                }
                "web" => is("workflow_dispatch"),
                "schedules" => is("schedule"),
                "api" | "triggers" | "pipelines" | "chat" | "external" | "external_pull_requests" => Cond::Foreign(name.clone()),
                pattern if pattern.starts_with('/') => {
                    Cond::Matches(Side::Fact(Fact::RefName), pattern.trim_matches('/').replace("\\/", "/"))
                }
                branch => Cond::Same(Side::Fact(Fact::RefName), Side::Text(branch.into())),
            };
            any = Some(any.map_or(cond.clone(), |a| a.or(cond)));
        }
        let mut held = any.unwrap_or(Cond::True);
        if let Some(variables) = value.get("variables") {
            let all = list(variables).iter().map(|t| conditions::gitlab(t)).reduce(Cond::or).unwrap_or(Cond::True);
            held = held.and(all);
        }
        if let Some(changes) = value.get("changes") {
            held = held.and(Cond::Changed(list(changes)));
        }
        let held = if wanted { held } else { held.not() };
        job.when.cond = std::mem::replace(&mut job.when.cond, Cond::True).and(held);
    }

    fn parallel(&mut self, value: &Node, job: &mut Job) {
        let mut cells: Vec<IndexMap<String, String>> = Vec::new();
        if let Some(Node { value: Value::Seq(rows), .. }) = value.get("matrix") {
            for row in rows {
                let Value::Map(entries) = &row.value else { continue };
                let mut product = vec![IndexMap::new()];
                for (key, values) in entries {
                    let values = list(values);
                    product = product
                        .into_iter()
                        .flat_map(|cell: IndexMap<String, String>| {
                            values
                                .iter()
                                .map(|v| {
                                    let mut cell = cell.clone();
                                    cell.insert(key.name.clone(), v.clone());
                                    cell
                                })
                                .collect::<Vec<_>>()
                        })
                        .take(256)
                        .collect();
                }
                cells.extend(product);
            }
        } else {
            let count: usize = one(value).parse().unwrap_or(1);
            for index in 1..=count.min(200) {
                cells.push([("CI_NODE_INDEX".to_owned(), index.to_string()), ("CI_NODE_TOTAL".to_owned(), count.to_string())].into());
            }
        }
        self.out.warning(
            &value.span,
            "matrix_names",
            format!("the jobs of `{0}` are called `{0}: [a, b]` in GitLab and otherwise there", job.key),
        );
        job.matrix = Some(Matrix { cells, fail_fast: false, max_parallel: None });
    }
}

fn flatten<'n>(node: &'n Node, out: &mut Vec<&'n Node>) {
    match &node.value {
        Value::Seq(items) => items.iter().for_each(|n| flatten(n, out)),
        Value::Null => {}
        _ => out.push(node),
    }
}

fn base_of(when: &str) -> Base {
    match when {
        "on_failure" => Base::Failure,
        "always" => Base::Always,
        _ => Base::Success,
    }
}

fn mentions_requests(cond: &Cond) -> bool {
    match cond {
        Cond::Same(Side::Fact(Fact::Event), Side::Text(event)) => event == "pull_request",
        Cond::Set(Side::Fact(Fact::BaseRef | Fact::HeadRef)) => true,
        Cond::Same(Side::Fact(Fact::BaseRef | Fact::HeadRef), _) => true,
        Cond::Not(c) => mentions_requests(c),
        Cond::All(list) | Cond::Any(list) => list.iter().any(mentions_requests),
        _ => false,
    }
}
