//! What a Jenkins with its usual plugins knows: steps and their parameters, agents, options, conditions.

/// A step: name, required parameters, optional ones, and whether it takes a block.
pub(super) struct StepSpec {
    pub(super) name: &'static str,
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
    pub(super) block: bool,
}

const fn step(name: &'static str, required: &'static [&'static str], optional: &'static [&'static str], block: bool) -> StepSpec {
    StepSpec { name, required, optional, block }
}

const SHELL: &[&str] = &["encoding", "label", "returnStatus", "returnStdout"];

pub(super) const STEPS: &[StepSpec] = &[
    step("sh", &["script"], SHELL, false),
    step("bat", &["script"], SHELL, false),
    step("powershell", &["script"], SHELL, false),
    step("pwsh", &["script"], SHELL, false),
    step("echo", &["message"], &[], false),
    step("error", &["message"], &[], false),
    step("unstable", &["message"], &[], false),
    step("sleep", &["time"], &["unit"], false),
    step("readFile", &["file"], &["encoding"], false),
    step("writeFile", &["file", "text"], &["encoding"], false),
    step("fileExists", &["file"], &[], false),
    step("stash", &["name"], &["includes", "excludes", "useDefaultExcludes", "allowEmpty"], false),
    step("unstash", &["name"], &[], false),
    step("archive", &["includes"], &["excludes"], false),
    step("unarchive", &[], &["mapping"], false),
    step(
        "archiveArtifacts",
        &["artifacts"],
        &["allowEmptyArchive", "caseSensitive", "defaultExcludes", "excludes", "fingerprint", "followSymlinks", "onlyIfSuccessful"],
        false,
    ),
    step(
        "junit",
        &["testResults"],
        &[
            "allowEmptyResults",
            "checksName",
            "healthScaleFactor",
            "keepLongStdio",
            "keepProperties",
            "keepTestNames",
            "skipMarkingBuildUnstable",
            "skipOldReports",
            "skipPublishingChecks",
            "testDataPublishers",
            "stdioRetention",
        ],
        false,
    ),
    step("fingerprint", &["targets"], &["caseSensitive", "defaultExcludes", "excludes"], false),
    step("input", &["message"], &["cancel", "id", "ok", "parameters", "submitter", "submitterParameter"], false),
    step("build", &["job"], &["parameters", "propagate", "quietPeriod", "wait", "waitForStart"], false),
    step("tool", &["name"], &["type"], false),
    step("git", &["url"], &["branch", "changelog", "credentialsId", "poll"], false),
    step("checkout", &["scm"], &["changelog", "poll"], false),
    step("milestone", &["ordinal"], &["label", "unsafe"], false),
    step("step", &["delegate"], &[], false),
    step("wrap", &["delegate"], &[], true),
    step("isUnix", &[], &[], false),
    step("pwd", &[], &["tmp"], false),
    step("deleteDir", &[], &[], false),
    step("load", &["path"], &[], false),
    step("library", &["identifier"], &["changelog", "retriever"], false),
    step("libraryResource", &["resource"], &["encoding"], false),
    step("properties", &["properties"], &[], false),
    step("readTrusted", &["path"], &[], false),
    step("validateDeclarativePipeline", &["path"], &[], false),
    step("waitForBuild", &["runId"], &["propagate", "propagateAbort"], false),
    step("mail", &["subject", "body"], &["bcc", "cc", "charset", "from", "mimeType", "replyTo", "to"], false),
    step("sha1", &["file"], &[], false),
    step("sha256", &["file"], &[], false),
    step("touch", &["file"], &["timestamp"], false),
    step("unzip", &["zipFile"], &["charset", "dir", "glob", "quiet", "read", "test"], false),
    step("zip", &["zipFile"], &["archive", "defaultExcludes", "dir", "exclude", "file", "glob", "overwrite"], false),
    step("semaphore", &["id"], &[], false),
    step("ansiblePlaybook", &["playbook"], ANY, false),
    step("hipchatSend", &["message"], ANY, false),
    step("mattermostSend", &["message"], ANY, false),
    step("rocketSend", &["message"], ANY, false),
    step("telegramSend", &["message"], ANY, false),
    step("publishHTML", &["target"], &[], false),
    step("tm", &["stringWithMacro"], &[], false),
    // with a block
    step("dir", &["path"], &[], true),
    step("withEnv", &["overrides"], &[], true),
    step("withCredentials", &["bindings"], &[], true),
    step("retry", &["count"], &["conditions"], true),
    step("timeout", &["time"], &["activity", "unit"], true),
    step("timestamps", &[], &[], true),
    step("catchError", &[], &["buildResult", "catchInterruptions", "message", "stageResult"], true),
    step("warnError", &["message"], &["catchInterruptions"], true),
    step("node", &[], &["label"], true),
    step("ws", &["dir"], &[], true),
    step("stage", &["name"], &["concurrency"], true),
    step("waitUntil", &[], &["initialRecurrencePeriod", "quiet"], true),
    step("lock", &[], ANY, true),
    step("withContext", &["context"], &[], true),
    step("sshagent", &["credentials"], &["ignoreMissing"], true),
    step("container", &["name"], &["shell"], true),
    step("ansiColor", &["colorMapName"], &[], true),
];

/// Stands for parameters that are not listed.
pub(super) const ANY: &[&str] = &["*"];

/// The step of that name.
pub(super) fn find(name: &str) -> Option<&'static StepSpec> {
    STEPS.iter().find(|s| s.name == name)
}

/// Agent types with their required and optional settings.
pub(super) const AGENTS: &[(&str, &[&str], &[&str])] = &[
    ("any", &[], &[]),
    ("none", &[], &[]),
    ("label", &["label"], &["customWorkspace", "retries"]),
    ("node", &["label"], &["customWorkspace", "retries"]),
    (
        "docker",
        &["image"],
        &[
            "alwaysPull",
            "args",
            "containerPerStageRoot",
            "customWorkspace",
            "label",
            "registryCredentialsId",
            "registryUrl",
            "reuseNode",
            "retries",
        ],
    ),
    (
        "dockerfile",
        &[],
        &[
            "additionalBuildArgs",
            "args",
            "containerPerStageRoot",
            "customWorkspace",
            "dir",
            "filename",
            "label",
            "registryCredentialsId",
            "registryUrl",
            "reuseNode",
            "retries",
        ],
    ),
    ("kubernetes", &[], ANY),
    ("dockerContainer", &["image"], ANY),
];

/// Conditions of `post`, in the order they run.
pub const POST_CONDITIONS: &[&str] =
    &["always", "changed", "fixed", "regression", "aborted", "success", "unsuccessful", "unstable", "failure", "notBuilt", "cleanup"];

/// A condition of `when`: its name, how many conditions inside (-1: one or more), required and optional parameters.
pub(super) const CONDITIONS: &[(&str, i8, &[&str], &[&str])] = &[
    ("allOf", -1, &[], &[]),
    ("anyOf", -1, &[], &[]),
    ("branch", 0, &["pattern"], &["comparator"]),
    ("buildingTag", 0, &[], &[]),
    (
        "changeRequest",
        0,
        &[],
        &["author", "authorDisplayName", "authorEmail", "branch", "comparator", "fork", "id", "target", "title", "url"],
    ),
    ("changelog", 0, &["pattern"], &[]),
    ("changeset", 0, &["pattern"], &["caseSensitive", "comparator", "glob"]),
    ("environment", 0, &["name", "value"], &["ignoreCase"]),
    ("equals", 0, &["actual", "expected"], &[]),
    ("expression", 0, &[], &[]),
    ("isRestartedRun", 0, &[], &[]),
    ("not", 1, &[], &[]),
    ("tag", 0, &[], &["comparator", "pattern"]),
    ("triggeredBy", 0, &["cause"], &["detail"]),
];

/// Options of a pipeline.
pub(super) const OPTIONS: &[&str] = &[
    "ansiColor",
    "authorizationMatrix",
    "buildBlocker",
    "buildDiscarder",
    "catchError",
    "checkoutToSubdirectory",
    "copyArtifactPermission",
    "disableConcurrentBuilds",
    "disableRestartFromStage",
    "disableResume",
    "durabilityHint",
    "githubProjectProperty",
    "gitLabConnection",
    "lock",
    "newContainerPerStage",
    "office365ConnectorWebhooks",
    "overrideIndexTriggers",
    "parallelsAlwaysFailFast",
    "preserveStashes",
    "quietPeriod",
    "rateLimitBuilds",
    "retry",
    "script",
    "skipDefaultCheckout",
    "skipStagesAfterUnstable",
    "throttleJobProperty",
    "timeout",
    "timestamps",
    "waitUntil",
    "warnError",
    "withChecks",
    "withContext",
    "withCredentials",
    "withEnv",
    "ws",
];

/// Options of a stage.
pub(super) const STAGE_OPTIONS: &[&str] = &[
    "ansiColor",
    "catchError",
    "checkoutToSubdirectory",
    "lock",
    "newContainerPerStage",
    "retry",
    "script",
    "skipDefaultCheckout",
    "throttle",
    "timeout",
    "timestamps",
    "waitUntil",
    "warnError",
    "withChecks",
    "withContext",
    "withCredentials",
    "withEnv",
    "ws",
];

/// Triggers.
pub(super) const TRIGGERS: &[&str] = &[
    "bitbucketPush",
    "cron",
    "genericTrigger",
    "GenericTrigger",
    "githubPush",
    "gitlab",
    "issueCommentTrigger",
    "parameterizedCron",
    "pollSCM",
    "snapshotDependencies",
    "upstream",
];

/// Types of parameters.
pub(super) const PARAMETERS: &[&str] = &[
    "activeChoice",
    "booleanParam",
    "buildSelector",
    "choice",
    "credentials",
    "extendedChoice",
    "file",
    "gitParameter",
    "imageTag",
    "listGitBranches",
    "nonStoredPassword",
    "password",
    "reactiveChoice",
    "run",
    "string",
    "text",
];

/// Arguments of options, parameters and triggers: name, required ones, optional ones.
pub(super) const CALLS: &[(&str, &[&str], &[&str])] = &[
    ("cron", &["spec"], &[]),
    ("pollSCM", &["scmpoll_spec"], &["ignorePostCommitHooks"]),
    ("upstream", &["upstreamProjects"], &["threshold"]),
    ("booleanParam", &["name"], &["defaultValue", "description"]),
    ("string", &["name"], &["defaultValue", "description", "trim"]),
    ("text", &["name"], &["defaultValue", "description", "trim"]),
    ("password", &["name"], &["defaultValue", "defaultValueAsSecret", "description"]),
    ("choice", &["name"], &["choices", "description"]),
    ("timeout", &["time"], &["activity", "unit"]),
    ("retry", &["count"], &["conditions"]),
    ("checkoutToSubdirectory", &["subdirectoryPath"], &[]),
    ("buildDiscarder", &["strategy"], &[]),
];

/// What a parameter takes, as far as a constant can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Text,
    Int,
}

impl Takes {
    /// The name Jenkins has for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Takes::Text => "class java.lang.String",
            Takes::Int => "int",
        }
    }

    /// Code is only known when it runs; a text may hold a number.
    pub(super) fn takes(self, value: &super::model::Value) -> bool {
        let json = &value.value;
        if !value.literal || json.is_null() {
            return true;
        }
        match self {
            Takes::Text => json.is_string(),
            Takes::Int => json.is_i64() || json.as_str().is_some_and(|t| t.trim().parse::<i64>().is_ok()),
        }
    }
}

/// What a parameter of a step, condition, option, parameter or trigger takes, if that is known.
pub(super) fn type_of(owner: &str, key: &str) -> Option<Takes> {
    match (owner, key) {
        ("timeout" | "sleep", "time") | ("retry", "count") => Some(Takes::Int),
        ("environment", "value") | ("string" | "text", "defaultValue") | ("cron", "spec") | ("pollSCM", "scmpoll_spec") => {
            Some(Takes::Text)
        }
        (
            "sh"
            | "bat"
            | "powershell"
            | "pwsh"
            | "echo"
            | "error"
            | "unstable"
            | "readFile"
            | "writeFile"
            | "fileExists"
            | "stash"
            | "unstash"
            | "dir"
            | "archiveArtifacts"
            | "git"
            | "load"
            | "input"
            | "warnError"
            | "catchError"
            | "string"
            | "text"
            | "booleanParam"
            | "choice"
            | "password"
            | "branch"
            | "tag"
            | "environment"
            | "changeset"
            | "changelog"
            | "checkoutToSubdirectory",
            "script" | "message" | "file" | "text" | "path" | "name" | "url" | "branch" | "pattern" | "artifacts" | "includes" | "excludes"
            | "label" | "encoding" | "description" | "subdirectoryPath",
        ) => Some(Takes::Text),
        _ => None,
    }
}

/// The Java class of a constant.
pub(super) fn class_of(json: &serde_json::Value) -> &'static str {
    match json {
        serde_json::Value::Bool(_) => "class java.lang.Boolean",
        serde_json::Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => "class java.lang.Integer",
        serde_json::Value::Number(n) if n.is_i64() => "class java.lang.Long",
        serde_json::Value::Number(_) => "class java.math.BigDecimal",
        _ => "class java.lang.String",
    }
}

/// Tools.
pub(super) const TOOLS: &[&str] = &[
    "ant",
    "dockerTool",
    "git",
    "go",
    "gradle",
    "jdk",
    "jgit",
    "jgitapache",
    "maven",
    "msbuild",
    "nodejs",
    "python",
    "sonarQubeScanner",
    "terraform",
];

/// Steps that a declarative pipeline may not use, and why.
pub(super) const BLOCKED: &[(&str, &str)] = &[
    ("stage", "The stage step cannot be used in Declarative Pipelines"),
    ("properties", "The properties section is not allowed in Declarative Pipelines"),
    ("parallel", "The parallel step can only be used as the only top-level step in a stage's step block"),
];

/// The name nearest to a wrong one.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> &'n str {
    known.min_by_key(|k| distance(name, k)).unwrap_or_default()
}

/// How many letters have to change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(100).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(100).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}
