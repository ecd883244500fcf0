//! What can be said about schedules, the queue and runners.

use clap::{Args, Subcommand, ValueEnum};

use crate::args::{InProject, pair};

/// What happens with times that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Missed {
    /// One run for all of them.
    Once,
    /// Nothing.
    Skip,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    /// List the schedules of a project.
    List {
        #[command(flatten)]
        of: InProject,
    },
    /// Make a schedule; its runs start in your name.
    Create {
        /// Minute, hour, day of the month, month, day of the week; or @daily and its like.
        cron: String,
        #[command(flatten)]
        what: ScheduleOf,
        #[command(flatten)]
        of: InProject,
    },
    /// Change a schedule, which makes you its owner.
    Edit {
        /// The schedule: `sch_…`.
        schedule: String,
        /// Another expression.
        #[arg(long)]
        cron: Option<String>,
        /// Switch it off.
        #[arg(long, conflicts_with = "on")]
        off: bool,
        /// Switch it on.
        #[arg(long)]
        on: bool,
        #[command(flatten)]
        what: ScheduleOf,
    },
    /// Remove a schedule that somebody made.
    Delete {
        /// The schedule: `sch_…`.
        schedule: String,
    },
    /// Start what a schedule starts, now.
    Play {
        /// The schedule: `sch_…`.
        schedule: String,
    },
}

/// What a schedule starts, and when.
#[derive(Debug, Args)]
pub(crate) struct ScheduleOf {
    /// Branch, or full name of a tag; the default branch without it.
    #[arg(long = "ref", value_name = "REF")]
    pub(crate) reference: Option<String>,
    /// IANA name such as Europe/Berlin; UTC without it.
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<String>,
    /// Only this workflow: its path or name.
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    #[arg(long, short)]
    pub(crate) description: Option<String>,
    /// A variable of its runs; may be repeated.
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) variables: Vec<(String, String)>,
    /// An input of its runs; may be repeated.
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) inputs: Vec<(String, String)>,
    /// What happens with times that pass while the service is down.
    #[arg(long)]
    pub(crate) missed: Option<Missed>,
}

/// What can be done about secrets, and about variables.
#[derive(Debug, Subcommand)]
pub(crate) enum Values {
    /// List what is set; the values of secrets are never shown.
    List {
        #[command(flatten)]
        of: ValueOf,
    },
    /// Set a value. Without --value it is read from standard input, or asked for.
    Set {
        /// Its name: letters, digits and `_`.
        name: String,
        /// The value. Others on this machine can see it in the list of processes: for secrets, standard input is better.
        #[arg(long)]
        value: Option<String>,
        /// Give it only to runs of the default branch and of tags of its history; `--protected=false` to all.
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
        protected: Option<bool>,
        #[command(flatten)]
        of: ValueOf,
    },
    /// Remove a value.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        of: ValueOf,
    },
}

/// Whose values.
#[derive(Debug, Args)]
pub(crate) struct ValueOf {
    /// Of a group, for all projects below it.
    #[arg(long, short, conflicts_with = "environment")]
    pub(crate) group: Option<String>,
    /// Of an environment of the project, for the jobs that name it.
    #[arg(long, short)]
    pub(crate) environment: Option<String>,
    #[command(flatten)]
    pub(crate) of: InProject,
}

/// Which tests to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestState {
    /// Fail on the default branch.
    Failing,
    /// Failed and passed on one commit in the last 30 days.
    Flaky,
    /// Their failures count for nothing now.
    Quarantined,
    /// All, the slowest first.
    Slow,
}

/// What can be done about tests over all runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Tests {
    /// List the tests of a project.
    List {
        /// Only those.
        #[arg(long)]
        state: Option<TestState>,
        /// Only those with this text in the name, class, suite or file.
        #[arg(long, short = 's', value_name = "TEXT")]
        search: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        of: InProject,
    },
    /// Show a test and its latest results.
    Show {
        /// The test: `tst_…`.
        test: String,
        #[command(flatten)]
        of: InProject,
    },
    /// Let a test's failures count for nothing, until a day.
    Quarantine {
        /// The test: `tst_…`.
        test: String,
        /// Why.
        #[arg(long, required_unless_present = "lift")]
        reason: Option<String>,
        /// For so many days.
        #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=366))]
        days: u16,
        /// Let them count again.
        #[arg(long, conflicts_with = "reason")]
        lift: bool,
    },
    /// Of the test files on standard input, print those of one part, shared out by the time they take.
    Split {
        /// How many parts.
        #[arg(long, env = "CI_NODE_TOTAL")]
        total: usize,
        /// Which of them, from 0; in a job of GitLab's `parallel`, the one that it is.
        #[arg(long, env = "DEVMENTOR_SPLIT_INDEX")]
        index: Option<usize>,
        #[command(flatten)]
        of: InProject,
    },
}

/// What can be done about the runners of a server.
#[derive(Debug, Subcommand)]
pub(crate) enum Runners {
    /// List the runners, and what they run.
    List,
    /// Let a runner finish what it has and take no more jobs.
    Drain {
        /// The runner: `rnr_…`, or its name.
        runner: String,
    },
    /// Let a drained runner take jobs again.
    Resume {
        /// The runner: `rnr_…`, or its name.
        runner: String,
    },
    /// Remove a runner; what it runs is lost.
    Remove {
        /// The runner: `rnr_…`, or its name.
        runner: String,
    },
}

/// Whose queue.
#[derive(Debug, Args)]
pub(crate) struct QueueOf {
    /// Only this project: `namespace/name` or `prj_…`; with it, also jobs that wait for something else than a runner.
    #[arg(long, short)]
    pub(crate) project: Option<String>,
}
