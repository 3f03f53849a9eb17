//! Structured logs to standard error. Never a token, a password or a message's content.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::LogFormat;

/// Installs the process's subscriber. `RUST_LOG` overrides `filter`. A second call does nothing.
pub fn init(filter: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let for_people = std::io::stderr().is_terminal();
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(for_people);
    let registry = tracing_subscriber::registry().with(filter);
    // An error means that a subscriber is already there, as in tests.
    let _ = match format {
        LogFormat::Text => registry.with(layer.compact()).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
}
