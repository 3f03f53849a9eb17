//! The floor: the least that a broker on this machine could do. It accepts, upgrades, and writes the bytes of a
//! MESSAGE to everybody in a room; it checks nothing, bounds nothing and believes every client. A broker's
//! figures mean something as ratios to the floor's, taken in one run on one machine.
//!
//! A room is what stands behind the last slash of a destination, so that destinations which differ for sending
//! and subscribing lead to the same room.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use clap::{Args, ValueEnum};
use socket2::{Domain, Protocol, Socket, Type};

mod bare;
mod bytes;
mod fan_out;
mod task_direct;
mod task_wake;
mod tungstenite;

pub use bare::Bare;

/// How the floor is built. All but the first are there to find out what a way of building a server costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Two threads, each with an epoll of its own. No runtime, no task, no queue.
    #[default]
    Bare,
    /// A task for each connection, woken to write.
    TaskWake,
    /// A task for each connection that reads; the fan-out writes.
    TaskDirect,
    /// A task for each connection with tungstenite, woken to write.
    Tungstenite,
}

/// Serves in one of the other shapes, for ever; [`Bare`] can be stopped.
pub fn serve(shape: Shape, listener: TcpListener, options: Options) -> io::Result<()> {
    match shape {
        Shape::Bare => Bare::start(listener, options)?.wait(),
        Shape::TaskWake => task_wake::serve(listener, options),
        Shape::TaskDirect => task_direct::serve(listener, options),
        Shape::Tungstenite => tungstenite::serve(listener, options),
    }
}

/// What the floor is to be.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Options {
    /// One write for each message, in place of one for all that is due (bare only).
    #[arg(long)]
    pub write_each: bool,
    /// Take what there is at once, without letting others bring what they have (all but bare).
    #[arg(long)]
    pub eager: bool,
}

/// A listener whose queue holds a storm of connects.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(4_096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
