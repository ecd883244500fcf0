//! The command line: what can be said, and nothing of what it does.

mod pipeline;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use pipeline::{ExpressionDialect, FileDialect, Pipeline, PlanOf, RunHere};

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 done, and the outcome is bad (a failed run, a failed deployment, a refused request); 2 the command \
line or a value in it makes no sense; 3 not signed in; 4 not found; 5 the server cannot be reached.";

/// DevMentor Project Service: the server, the runner and the client in one program.
#[derive(Debug, Parser)]
#[command(name = "devmentor", version, after_help = EXIT_CODES, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// For every client command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Address of the server; without it the one of the last login, or http://localhost:3004.
    #[arg(long, global = true, env = "DEVMENTOR_SERVER", value_name = "URL", help_heading = "Client options")]
    pub(crate) server: Option<String>,
    /// Token to sign in with instead of the stored one.
    #[arg(long, global = true, env = "DEVMENTOR_TOKEN", value_name = "TOKEN", hide_env_values = true, help_heading = "Client options")]
    pub(crate) token: Option<String>,
    /// Print the server's JSON.
    #[arg(long, global = true, help_heading = "Client options")]
    pub(crate) json: bool,
    /// Show no progress.
    #[arg(long, short, global = true, help_heading = "Client options")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the service.
    Serve(ConfigFile),
    /// Take jobs from a server and run them on this machine.
    Runner(crate::runner::RunnerArgs),
    /// Bring the database to this version's schema, and end.
    Migrate(ConfigFile),
    /// Print the API's description.
    Openapi,
    #[command(flatten)]
    Client(Client),
}

/// The commands that ask a server, and those that need none.
#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Sign in, and keep the token in ~/.config/devmentor/config.toml.
    Login(Login),
    /// Forget the token, and revoke it if login made it.
    Logout,
    /// Who is signed in, and where.
    Whoami,
    /// Projects.
    #[command(subcommand)]
    Project(Project),
    /// Pipeline runs.
    #[command(subcommand)]
    Run(Run),
    /// `runner list` and so on.
    #[command(skip)]
    Runners(crate::ci_args::Runners),
    /// What waits for a runner, and why.
    Queue(crate::ci_args::QueueOf),
    /// Schedules: runs that the clock starts.
    #[command(subcommand)]
    Schedule(crate::ci_args::Schedule),
    /// Deploy an image or a release to an environment, and wait for the outcome.
    Deploy(Deploy),
    /// Take an environment back to an earlier release, and wait for the outcome.
    Rollback(Rollback),
    /// Environments.
    #[command(subcommand)]
    Environment(Environment),
    /// Groups of projects.
    #[command(subcommand)]
    Group(Group),
    /// Secrets of projects, groups and environments.
    #[command(subcommand)]
    Secret(crate::ci_args::Values),
    /// Variables of projects, groups and environments.
    #[command(subcommand)]
    Variable(crate::ci_args::Values),
    /// Access tokens.
    #[command(subcommand)]
    Token(Token),
    /// Tests over all runs: history, flaky ones, quarantine, parts.
    #[command(subcommand)]
    Test(crate::ci_args::Tests),
    /// Files that runs kept.
    #[command(subcommand)]
    Artifact(Artifact),
    /// Where artifacts come from.
    #[command(subcommand)]
    Provenance(Provenance),
    /// Container images in the registry.
    #[command(subcommand)]
    Image(Image),
    /// Pipeline files on this machine; needs no server.
    #[command(subcommand)]
    Pipeline(Pipeline),
    /// Print a completion script for a shell.
    Completion {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration file; without it ./devmentor.toml if there is one. DEVMENTOR_* variables win over it.
    #[arg(long, short, env = "DEVMENTOR_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<std::path::PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Name of the user; the password is asked for.
    #[arg(long, conflicts_with = "link")]
    pub(crate) name: Option<String>,
    /// Read the password from standard input instead of asking.
    #[arg(long, requires = "name")]
    pub(crate) password_stdin: bool,
    /// The one-time sign-in link that the server printed, or its code.
    #[arg(long)]
    pub(crate) link: Option<String>,
    /// Give the link's account a password, read from standard input: with it the web pages can be opened, too.
    #[arg(long, requires = "link")]
    pub(crate) new_password_stdin: bool,
}

/// Which project a command is about.
#[derive(Clone, Debug, Args)]
pub(crate) struct InProject {
    /// `namespace/name` or `prj_…`; without it the project of the git remote here.
    #[arg(long, short, env = "DEVMENTOR_PROJECT")]
    pub(crate) project: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Visibility {
    Private,
    Internal,
    Public,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// Create a project, empty or from a template, and watch its steps.
    Create {
        /// `name`, or `namespace/name`.
        name: String,
        /// Name of a template (see `project templates`), or the path of a project that is one.
        #[arg(long, short)]
        template: Option<String>,
        /// Branch or commit of a template that is a project.
        #[arg(long, requires = "template")]
        template_ref: Option<String>,
        /// A parameter of the template; may be repeated.
        #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair, requires = "template")]
        params: Vec<(String, String)>,
        #[arg(long, short)]
        description: Option<String>,
        #[arg(long)]
        visibility: Option<Visibility>,
        #[arg(long)]
        language: Option<String>,
        /// May be repeated.
        #[arg(long = "topic")]
        topics: Vec<String>,
        #[arg(long, value_name = "BRANCH")]
        default_branch: Option<String>,
    },
    /// List projects.
    List {
        #[arg(long)]
        namespace: Option<String>,
        /// Only projects of this member.
        #[arg(long)]
        member: Option<String>,
        #[arg(long)]
        visibility: Option<Visibility>,
        #[arg(long)]
        language: Option<String>,
        #[arg(long)]
        topic: Option<String>,
        /// Text in name or description.
        #[arg(long, short)]
        search: Option<String>,
        #[arg(long, default_value_t = ProjectSort::Activity)]
        sort: ProjectSort,
        /// Archived projects instead of the others.
        #[arg(long)]
        archived: bool,
        /// At most this many.
        #[arg(long, short, default_value_t = 30)]
        limit: usize,
    },
    /// Show a project.
    Show {
        /// `namespace/name` or `prj_…`; without it the project of the git remote here.
        project: Option<String>,
    },
    /// Delete a project; it can be restored for 30 days.
    Delete {
        /// `namespace/name` or `prj_…`.
        project: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// List the templates, and whether their tools are on the server.
    Templates,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProjectSort {
    Name,
    Created,
    Activity,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Run {
    /// List runs, newest first.
    List {
        #[command(flatten)]
        of: InProject,
        /// Only of this branch or tag.
        #[arg(long = "ref", value_name = "REF")]
        reference: Option<String>,
        /// queued, running or completed.
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        workflow: Option<String>,
        #[arg(long)]
        commit: Option<String>,
        #[arg(long, short, default_value_t = 20)]
        limit: usize,
    },
    /// Show a run's jobs and steps: how they stand, how long they took, what they used of the machine.
    Show {
        #[command(flatten)]
        run: RunOf,
        /// Only this job: its key, its name or `job_…`.
        #[arg(long, short)]
        job: Option<String>,
    },
    /// Follow a run until it is over; exits with 1 unless it succeeded.
    Watch(RunOf),
    /// Print the log of a run's jobs.
    Log {
        #[command(flatten)]
        run: RunOf,
        /// Only this job: its key, its name or `job_…`.
        #[arg(long, short)]
        job: Option<String>,
        /// Go on until the run is over.
        #[arg(long, short)]
        follow: bool,
    },
    /// Show why each job runs, waits or was skipped: its condition and what that looked at.
    Why {
        #[command(flatten)]
        run: RunOf,
        /// Only this job: its key, its name or `job_…`.
        #[arg(long, short)]
        job: Option<String>,
    },
    /// Show a run's test cases: the totals, and what failed.
    Tests(RunOf),
    /// Cancel a run.
    Cancel(RunOf),
    /// Run a run's jobs again.
    Retry {
        #[command(flatten)]
        run: RunOf,
        /// Only jobs that failed, and what depends on them.
        #[arg(long)]
        failed_only: bool,
        /// Only this job: `job_…`.
        #[arg(long, conflicts_with = "failed_only")]
        job: Option<String>,
        /// From the step that failed, by its number in `run show`, with the files that the job left.
        #[arg(long, requires = "job", value_name = "STEP")]
        from_step: Option<i64>,
        /// Follow it.
        #[arg(long, short)]
        watch: bool,
    },
    /// Start a job that waits for somebody to start it, or answer what a running one asks.
    Play {
        /// The job: `job_…`.
        job: String,
        /// A value that it asks for; may be repeated.
        #[arg(long = "input", short, value_name = "NAME=VALUE", value_parser = pair)]
        inputs: Vec<(String, String)>,
        /// It is not to go on.
        #[arg(long)]
        abort: bool,
        /// Which question, where it asks several: `qst_…`.
        #[arg(long)]
        question: Option<String>,
    },
    /// Start runs for a ref.
    Start {
        #[command(flatten)]
        of: InProject,
        /// Branch, tag or commit; the default branch without it.
        #[arg(long = "ref", value_name = "REF")]
        reference: Option<String>,
        /// Only this workflow: its path or name.
        #[arg(long)]
        workflow: Option<String>,
        /// An input of the workflow; may be repeated.
        #[arg(long = "input", value_name = "NAME=VALUE", value_parser = pair)]
        inputs: Vec<(String, String)>,
        /// Follow it.
        #[arg(long, short)]
        watch: bool,
    },
}

/// Which run a command is about.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunOf {
    /// `run_…`, its number, or `latest`.
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) of: InProject,
}

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Name of the environment.
    pub(crate) environment: String,
    /// Image: a tag, a digest, or `name:tag`.
    #[arg(long, short, required_unless_present = "release", conflicts_with = "release")]
    pub(crate) image: Option<String>,
    /// A release: `rel_…`.
    #[arg(long)]
    pub(crate) release: Option<String>,
    /// Configuration of this deployment; may be repeated.
    #[arg(long = "config", short, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) config: Vec<(String, String)>,
    /// Do not wait for the outcome.
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) of: InProject,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Name of the environment.
    pub(crate) environment: String,
    /// The release to go back to: `rel_…`; the one before the current without it.
    #[arg(long)]
    pub(crate) release: Option<String>,
    /// Do not wait for the outcome.
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) of: InProject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    Process,
    Docker,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Environment {
    /// List environments and what runs in them.
    List {
        #[command(flatten)]
        of: InProject,
    },
    /// Delete an environment, and end what runs there.
    Delete {
        name: String,
        #[command(flatten)]
        of: InProject,
    },
    /// List what jobs of pipelines have deployed where.
    Jobs {
        /// available, stopping or stopped.
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        of: InProject,
    },
    /// Stop an environment of jobs, by the job that is named for that.
    Stop {
        name: String,
        /// Without that job.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        of: InProject,
    },
    /// Create an environment.
    Create {
        name: String,
        /// Where its releases run; what the server has without it.
        #[arg(long)]
        target: Option<Target>,
        /// A variable of every release; may be repeated.
        #[arg(long = "config", short, value_name = "NAME=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// Path of the health check.
        #[arg(long, value_name = "PATH")]
        health_path: Option<String>,
        /// Port that the application listens on.
        #[arg(long, value_name = "PORT")]
        container_port: Option<u16>,
        #[command(flatten)]
        of: InProject,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// List the groups you can see.
    List,
    /// Create a group; groups in groups have a path such as acme/team.
    Create {
        path: String,
        #[arg(long, short)]
        description: Option<String>,
        #[arg(long)]
        visibility: Option<Visibility>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Create a token; its secret is shown once.
    Create {
        name: String,
        /// A permission such as repository:read; may be repeated; `all` is every one.
        #[arg(long = "permission", required = true)]
        permissions: Vec<String>,
        /// Limit it to a project; may be repeated.
        #[arg(long = "only-project", value_name = "PROJECT")]
        projects: Vec<String>,
        /// When it ends: 12h, 30d, or a time such as 2027-01-31T00:00:00Z.
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
    },
    /// List your tokens.
    List,
    /// Revoke a token.
    Revoke {
        /// `tok_…`, or its name.
        // not called `token`: that is the global option, and one would set the other
        #[arg(value_name = "TOKEN")]
        which: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Artifact {
    /// List what a run kept.
    List(RunOf),
    /// Download an artifact as a zip file.
    Download {
        /// Its name, or `art_…`.
        artifact: String,
        /// Where to; `-` is standard output. Without it NAME.zip here.
        #[arg(long, short, value_name = "FILE")]
        output: Option<String>,
        /// The run it belongs to: `run_…`, its number, or `latest`.
        #[arg(long, default_value = "latest")]
        run: String,
        #[command(flatten)]
        of: InProject,
    },
    /// List the files of an artifact, without downloading it.
    Files {
        /// Its name, or `art_…`.
        artifact: String,
        /// The run it belongs to: `run_…`, its number, or `latest`.
        #[arg(long, default_value = "latest")]
        run: String,
        #[command(flatten)]
        of: InProject,
    },
    /// Take one file out of an artifact.
    Get {
        /// Its name, or `art_…`.
        artifact: String,
        /// The path of the file, as `files` lists it.
        path: String,
        /// Where to; `-` is standard output. Without it, under its own name here.
        #[arg(long, short, value_name = "FILE")]
        output: Option<String>,
        /// The run it belongs to: `run_…`, its number, or `latest`.
        #[arg(long, default_value = "latest")]
        run: String,
        #[command(flatten)]
        of: InProject,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Provenance {
    /// Check that a file or an image is what a statement is about: digest, signature, builder, commit.
    Verify {
        /// The artifact as it was downloaded.
        #[arg(required_unless_present = "image")]
        file: Option<std::path::PathBuf>,
        /// An image instead of a file: `NAME:TAG`, `NAME@sha256:…`, or only `sha256:…`; names as `image list` shows them.
        #[arg(long, conflicts_with = "file")]
        image: Option<String>,
        /// File with the signed statement, or with what `GET /runs/{run}/provenance` answers; without it the server is asked.
        #[arg(long, value_name = "FILE")]
        bundle: Option<std::path::PathBuf>,
        /// File with the public keys, as `GET /provenance/keys` answers; without it the server is asked.
        #[arg(long, value_name = "FILE")]
        keys: Option<std::path::PathBuf>,
        /// The run that a file comes from, when the server is asked: `run_…`, its number, or `latest`.
        #[arg(long, default_value = "latest", conflicts_with = "image")]
        run: String,
        #[command(flatten)]
        of: InProject,
        /// Who must have built it; without it the pipelines of the server.
        #[arg(long, value_name = "URI")]
        builder: Option<String>,
        /// Commit that it must have been built from; at least seven digits.
        #[arg(long)]
        commit: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    /// List a project's images, or the tags of one.
    List {
        /// Name of an image, to list its tags.
        name: Option<String>,
        #[command(flatten)]
        of: InProject,
    },
}

impl std::fmt::Display for ProjectSort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(word(self).as_str())
    }
}

/// The word of a choice, as typed and as the API says it.
pub(crate) fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_can_be_said() {
        for line in [
            "devmentor serve --config /etc/devmentor.toml",
            "devmentor migrate",
            "devmentor login --server http://a --token t",
            "devmentor login --name ada --password-stdin",
            "devmentor login --link http://a/sign-in?link=x",
            "devmentor project create acme/web -t go-http --param greeting=Hi --param port=80 --visibility public --topic a --topic b",
            "devmentor project list --sort name --json -q",
            "devmentor project show",
            "devmentor run watch",
            "devmentor run log 12 -p acme/web --job test --follow",
            "devmentor run start --ref main --workflow ci.yml --input a=b=c --watch",
            "devmentor deploy production --image latest -c A=1",
            "devmentor deploy production --release rel_1 --no-wait",
            "devmentor schedule list -p acme/web",
            "devmentor schedule edit sch_1 --off --variable A=1",
            "devmentor schedule play sch_1",
            "devmentor queue",
            "devmentor queue -p acme/web --json",
            "devmentor runner list",
            "devmentor runner drain rnr_1",
            "devmentor runner --server http://a --token t --ephemeral --capacity 2",
            "devmentor rollback production",
            "devmentor environment create staging --target docker --health-path /up --container-port 8080",
            "devmentor group list",
            "devmentor group create acme/team --visibility public",
            "devmentor secret list -p acme/web",
            "devmentor secret set TOKEN --environment production --protected",
            "devmentor variable set COLOR --value= --group acme --protected=false",
            "devmentor variable delete COLOR -e production -p acme/web --json",
            "devmentor test list --state flaky -s login",
            "devmentor test show tst_1 -p acme/web",
            "devmentor test quarantine tst_1 --reason x --days 3",
            "devmentor test quarantine tst_1 --lift",
            "devmentor test split --total 4 --index 0 -p acme/web",
            "devmentor token revoke tok_1",
            "devmentor token create ci --permission all --only-project acme/web --expires 30d",
            "devmentor artifact download server -o - --run 3",
            "devmentor provenance verify dist.zip --bundle p.json --keys k.json --commit 0123456",
            "devmentor provenance verify dist.zip --run 3 -p acme/web",
            "devmentor run tests 4",
            "devmentor run why 4 --job test",
            "devmentor image list",
            "devmentor image list acme/web -p acme/web",
            "devmentor pipeline lint a.yml b.yml",
            "devmentor pipeline convert ci.yml --to gitlab -o .gitlab-ci.yml",
            "devmentor pipeline convert - --from jenkins --to github --json",
            "devmentor pipeline detect web --to jenkins",
            "devmentor pipeline test",
            "devmentor completion zsh",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_makes_no_sense() {
        for line in [
            "devmentor",
            "devmentor nonsense",
            "devmentor login --name a --link b",
            "devmentor login --password-stdin",
            "devmentor project create",
            "devmentor project create web --param a=b",
            "devmentor project create web -t x --param a",
            "devmentor project list --visibility secret",
            "devmentor deploy production",
            "devmentor deploy production --image a --release b",
            "devmentor run retry 1 --failed-only --job job_1",
            "devmentor token create x",
            "devmentor test quarantine tst_1",
            "devmentor secret set TOKEN --environment a --group b",
            "devmentor completion tcl",
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn no_argument_takes_the_place_of_a_global_one() {
        fn walk(command: &clap::Command) {
            for argument in command.get_arguments().filter(|a| a.is_positional()) {
                assert!(
                    !["server", "token", "json", "quiet"].contains(&argument.get_id().as_str()),
                    "{} of {}",
                    argument.get_id(),
                    command.get_name()
                );
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }

    #[test]
    fn values_may_hold_anything() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        assert!(pair("=b").is_err() && pair("b").is_err());
    }
}
