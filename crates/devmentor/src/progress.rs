//! Steps while they happen, on standard error: redrawn in place on a terminal, a line for each change elsewhere.

use std::collections::HashMap;
use std::time::Duration;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::plain;

/// One row of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Tells rows apart.
    pub(crate) key: String,
    /// What is shown.
    pub(crate) title: String,
    /// The server's word for its state or conclusion.
    pub(crate) state: String,
    /// More, in few words.
    pub(crate) detail: String,
}

/// A list of steps that is updated again and again.
pub(crate) struct Steps {
    screen: Option<MultiProgress>,
    bars: HashMap<String, ProgressBar>,
    shown: HashMap<String, Row>,
    quiet: bool,
}

impl Steps {
    /// A view; `quiet` shows nothing.
    pub(crate) fn new(quiet: bool) -> Self {
        let screen = (!quiet && Term::stderr().is_term()).then(MultiProgress::new);
        Self { screen, bars: HashMap::new(), shown: HashMap::new(), quiet }
    }

    /// Shows the rows as they are now; rows are never taken away.
    pub(crate) fn update(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            if self.quiet || self.shown.get(&row.key) == Some(&row) {
                continue;
            }
            match &self.screen {
                Some(screen) => draw(screen, &mut self.bars, &row),
                None => self.print(&row),
            }
            self.shown.insert(row.key.clone(), row);
        }
    }

    /// Without a terminal, waiting is not worth a line.
    fn print(&self, row: &Row) {
        let mark = mark(&row.state);
        // of what runs, the step it is at
        let moved = |before: &Row| mark == Mark::Running && !row.detail.is_empty() && before.detail != row.detail;
        let same = |before: &Row| before.state == row.state && !moved(before);
        if mark != Mark::Waiting && !self.shown.get(&row.key).is_some_and(same) {
            eprintln!("{} {}", mark.sign(), label(row));
        }
    }
}

fn draw(screen: &MultiProgress, bars: &mut HashMap<String, ProgressBar>, row: &Row) {
    let bar = bars.entry(row.key.clone()).or_insert_with(|| screen.add(ProgressBar::new_spinner()));
    bar.set_message(label(row));
    let template = match mark(&row.state) {
        Mark::Running => "{spinner:.cyan} {msg}",
        Mark::Waiting => "  {msg:.dim}",
        Mark::Good => "{prefix:.green} {msg}",
        Mark::Bad => "{prefix:.red} {msg}",
        Mark::Passed => "{prefix:.dim} {msg:.dim}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    match mark(&row.state) {
        Mark::Running => bar.enable_steady_tick(Duration::from_millis(100)),
        Mark::Waiting => bar.tick(),
        done => {
            bar.set_prefix(done.sign());
            bar.abandon();
        }
    }
}

fn label(row: &Row) -> String {
    let state = match mark(&row.state) {
        Mark::Good => "",
        _ => row.state.as_str(),
    };
    let parts = [plain(&row.title), state.to_owned(), plain(&row.detail)];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("  ")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Waiting,
    Running,
    Good,
    Bad,
    Passed,
}

impl Mark {
    fn sign(self) -> &'static str {
        match self {
            Mark::Waiting | Mark::Running => "…",
            Mark::Good => "✓",
            Mark::Bad => "✗",
            Mark::Passed => "-",
        }
    }
}

fn mark(state: &str) -> Mark {
    match state {
        "pending" | "queued" | "waiting" => Mark::Waiting,
        "done" | "success" | "succeeded" => Mark::Good,
        "failed" | "failure" | "undone" | "rolled_back" | "unschedulable" => Mark::Bad,
        "skipped" | "cancelled" | "superseded" => Mark::Passed,
        _ => Mark::Running,
    }
}

/// A bar for bytes on their way; a spinner when their number is not known.
pub(crate) fn transfer(total: Option<u64>, quiet: bool) -> ProgressBar {
    if quiet || !Term::stderr().is_term() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30.cyan} {bytes}/{total_bytes} {bytes_per_sec} {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner:.cyan} {bytes} {bytes_per_sec}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_what_is_not_good() {
        let row = |state: &str, detail: &str| Row { key: "k".into(), title: "Test".into(), state: state.into(), detail: detail.into() };
        assert_eq!(label(&row("done", "3 files")), "Test  3 files");
        assert_eq!(label(&row("failed", "exit 1\u{1b}[2J")), "Test  failed  exit 1[2J");
        assert_eq!(label(&row("running", "")), "Test  running");
    }
}
