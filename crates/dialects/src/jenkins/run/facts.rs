//! What a run knows of itself and of the builds before it.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::super::interp::BuildResult;

/// A build before this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its number.
    pub number: i64,
    /// How it ended: `SUCCESS`, `UNSTABLE`, ...
    pub result: String,
}

/// A commit that came in since the build before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its id in hex.
    pub id: String,
    /// The whole message.
    pub message: String,
    /// Who wrote it.
    pub author: String,
    /// Milliseconds since 1970.
    pub time: i64,
}

/// The builds before this one of the same branch, and what has changed since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The last that has ended.
    #[serde(default)]
    pub previous: Option<Past>,
    /// The last that ended well.
    #[serde(default)]
    pub success: Option<Past>,
    /// Commits since, newest first.
    #[serde(default)]
    pub commits: Vec<Change>,
    /// Paths that changed since; none when they are not known.
    #[serde(default)]
    pub files: Option<Vec<String>>,
}

impl Past {
    fn json(&self) -> Json {
        let n = self.number;
        json!({"number": n, "id": n.to_string(), "displayName": format!("#{n}"), "result": self.result, "currentResult": self.result})
    }

    /// How it ended.
    pub fn ended(&self) -> Option<BuildResult> {
        BuildResult::parse(&self.result)
    }
}

/// Why a run began: as `BUILD_CAUSE`, as a class, and in words.
fn cause(event: &str) -> (&'static str, &'static str, &'static str) {
    match event {
        "workflow_dispatch" => ("MANUALTRIGGER", "hudson.model.Cause$UserIdCause", "Started by user"),
        "schedule" => ("TIMERTRIGGER", "hudson.triggers.TimerTrigger$TimerTriggerCause", "Started by timer"),
        "upstream" => {
            ("UPSTREAMTRIGGER", "org.jenkinsci.plugins.workflow.support.steps.build.BuildUpstreamCause", "Started by upstream project")
        }
        _ => ("SCMTRIGGER", "jenkins.branch.BranchEventCause", "Push event to branch"),
    }
}

/// Fields of `currentBuild` that do not change while it runs.
pub fn build_fields(github: &Json, api_url: &str, history: &History) -> IndexMap<String, Json> {
    let text = |key: &str| github[key].as_str().unwrap_or_default().to_owned();
    let number = text("run_number").parse::<i64>().unwrap_or(0);
    let project = text("repository");
    let past = |p: &Option<Past>| p.as_ref().map_or(Json::Null, Past::json);
    let item = |c: &Change| {
        let title = c.message.lines().next().unwrap_or_default();
        let author = json!({"fullName": c.author, "displayName": c.author, "id": c.author});
        json!({"commitId": c.id, "msg": title, "comment": c.message, "author": author, "timestamp": c.time,
            "affectedPaths": history.files.clone().unwrap_or_default()})
    };
    let items: Vec<Json> = history.commits.iter().map(item).collect();
    let sets = if items.is_empty() { json!([]) } else { json!([{"kind": "git", "items": items}]) };
    let (_, class, words) = cause(&text("event_name"));
    let mut causes = json!({"_class": class, "shortDescription": words});
    if text("event_name") == "workflow_dispatch" {
        causes["userId"] = text("actor").into();
        causes["userName"] = text("actor").into();
        causes["shortDescription"] = format!("{words} {}", text("actor")).into();
    }
    let fields = [
        ("number", json!(number)),
        ("id", json!(number.to_string())),
        ("displayName", json!(format!("#{number}"))),
        ("fullDisplayName", json!(format!("{project} #{number}"))),
        ("description", Json::Null),
        ("projectName", json!(project.rsplit('/').next().unwrap_or_default())),
        ("fullProjectName", json!(project)),
        ("absoluteUrl", json!(format!("{api_url}/{project}/runs/{}", text("run_id")))),
        ("keepLog", json!(false)),
        ("previousBuild", past(&history.previous)),
        ("previousCompletedBuild", past(&history.previous)),
        ("previousSuccessfulBuild", past(&history.success)),
        ("changeSets", sets),
        ("buildCauses", json!([causes])),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Environment that a pipeline has before its first stage, from the contexts of the run.
pub fn environment(github: &serde_json::Value, api_url: &str) -> IndexMap<String, String> {
    let text = |key: &str| github[key].as_str().unwrap_or_default().to_owned();
    let mut env = IndexMap::new();
    let number = text("run_number");
    let job = text("repository");
    env.insert("BUILD_NUMBER".to_owned(), number.clone());
    env.insert("BUILD_ID".into(), number.clone());
    env.insert("BUILD_DISPLAY_NAME".into(), format!("#{number}"));
    env.insert("BUILD_TAG".into(), format!("jenkins-{}-{number}", job.replace('/', "-")));
    env.insert("JOB_NAME".into(), job.clone());
    env.insert("JOB_BASE_NAME".into(), job.rsplit('/').next().unwrap_or_default().to_owned());
    env.insert("BUILD_URL".into(), format!("{api_url}/{job}/runs/{}", text("run_id")));
    env.insert("JENKINS_URL".into(), format!("{api_url}/"));
    env.insert("JOB_URL".into(), format!("{api_url}/{job}/"));
    env.insert("RUN_DISPLAY_URL".into(), format!("{api_url}/{job}/runs/{}", text("run_id")));
    env.insert("GIT_URL".into(), format!("{api_url}/{job}.git"));
    env.insert("BRANCH_NAME".into(), text("ref_name"));
    env.insert("GIT_BRANCH".into(), text("ref_name"));
    env.insert("GIT_COMMIT".into(), text("sha"));
    env.insert("EXECUTOR_NUMBER".into(), "0".into());
    env.insert("BUILD_CAUSE".into(), cause(&text("event_name")).0.into());
    if text("event_name") == "workflow_dispatch" {
        env.insert("BUILD_USER_ID".into(), text("actor"));
    }
    let default = github["event"]["repository"]["default_branch"].as_str();
    if text("ref_type") == "tag" {
        env.insert("TAG_NAME".into(), text("ref_name"));
    } else if default == Some(&text("ref_name")) {
        // never `false`: elsewhere it is not set
        env.insert("BRANCH_IS_PRIMARY".into(), "true".into());
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_branch_is_primary_and_nothing_else_is() {
        let primary = |ref_name: &str, ref_type: &str, event: Json| {
            let github = json!({"repository": "ann/app", "ref_name": ref_name, "ref_type": ref_type, "event": event});
            environment(&github, "http://x").get("BRANCH_IS_PRIMARY").cloned()
        };
        let event = || json!({"repository": {"default_branch": "trunk"}});
        assert_eq!(primary("trunk", "branch", event()), Some("true".into()));
        assert_eq!(primary("topic", "branch", event()), None);
        assert_eq!(primary("trunk", "tag", event()), None);
        assert_eq!(primary("trunk", "branch", Json::Null), None);
        assert_eq!(primary("", "branch", json!({})), None);
    }
}
