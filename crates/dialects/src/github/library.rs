//! Files that a workflow names: actions and workflows of this and of other repositories. The caller looks them up; here
//! is only what was found.

use std::collections::{BTreeMap, BTreeSet};

/// A repository of the instance at a ref, as a workflow names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Foreign {
    /// `owner/name`.
    pub repository: String,
    /// Branch, tag or commit.
    pub reference: String,
}

/// A file that is looked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Want {
    /// Where; none is the commit of the run.
    pub foreign: Option<Foreign>,
    /// Its path there.
    pub path: String,
}

impl Want {
    /// As messages name it.
    pub(super) fn title(&self) -> String {
        match &self.foreign {
            None => self.path.clone(),
            Some(f) => format!("{}/{}@{}", f.repository, self.path, f.reference),
        }
    }
}

/// A repository and commit that are meant from now on, whatever becomes of the ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Id of the project.
    pub project: String,
    /// Its path.
    pub repository: String,
    /// The commit, in hex.
    pub commit: String,
}

/// What was found of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The file.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// What a [`Foreign`] is just now; none for a file of the run's own commit.
        pin: Option<Pin>,
    },
    /// The repository has no such file.
    Absent,
    /// The repository or ref cannot be read; why.
    Closed(String),
    /// Nobody could look.
    Offline,
}

/// The files that were looked up.
#[derive(Clone, Debug, Default)]
pub struct Library {
    files: BTreeMap<Want, Found>,
    offline: bool,
}

impl Library {
    /// One in which nothing can be looked up.
    pub fn offline() -> Self {
        Self { offline: true, ..Self::default() }
    }

    /// Keeps what was found.
    pub fn insert(&mut self, want: Want, found: Found) {
        self.files.insert(want, found);
    }

    /// What is known of a file; a file nobody has looked for yet is noted in `wants`.
    pub(super) fn find(&self, want: Want, wants: &mut BTreeSet<Want>) -> Option<&Found> {
        match self.files.get(&want) {
            Some(found) => Some(found),
            None if self.offline => Some(&Found::Offline),
            None => {
                wants.insert(want);
                None
            }
        }
    }
}
