//! Who is still to connect, and how many may be at it.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Instant,
};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::connection::Kind;
use crate::plan::Plan;

/// Connections to be made.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: VecDeque<(u32, Kind)>,
    /// At once, and in a second; the latter 0 for any.
    concurrent: u32,
    rate: f64,
    begun: Instant,
    started: u32,
    pub(super) in_progress: u32,
}

impl Queue {
    pub(super) fn new(
        jobs: impl IntoIterator<Item = (u32, Kind)>,
        concurrent: u32,
        rate: f64,
        now: Instant,
    ) -> Self {
        let jobs = jobs.into_iter().collect();
        Self { jobs, concurrent: concurrent.max(1), rate, begun: now, started: 0, in_progress: 0 }
    }

    /// The next one to be begun now.
    pub(super) fn next(&mut self, now: Instant) -> Option<(u32, Kind)> {
        let allowed = now.duration_since(self.begun).as_secs_f64() * self.rate;
        if self.in_progress >= self.concurrent || (self.rate > 0.0 && f64::from(self.started) > allowed) {
            return None;
        }
        let job = self.jobs.pop_front()?;
        self.started += 1;
        self.in_progress += 1;
        Some(job)
    }

    pub(super) fn is_done(&self) -> bool {
        self.jobs.is_empty() && self.in_progress == 0
    }

    /// Only time lets the next one begin.
    pub(super) fn waits_for_time(&self) -> bool {
        !self.jobs.is_empty() && self.in_progress < self.concurrent
    }
}

/// Begins a connection.
pub(super) fn connect(plan: &Plan, index: u32, kind: Kind) -> io::Result<TcpStream> {
    let address = plan.target(index).address;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if kind == Kind::Slow {
        // Else the kernel takes megabytes for a client that never reads.
        socket.set_recv_buffer_size(4_096)?;
    }
    let sources = u32::from(plan.scenario.sources);
    if sources > 0 {
        let last = u8::try_from(2 + index % sources).expect("at most 250 sources");
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}
