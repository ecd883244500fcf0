//! What a job of GitLab takes with it: images, caches, artifacts.

use super::*;

impl Reader<'_> {
    pub(super) fn image(&mut self, node: &Node) -> Image {
        let mut image = Image { name: text(&node.get("name").map_or_else(|| one(node), one)), ..Image::default() };
        if let Value::Map(entries) = &node.value {
            for (key, value) in entries {
                match key.name.as_str() {
                    "name" | "alias" => {}
                    "command" => image.command = list(value),
                    "variables" => image.env = self.variables(value, false),
                    "entrypoint" if list(value).iter().all(String::is_empty) => {}
                    "docker" if value.get("user").is_some() => image.args = value.get("user").map(|u| format!("--user {}", one(u))),
                    other => self.lost(&key.span, "image", format!("`{other}` of an image cannot be said there")),
                }
            }
        }
        image
    }

    /// A job that starts a pipeline.
    pub(super) fn trigger(&mut self, node: &Node) -> Step {
        let mut start = Start::default();
        let Value::Map(entries) = &node.value else {
            start.project = Some(text(&one(node)));
            return Step::new(&node.span, Does::Start(start));
        };
        for (key, value) in entries {
            match key.name.as_str() {
                "project" => start.project = Some(text(&one(value))),
                "branch" => start.branch = Some(text(&one(value))),
                "strategy" => start.wait = true,
                "inputs" => start.given = self.variables(value, false),
                "include" => {
                    let entries = if let Value::Seq(items) = &value.value { items.as_slice() } else { std::slice::from_ref(value) };
                    for entry in entries {
                        match (entry.scalar_text(), entry.get("local")) {
                            (Some(path), _) => start.files.push(path),
                            (None, Some(path)) => start.files.push(one(path)),
                            (None, None) => self.lost(&entry.span, "child_pipeline", "only files of the same commit can be called there"),
                        }
                        if let Some(inputs) = entry.get("inputs") {
                            start.given.extend(self.variables(inputs, false));
                        }
                    }
                }
                other => self.lost(&key.span, "start", format!("`trigger:{other}` cannot be said there")),
            }
        }
        Step::new(&node.span, Does::Start(start))
    }

    pub(super) fn cache(&mut self, node: &Node) -> Option<Step> {
        let paths = node.get("paths").map(list).unwrap_or_default();
        if paths.is_empty() {
            return None;
        }
        let key = match node.get("key") {
            Some(key) if key.get("files").is_some() => {
                let mut pieces = key.get("prefix").map(|p| text(&one(p)).0).unwrap_or_default();
                if !pieces.is_empty() {
                    pieces.push(Piece::Lit("-".into()));
                }
                pieces.push(Piece::Hash(key.get("files").map(list).unwrap_or_default()));
                Text(pieces)
            }
            Some(key) => text(&one(key)),
            None => Text::lit("default"),
        };
        let policy = node.get("policy").map(one).unwrap_or_default();
        let restore = node.get("fallback_keys").map(list).unwrap_or_default().iter().map(|k| text(k)).collect();
        let does = Does::Cache { key, restore, paths, pull: policy != "push", push: policy != "pull" };
        self.out.warning(
            &node.span,
            "cache",
            "a cache of GitLab changes under its key with each run; elsewhere a key keeps what was saved first",
        );
        Some(Step::new(&node.span, does))
    }

    pub(super) fn artifacts(&mut self, node: &Node, job: &Job, steps: &mut Vec<Step>) {
        let base = base_of(&node.get("when").map(one).unwrap_or_default());
        for (name, what) in [
            ("expire_in", "how long files are kept"),
            ("expose_as", "where files are shown"),
            ("name", "the name of the archive"),
            ("public", "who may read files"),
            ("access", "who may read files"),
        ] {
            if let Some(found) = node.get(name) {
                self.out.warning(&found.span, "artifacts", format!("`artifacts:{name}`: {what} is not kept"));
            }
        }
        let paths = node.get("paths").map(list).unwrap_or_default();
        if !paths.is_empty() {
            let exclude = node.get("exclude").map(list).unwrap_or_default();
            let mut step = Step::new(&node.span, Does::Upload { name: Text::lit(&job.key), paths, exclude });
            step.when.base = base;
            steps.push(step);
        }
        let Some(Node { value: Value::Map(reports), .. }) = node.get("reports") else { return };
        let mut read = Vec::new();
        for (key, value) in reports {
            match key.name.as_str() {
                "junit" => read.push(("junit".to_owned(), list(value))),
                "coverage_report" => {
                    let format = value.get("coverage_format").map(one).unwrap_or_default();
                    read.push((format, value.get("path").map(list).unwrap_or_default()));
                }
                other => self.lost(&key.span, "reports", format!("`reports:{other}` cannot be said there")),
            }
        }
        if !read.is_empty() {
            let mut step = Step::new(&node.span, Does::Report(read));
            step.when.base = Base::Always;
            steps.push(step);
        }
    }
}
