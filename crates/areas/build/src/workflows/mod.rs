//! Workflow files of a commit, and the detected build where there are none.

pub mod dispatch;
pub mod follow;
pub mod gitlab;
pub mod here;
mod jenkins;
mod remote;
pub mod routes;
pub mod source;
pub mod trigger;

use dialects::Plan;
use dialects::detect::Detection;
use dialects::github::Compiled;

/// A workflow file and what it compiled to.
#[derive(Debug)]
pub struct Workflow {
    /// Its path.
    pub path: String,
    /// The result.
    pub compiled: Compiled,
}

/// What can be run of a commit.
#[derive(Debug, Default)]
pub struct Workflows {
    /// The files, by path.
    pub files: Vec<Workflow>,
    /// Without any file: what was detected.
    pub detected: Option<Detection>,
}

impl Workflows {
    /// The plan of a workflow by path, file name or name; the only one, or the detected one, for none.
    pub fn plan(&self, wanted: Option<&str>) -> Option<&Plan> {
        match wanted {
            None => self.files.first().and_then(|w| w.compiled.plan.as_ref()).or_else(|| self.detected.as_ref().map(|d| &d.plan)),
            Some(wanted) => match self.find(wanted) {
                Some(w) => w.compiled.plan.as_ref(),
                None => self.detected.as_ref().map(|d| &d.plan).filter(|p| p.source == wanted || p.name == wanted),
            },
        }
    }

    /// A file by path, file name or name.
    pub fn find(&self, wanted: &str) -> Option<&Workflow> {
        let file_name = |w: &Workflow| w.path.rsplit('/').next() == Some(wanted);
        self.files
            .iter()
            .find(|w| w.path == wanted)
            .or_else(|| self.files.iter().find(|w| file_name(w)))
            .or_else(|| self.files.iter().find(|w| w.compiled.name == wanted))
    }
}
