//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgMatches, Args, Command as Clap, FromArgMatches, Parser, Subcommand, parser::ValueSource};
use shared::config::{ApiSettings, CommonSettings, EngineSettings, LauncherSettings};

use crate::{log::Log, with_servers::WithServers};

/// Moyiza: hobby meetups with a chat room each.
///
/// Without a command it runs everything in one process, as `moyiza run` does. Every setting can also be given in
/// the environment or in moyiza.toml where it is started; the command line comes first, then the environment, then
/// the file.
#[derive(Debug, Parser)]
#[command(name = "moyiza", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// For `moyiza` without a command.
    #[command(flatten)]
    pub run: Box<Run>,
}

/// What the launcher can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run api and engine in this process, on a PostgreSQL of their own unless `DATABASE_URL` is set
    Run(Box<Run>),
    /// Run two api nodes and two engine nodes on PostgreSQL, Redis and Kafka, all on this machine
    ///
    /// The second api node listens ten ports above the first (8090), the second engine one above (8082).
    Cluster(Box<Run>),
    /// Make people and meetups in the running instance, for load tests (development mode only)
    Seed(Seed),
    /// Look after the message log of a cluster
    #[command(subcommand)]
    Log(Log),
    /// Run a command with throw-away PostgreSQL, Redis and Kafka servers
    ///
    /// Sets `MOYIZA_TEST_DATABASE_URL`, `MOYIZA_TEST_REDIS_URL` and `MOYIZA_TEST_KAFKA_BROKERS`, and returns the
    /// command's exit code.
    WithServers(WithServers),
}

/// The settings of an instance.
#[derive(Clone, Debug, Args)]
// A launcher on one's own machine is for trying and developing; a node that runs alone is not.
#[command(mut_arg("development", |arg| arg.default_value("true")))]
pub struct Run {
    /// First: the parsers of the others take their values away.
    #[command(flatten)]
    pub given: Given,
    /// The launcher's.
    #[command(flatten)]
    pub launcher: LauncherSettings,
    /// Leave out the demo data of a first start
    #[arg(long)]
    pub no_demo: bool,
    /// What every process needs.
    #[command(flatten)]
    pub common: CommonSettings,
    /// The api's.
    #[command(flatten)]
    pub api: ApiSettings,
    /// The engine's.
    #[command(flatten)]
    pub engine: EngineSettings,
}

impl Run {
    /// Whether a first start plants people whose passwords everybody knows: never outside development mode.
    pub fn plants_demo(&self) -> bool {
        !self.no_demo && self.common.development
    }
}

/// What to make, and where to write how to use it.
#[derive(Clone, Debug, Args)]
pub struct Seed {
    /// How many people
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// How many meetups; person i is a member of the rooms from i times EACH on, modulo ROOMS
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rooms: u32,
    /// Of how many of them everybody is a member
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub each: u32,
    /// Where tokens.txt and rooms.txt are written
    #[arg(long)]
    pub out: PathBuf,
    /// The launcher's.
    #[command(flatten)]
    pub launcher: LauncherSettings,
}

/// The services' settings that were given on the command line or in the file, as variables: a child process
/// gets those beside the environment it inherits.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Names and values.
    pub variables: Vec<(String, OsString)>,
}

impl Args for Given {
    fn augment_args(command: Clap) -> Clap {
        command
    }

    fn augment_args_for_update(command: Clap) -> Clap {
        command
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let services = EngineSettings::augment_args(ApiSettings::augment_args(CommonSettings::augment_args(
            Clap::new("services"),
        )));
        let variables = services.get_arguments().filter_map(|argument| {
            let id = argument.get_id().as_str();
            let value = matches.get_raw(id)?.collect::<Vec<_>>().join(OsString::from(",").as_os_str());
            let given = matches.value_source(id) == Some(ValueSource::CommandLine);
            let name = argument.get_env()?.to_string_lossy().into_owned();
            given.then_some((name, value))
        });
        Ok(Self { variables: variables.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Cli {
        Cli::try_parse_from(["moyiza"].iter().chain(arguments)).unwrap()
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn development_mode_is_on_unless_set_otherwise() {
        assert!(parse(&[]).run.common.development);
        let Some(Command::Run(run)) = parse(&["run", "--development=false"]).command else { panic!("run") };
        assert!(!run.common.development);
        let Some(Command::Cluster(run)) = parse(&["cluster"]).command else { panic!("cluster") };
        assert!(run.common.development);
    }

    #[test]
    fn an_epoch_has_a_partition_at_least() {
        let bump = |arguments: &[&str]| {
            Cli::try_parse_from(["moyiza", "log", "bump-epoch"].iter().chain(arguments)).is_ok()
        };
        assert!(bump(&[]) && bump(&["--partitions", "12"]) && bump(&["--lost"]));
        assert!(!bump(&["--partitions", "0"]) && !bump(&["--partitions", "1025"]));
        assert!(bump(&["--to", "embedded"]) && !bump(&["--to", "postgres"]));
    }

    #[test]
    fn what_was_given_reaches_children_and_defaults_do_not() {
        let arguments =
            ["cluster", "--max-frame-bytes", "99", "--origins", "http://a,http://b", "--dir", "x"];
        let Some(Command::Cluster(run)) = parse(&arguments).command else { panic!("cluster") };
        let mut variables = run.given.variables;
        variables.sort();
        let expected = [("MOYIZA_MAX_FRAME_BYTES", "99"), ("MOYIZA_ORIGINS", "http://a,http://b")]
            .map(|(name, value)| (name.to_owned(), OsString::from(value)));
        assert_eq!(variables, expected);
    }
}
