//! The signals that ask a process to stop.

use anyhow::Result;
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

/// Ctrl-C and SIGTERM; a terminal that goes away too.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
}

impl StopSignals {
    /// Begins to listen: from here on they no longer end the process by themselves.
    pub fn new() -> Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// The next of them. Cancel-safe, as each `recv` is.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hangup.recv() => Signal::HUP,
        }
    }
}
