//! What can be said of pipeline files: commands that need no server.

use clap::{Args, Subcommand, ValueEnum};

use dialects::convert::Target;

use super::pair;

#[derive(Debug, Subcommand)]
pub(crate) enum Pipeline {
    /// Check pipeline files; exits with 1 when one has errors.
    Lint {
        /// Files; every workflow of the repository here without one.
        files: Vec<std::path::PathBuf>,
        /// Language of the files; without it, seen from their names.
        #[arg(long)]
        dialect: Option<FileDialect>,
    },
    /// Show the plan that a pipeline file compiles to; with an event, which jobs it starts, and why.
    Plan(PlanOf),
    /// Show the declarative model of a Jenkinsfile in the JSON form that Jenkins converts it to.
    Model {
        /// The file.
        file: std::path::PathBuf,
    },
    /// Write a pipeline file in another language; exits with 1 when a part of it has to be written by hand.
    Convert {
        /// The file; `-` is standard input.
        file: std::path::PathBuf,
        /// Language to write.
        #[arg(long)]
        to: FileDialect,
        /// Language of the file; without it, seen from its name, or its text.
        #[arg(long)]
        from: Option<FileDialect>,
        /// Where to; without it standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<std::path::PathBuf>,
    },
    /// Write the pipeline that a repository without one would get.
    Detect {
        /// The directory; without it this one.
        directory: Option<std::path::PathBuf>,
        /// Language to write.
        #[arg(long, default_value = "github")]
        to: FileDialect,
        /// Where to; without it standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<std::path::PathBuf>,
    },
    /// Check what events would run against `pipeline.tests.yml`.
    Test {
        /// The file; without it the one at the root of the repository here.
        file: Option<std::path::PathBuf>,
    },
    /// Run the pipeline of the working directory on this machine, with what is not committed yet.
    Run(RunHere),
    /// Evaluate an expression and print its value with its kind.
    Eval {
        /// Language of the expression.
        #[arg(long, default_value = "github")]
        dialect: ExpressionDialect,
        /// The expression; `-` reads lines `{"expr": .., "contexts": {..}}` and answers each with a line.
        #[arg(allow_hyphen_values = true)]
        expression: String,
        /// JSON file; its top-level keys are the names that the expression may use.
        #[arg(long, value_name = "FILE")]
        context: Option<std::path::PathBuf>,
    },
}

/// What to run of the working directory, and with what.
#[derive(Debug, Args)]
pub(crate) struct RunHere {
    /// Pipeline file, or the name of its workflow; without it, all that the event starts.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) workflow: Option<String>,
    /// Only this job and those it needs; may be given many times.
    #[arg(long, short)]
    pub(crate) job: Vec<String>,
    /// What happens: push, workflow_dispatch, schedule.
    #[arg(long, default_value = "push")]
    pub(crate) event: String,
    /// Input of a manual start; may be given many times.
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) inputs: Vec<(String, String)>,
    /// A secret; with the name alone it is taken from the environment. May be given many times.
    #[arg(long = "secret", short = 's', value_name = "NAME[=VALUE]")]
    pub(crate) secrets: Vec<String>,
    /// A variable; may be given many times.
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) variables: Vec<(String, String)>,
    /// Jobs at a time; as many as there are processors without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) capacity: Option<u16>,
    /// Where the artifacts of the run go.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) artifacts: Option<std::path::PathBuf>,
    /// Where caches and earlier runs are kept; without it a directory of its own below ~/.cache/devmentor.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) state: Option<std::path::PathBuf>,
}

/// Which plan, and for which event.
#[derive(Debug, Args)]
pub(crate) struct PlanOf {
    /// The file.
    pub(crate) file: std::path::PathBuf,
    /// Language of the file; without it, seen from its name.
    #[arg(long)]
    pub(crate) dialect: Option<FileDialect>,
    /// What happens: push, pull_request, workflow_dispatch, schedule, ...
    #[arg(long)]
    pub(crate) event: Option<String>,
    /// Where: a full ref name, or a branch.
    #[arg(long, default_value = "refs/heads/main", value_name = "REF")]
    pub(crate) r#ref: String,
    /// Files that changed; without it, all of them count as changed.
    #[arg(long, num_args = 0.., value_name = "FILE")]
    pub(crate) changed: Option<Vec<String>>,
    /// Activity of the event; without it, `opened` of a pull request, `published` of a release, `completed` of a run.
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Name of the other workflow, of a `workflow_run`.
    #[arg(long, default_value = "", value_name = "NAME")]
    pub(crate) workflow: String,
    /// Branch that a pull request goes to.
    #[arg(long, default_value = "main")]
    pub(crate) base: String,
    /// The default branch.
    #[arg(long, default_value = "main")]
    pub(crate) default_branch: String,
    /// Input of a manual start; may be given many times.
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) inputs: Vec<(String, String)>,
}

/// Languages of pipeline files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileDialect {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// Declarative Jenkinsfile.
    Jenkins,
}

impl FileDialect {
    /// The language that a file of this name is written in; what comes from standard input is known by its text.
    pub(crate) fn seen(path: &str, bytes: &[u8]) -> Self {
        if path != "-" {
            return Self::of(path);
        }
        let text = String::from_utf8_lossy(bytes);
        let begins = |line: &str, words: &[&str]| words.iter().any(|w| line.starts_with(w));
        if text.lines().any(|l| begins(l.trim_start(), &["pipeline {", "pipeline{", "@Library", "#!groovy", "#!/usr/bin/env groovy"])) {
            Self::Jenkins
        } else if text.lines().any(|l| begins(l, &["jobs:", "on:", "\"on\":"])) {
            Self::Github
        } else {
            Self::Gitlab
        }
    }

    /// The same for the converter.
    pub(crate) fn target(self) -> Target {
        match self {
            Self::Github => Target::Github,
            Self::Gitlab => Target::Gitlab,
            Self::Jenkins => Target::Jenkins,
        }
    }

    /// The language that a file of this name is written in.
    pub(crate) fn of(path: &str) -> Self {
        match Target::of(path) {
            Target::Github => Self::Github,
            Target::Gitlab => Self::Gitlab,
            Target::Jenkins => Self::Jenkins,
        }
    }
}

/// Languages of expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExpressionDialect {
    /// GitHub Actions.
    Github,
}
