//! What the browse API shows, and how it is made from what the repository holds. Pure.

use git::read::{ChangeKind, FileDiff, LineKind};
use kernel::{Error, RepoPath, Result, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A branch or tag.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefView {
    /// Short name.
    pub name: String,
    /// The commit it leads to.
    pub commit: String,
    /// When it last moved, as far as is on record.
    #[schema(value_type = Option<String>)]
    pub updated_at: Option<Timestamp>,
}

/// Branches and tags, one page.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefPage {
    /// Short name of the default branch.
    pub default_branch: String,
    /// Branches of this page.
    pub branches: Vec<RefView>,
    /// Tags of this page.
    pub tags: Vec<RefView>,
    /// Pass as `after` for the next page.
    pub next: Option<String>,
}

/// The commit that last changed an entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastCommit {
    /// Its id.
    pub oid: String,
    /// First line of its message.
    pub title: String,
    /// When it was written.
    #[schema(value_type = String)]
    pub time: Timestamp,
}

/// An entry of a directory.
#[derive(Debug, Serialize, ToSchema)]
pub struct TreeEntryView {
    /// Its name.
    pub name: String,
    /// Its path from the root.
    pub path: String,
    /// `tree`, `blob`, `symlink` or `submodule`.
    #[serde(rename = "type")]
    #[schema(value_type = crate::words::EntryType)]
    pub kind: &'static str,
    /// Mode in git's octal digits.
    pub mode: String,
    /// Size of a file in bytes.
    pub size: Option<u64>,
    /// Its object.
    pub oid: String,
    /// Language by its name.
    pub language: Option<&'static str>,
    /// Who changed it last; null when that would take too long to find.
    pub last_commit: Option<LastCommit>,
}

/// A directory.
#[derive(Debug, Serialize, ToSchema)]
pub struct TreeView {
    /// The ref as asked for, or the default branch.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit it leads to.
    pub commit: String,
    /// The directory; empty for the root.
    pub path: String,
    /// Directories first, then by name.
    pub entries: Vec<TreeEntryView>,
}

/// A file.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileView {
    /// The ref as asked for, or the default branch.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit it leads to.
    pub commit: String,
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its object.
    pub oid: String,
    /// Its language.
    pub language: Option<&'static str>,
    /// Not text.
    pub binary: bool,
    /// How `content` is written: `utf-8` or `base64`.
    pub encoding: &'static str,
    /// The content; empty when it is too large to show.
    pub content: String,
    /// The content is not all here: get it from `raw`.
    pub truncated: bool,
    /// Markdown as safe HTML.
    pub html: Option<String>,
}

/// The text that introduces a repository.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadmeView {
    /// Its path.
    pub path: String,
    /// Markdown as safe HTML; null for plain text.
    pub html: Option<String>,
    /// The text.
    pub content: String,
}

/// Who and when.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignatureView {
    /// Name as written.
    pub name: String,
    /// Address as written.
    pub email: String,
    /// When.
    #[schema(value_type = String)]
    pub time: Timestamp,
}

/// A commit.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommitView {
    /// Its id.
    pub oid: String,
    /// Its parents.
    pub parents: Vec<String>,
    /// Who wrote it.
    pub author: SignatureView,
    /// Who committed it.
    pub committer: SignatureView,
    /// First line of the message.
    pub title: String,
    /// The whole message.
    pub message: String,
    /// What checks say: `success`, `failure`, `pending`, or null when none has looked.
    #[schema(value_type = Option<crate::words::CheckState>)]
    pub status: Option<&'static str>,
}

/// A commit with what it changed against its first parent.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommitDetail {
    /// The commit.
    #[serde(flatten)]
    pub commit: CommitView,
    /// Changed files.
    pub files: Vec<FileDiffView>,
    /// In numbers.
    pub stats: Stats,
}

/// A change in numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stats {
    /// Changed files.
    pub files: usize,
    /// Added lines.
    pub additions: u64,
    /// Removed lines.
    pub deletions: u64,
    /// More files changed than are listed.
    pub truncated: bool,
}

/// A changed file.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileDiffView {
    /// Its path.
    pub path: String,
    /// Where it was before it was renamed.
    pub old_path: Option<String>,
    /// `added`, `modified`, `deleted` or `renamed`.
    #[schema(value_type = crate::words::FileStatus)]
    pub status: &'static str,
    /// Added lines.
    pub additions: u64,
    /// Removed lines.
    pub deletions: u64,
    /// Not text.
    pub binary: bool,
    /// Not all lines are here.
    pub truncated: bool,
    /// The changed places.
    pub hunks: Vec<HunkView>,
}

/// A changed place.
#[derive(Debug, Serialize, ToSchema)]
pub struct HunkView {
    /// First line before.
    pub old_start: u32,
    /// Lines before.
    pub old_lines: u32,
    /// First line after.
    pub new_start: u32,
    /// Lines after.
    pub new_lines: u32,
    /// The lines.
    pub lines: Vec<LineView>,
}

/// A line of a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineView {
    /// ` `, `+` or `-`.
    pub kind: &'static str,
    /// The text, without the line end. Bidirectional and invisible characters are kept as they are.
    pub text: String,
}

/// What a check says about a commit.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommitStatusView {
    /// Which check.
    pub context: String,
    /// `pending`, `success`, `failure` or `error`.
    #[schema(value_type = crate::words::CheckState)]
    pub state: String,
    /// In words.
    pub description: String,
    /// Where to read more.
    pub target_url: Option<String>,
    /// When it said so.
    #[schema(value_type = String)]
    pub updated_at: Timestamp,
}

/// A commit to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitNew {
    /// Short name of the branch; made from the default branch if it is not there.
    pub branch: String,
    /// Why.
    pub message: String,
    /// The commit the branch must be at; without it the edits apply to what is there.
    pub expected_head: Option<String>,
    /// What to do, in order.
    pub actions: Vec<ActionNew>,
}

/// One edit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionNew {
    /// `create`, `update`, `delete` or `move`.
    pub action: String,
    /// The file.
    pub path: String,
    /// Where it was, for `move`.
    pub previous_path: Option<String>,
    /// Its content.
    pub content: Option<String>,
    /// How `content` is written: `utf-8` (the default) or `base64`.
    pub encoding: Option<String>,
}

impl ActionNew {
    /// Checks it.
    ///
    /// # Errors
    /// `validation_failed`, naming the field by its place in the list.
    pub fn parse(self, index: usize) -> Result<git::write::Action> {
        use base64::Engine as _;
        use git::write::Action;
        let field = |name: &str| format!("actions.{index}.{name}");
        let path = |name: &str, text: &str| RepoPath::parse(text).map_err(|e| Error::field(field(name), "invalid", e.detail));
        let at = path("path", &self.path)?;
        let content = match (self.content, self.encoding.as_deref()) {
            (None, _) => None,
            (Some(text), None | Some("utf-8" | "text")) => Some(text.into_bytes()),
            (Some(text), Some("base64")) => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim());
                Some(bytes.map_err(|e| Error::field(field("content"), "invalid", format!("not base64: {e}")))?)
            }
            _ => return Err(Error::field(field("encoding"), "invalid", "utf-8 or base64")),
        };
        let needed =
            |content: Option<Vec<u8>>| content.ok_or_else(|| Error::field(field("content"), "required", "the content of the file"));
        match self.action.as_str() {
            "create" => Ok(Action::Create { path: at, content: needed(content)?, executable: false }),
            "update" => Ok(Action::Update { path: at, content: needed(content)? }),
            "delete" => Ok(Action::Delete { path: at }),
            "move" => {
                let from = self.previous_path.ok_or_else(|| Error::field(field("previous_path"), "required", "where the file was"))?;
                Ok(Action::Move { from: path("previous_path", &from)?, to: at, content })
            }
            _ => Err(Error::field(field("action"), "invalid", "create, update, delete or move")),
        }
    }
}

impl From<git::Signature> for SignatureView {
    fn from(s: git::Signature) -> Self {
        Self { name: s.name, email: s.email, time: s.time }
    }
}

impl CommitView {
    /// A commit as it is shown.
    pub fn new(c: git::Commit, status: Option<&'static str>) -> Self {
        Self {
            oid: c.oid.to_hex(),
            parents: c.parents.iter().map(|p| p.to_hex()).collect(),
            title: c.title().to_owned(),
            author: c.author.into(),
            committer: c.committer.into(),
            message: c.message,
            status,
        }
    }
}

impl From<FileDiff> for FileDiffView {
    fn from(f: FileDiff) -> Self {
        let status = match f.change.kind {
            ChangeKind::Added => "added",
            ChangeKind::Modified => "modified",
            ChangeKind::Deleted => "deleted",
            ChangeKind::Renamed => "renamed",
        };
        let hunks = f.hunks.into_iter().map(|h| HunkView {
            old_start: h.old_start,
            old_lines: h.old_lines,
            new_start: h.new_start,
            new_lines: h.new_lines,
            lines: h
                .lines
                .into_iter()
                .map(|l| LineView {
                    kind: match l.kind {
                        LineKind::Context => " ",
                        LineKind::Added => "+",
                        LineKind::Removed => "-",
                    },
                    text: l.text,
                })
                .collect(),
        });
        Self {
            path: f.change.path,
            old_path: f.change.old_path,
            status,
            additions: f.additions,
            deletions: f.deletions,
            binary: f.binary,
            truncated: f.truncated,
            hunks: hunks.collect(),
        }
    }
}
