//! How a node is configured.

use chat_engine::Settings;
use clap::Parser;
use shared::config::{CommonSettings, EngineSettings};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    engine: EngineSettings,
    #[command(flatten)]
    common: CommonSettings,
}

/// The defaults, on a free port and with names that begin with `prefix`, and then what `arguments` say.
pub(crate) fn settings<'a>(prefix: &'a str, arguments: impl IntoIterator<Item = &'a str>) -> Settings {
    let first = ["engine", "--engine-addr", "127.0.0.1:0", "--log-partitions", "2", "--prefix", prefix];
    let Arguments { engine, common } = Arguments::parse_from(first.into_iter().chain(arguments));
    Settings { engine, common }
}
