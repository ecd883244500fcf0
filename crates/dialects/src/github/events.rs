//! The events of the dialect: which activities and filters each one has. A closed table.

/// An event that a workflow may name in `on`.
pub(super) struct Event {
    pub(super) name: &'static str,
    /// Activities that `types` may name; empty: it has none.
    pub(super) types: &'static [&'static str],
    /// Keys besides `types`.
    pub(super) filters: &'static [&'static str],
}

const BRANCHES: &[&str] = &["branches", "branches-ignore"];
const PULL_FILTERS: &[&str] = &["branches", "branches-ignore", "paths", "paths-ignore"];
const PULL_TYPES: &[&str] = &[
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "opened",
    "edited",
    "closed",
    "reopened",
    "synchronize",
    "converted_to_draft",
    "locked",
    "unlocked",
    "enqueued",
    "dequeued",
    "milestoned",
    "demilestoned",
    "ready_for_review",
    "review_requested",
    "review_request_removed",
    "auto_merge_enabled",
    "auto_merge_disabled",
    "stacked",
];
const ISSUE_TYPES: &[&str] = &[
    "opened",
    "edited",
    "deleted",
    "transferred",
    "pinned",
    "unpinned",
    "closed",
    "reopened",
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "locked",
    "unlocked",
    "milestoned",
    "demilestoned",
    "field_added",
    "field_removed",
    "typed",
    "untyped",
];
const DISCUSSION_TYPES: &[&str] = &[
    "created",
    "edited",
    "deleted",
    "transferred",
    "pinned",
    "unpinned",
    "labeled",
    "unlabeled",
    "locked",
    "unlocked",
    "category_changed",
    "answered",
    "unanswered",
];
const COMMENT_TYPES: &[&str] = &["created", "edited", "deleted"];
const RELEASE_TYPES: &[&str] = &["published", "unpublished", "created", "edited", "deleted", "prereleased", "released"];

const fn event(name: &'static str, types: &'static [&'static str], filters: &'static [&'static str]) -> Event {
    Event { name, types, filters }
}

pub(super) const EVENTS: &[Event] = &[
    event("branch_protection_rule", &["created", "edited", "deleted"], &[]),
    event("check_run", &["completed", "created", "rerequested", "requested_action"], &[]),
    event("check_suite", &["completed"], &[]),
    event("create", &[], &[]),
    event("delete", &[], &[]),
    event("deployment", &[], &[]),
    event("deployment_status", &[], &[]),
    event("discussion", DISCUSSION_TYPES, &[]),
    event("discussion_comment", COMMENT_TYPES, &[]),
    event("fork", &[], &[]),
    event("gollum", &[], &[]),
    event("image_version", &["created", "ready", "deleted"], &["names", "versions"]),
    event("issue_comment", COMMENT_TYPES, &[]),
    event("issues", ISSUE_TYPES, &[]),
    event("label", COMMENT_TYPES, &[]),
    event("merge_group", &["checks_requested"], BRANCHES),
    event("milestone", &["created", "closed", "opened", "edited", "deleted"], &[]),
    event("page_build", &[], &[]),
    event("project", &["created", "closed", "reopened", "edited", "deleted"], &[]),
    event("project_card", &["created", "moved", "converted", "edited", "deleted"], &[]),
    event("project_column", &["created", "updated", "moved", "deleted"], &[]),
    event("public", &[], &[]),
    event("pull_request", PULL_TYPES, PULL_FILTERS),
    event("pull_request_comment", COMMENT_TYPES, &[]),
    event("pull_request_review", &["submitted", "edited", "dismissed"], &[]),
    event("pull_request_review_comment", COMMENT_TYPES, &[]),
    event("pull_request_target", PULL_TYPES, PULL_FILTERS),
    event("push", &[], &["branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"]),
    event("registry_package", &["published", "updated"], &[]),
    event("release", RELEASE_TYPES, &[]),
    // its activities are chosen by whoever sends it
    event("repository_dispatch", &[], &["types"]),
    event("schedule", &[], &[]),
    event("status", &[], &[]),
    event("watch", &["started"], &[]),
    event("workflow_call", &[], &["inputs", "secrets", "outputs"]),
    event("workflow_dispatch", &[], &["inputs"]),
    event("workflow_run", &["requested", "completed", "in_progress"], &["workflows", "branches", "branches-ignore"]),
];

/// Events that happen here.
pub(super) const RAISED: &[&str] =
    &["push", "workflow_dispatch", "workflow_call", "schedule", "workflow_run", "repository_dispatch", "create", "delete"];

/// The event of that name.
pub(super) fn find(name: &str) -> Option<&'static Event> {
    EVENTS.iter().find(|e| e.name == name)
}
