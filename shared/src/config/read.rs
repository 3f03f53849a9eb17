//! Where settings come from, and what is said of wrong ones.

use std::{collections::BTreeSet, ffi::OsString, path::PathBuf};

use clap::{Command, CommandFactory, FromArgMatches, Parser};

use super::{ApiSettings, CommonSettings, EngineSettings, LauncherSettings};

/// Everything there is to set, to know every name.
#[derive(Parser)]
struct Everything {
    #[command(flatten)]
    _common: CommonSettings,
    #[command(flatten)]
    _api: ApiSettings,
    #[command(flatten)]
    _engine: EngineSettings,
    #[command(flatten)]
    _launcher: LauncherSettings,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable that begins with `MOYIZA_` and means nothing.
    #[error("unknown setting {0} in the environment (see --help)")]
    UnknownVariable(String),
    /// A key of the file that means nothing.
    #[error("unknown setting `{key}` in {file} (see --help)")]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
    },
    /// The file is not TOML, or a value has no place there.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The command line, or a value; clap's text names it.
    #[error("{0}")]
    Arguments(#[from] clap::Error),
}

/// The file read where the process starts, if it is there.
const FILE: &str = "moyiza.toml";

/// Parses this process's settings, or ends the process with one clear line (`--help` and `--version` too).
pub fn parse_or_exit<P: CommandFactory + FromArgMatches>() -> P {
    parse(std::env::args_os().collect(), FILE.into()).unwrap_or_else(|error| match error {
        ConfigError::Arguments(error) => error.exit(),
        error => {
            eprintln!("error: {error}");
            std::process::exit(2)
        }
    })
}

/// Parses settings from `arguments` (the first is the program's name), the environment and `file`.
pub fn parse<P: CommandFactory + FromArgMatches>(
    mut arguments: Vec<OsString>,
    file: PathBuf,
) -> Result<P, ConfigError> {
    let known = variables(&Everything::command());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("MOYIZA_") && !name.starts_with("MOYIZA_TEST_") && !known.contains(&*name) {
            return Err(ConfigError::UnknownVariable(name.into_owned()));
        }
    }
    let command = P::command().args_override_self(true);
    // A subcommand has its own settings, and they stand behind its name.
    let (mut innermost, mut place) = (&command, 1.min(arguments.len()));
    while let Some(subcommand) = arguments.get(place).and_then(|name| innermost.find_subcommand(name)) {
        (innermost, place) = (subcommand, place + 1);
    }
    let from_file = match std::fs::read_to_string(&file) {
        Ok(text) => file_arguments(&text, file, innermost)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(ConfigError::File { file, reason: error.to_string() }),
    };
    arguments.splice(place..place, from_file);
    Ok(P::from_arg_matches(&command.try_get_matches_from(arguments)?)?)
}

/// The file's settings as arguments that come before the real ones, which override them. What the
/// environment sets is left out: it overrides the file too.
fn file_arguments(text: &str, file: PathBuf, command: &Command) -> Result<Vec<OsString>, ConfigError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::File {
        file: file.clone(),
        reason: error.to_string(),
    })?;
    let everything = Everything::command();
    let mut arguments = Vec::new();
    for (key, value) in table {
        let is_named = |argument: &&clap::Arg| argument.get_id() == key.as_str();
        let Some(argument) = everything.get_arguments().find(is_named) else {
            return Err(ConfigError::UnknownKey { file, key });
        };
        let of_this_process = command.get_arguments().any(|argument| is_named(&argument));
        let in_environment = argument.get_env().is_some_and(|name| std::env::var_os(name).is_some());
        if !of_this_process || in_environment {
            continue;
        }
        let wrong = |reason: String| ConfigError::File { file: file.clone(), reason };
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(items) => {
                let texts: Option<Vec<_>> = items.iter().map(toml::Value::as_str).collect();
                texts
                    .ok_or_else(|| wrong(format!("`{key}` is a list of something else than texts")))?
                    .join(",")
            }
            other => return Err(wrong(format!("`{key}` cannot be a {}", other.type_str()))),
        };
        arguments.push(format!("--{}={value}", key.replace('_', "-")).into());
    }
    Ok(arguments)
}

fn variables(command: &Command) -> BTreeSet<String> {
    let names = command.get_arguments().filter_map(clap::Arg::get_env);
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[derive(Debug, Parser)]
    struct Engine {
        #[command(flatten)]
        engine: EngineSettings,
    }

    fn parse_with(file: &str, arguments: &[&str]) -> Result<Engine, ConfigError> {
        let mut settings = tempfile::NamedTempFile::new().unwrap();
        settings.write_all(file.as_bytes()).unwrap();
        let arguments = ["engine"].iter().chain(arguments).map(OsString::from).collect();
        parse(arguments, settings.path().into())
    }

    #[test]
    fn the_command_line_overrides_the_file_and_the_file_the_default() {
        let file = "log_partitions = 3\nmax_frame_bytes = 9\norigins = [\"http://a\", \"http://b\"]";
        let Engine { engine } = parse_with(file, &["--max-frame-bytes", "7"]).unwrap();
        assert_eq!(
            (engine.log_partitions, engine.limits.max_frame_bytes, engine.limits.max_subscriptions),
            (3, 7, 256)
        );
        assert_eq!(engine.origins, ["http://a", "http://b"]);
    }

    #[test]
    fn the_file_is_for_a_subcommand_of_a_subcommand_too() {
        #[derive(Debug, Parser)]
        enum Outer {
            #[command(subcommand)]
            Log(Inner),
        }
        #[derive(Debug, clap::Subcommand)]
        enum Inner {
            Look(Box<Engine>),
        }
        let mut settings = tempfile::NamedTempFile::new().unwrap();
        settings.write_all(b"log_partitions = 3").unwrap();
        let arguments = ["moyiza", "log", "look"].iter().map(OsString::from).collect();
        let Outer::Log(Inner::Look(look)) = parse(arguments, settings.path().into()).unwrap();
        assert_eq!(look.engine.log_partitions, 3);
    }

    #[test]
    fn a_setting_of_another_service_is_no_error() {
        assert!(parse_with("api_addr = \"127.0.0.1:1\"", &[]).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (file, named) in [
            ("api_adr = 1", "unknown setting `api_adr`"),
            ("log_partitions = 0", "--log-partitions"),
            ("engine_addr = \"here\"", "expected an IP address and a port"),
            ("max_frame_bytes = 0", "expected a number from 1 on"),
            ("origins = [\"here\"]", "expected scheme://host:port"),
            ("origins = [1]", "`origins` is a list of something else than texts"),
            ("origins = { a = 1 }", "`origins` cannot be a table"),
            ("origins = ", "TOML parse error"),
        ] {
            let error = parse_with(file, &[]).unwrap_err().to_string();
            assert!(error.contains(named), "{file}: {error}");
        }
    }
}
