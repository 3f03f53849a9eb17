//! A task for each connection that reads. The fan-out queues to everybody and then writes each connection's queue
//! itself, in one write; the task finishes only what did not fit.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
    net::TcpListener,
    sync::Arc,
};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::{net::TcpStream, sync::Notify};

use super::{
    Options,
    bytes::Inbound,
    fan_out::{self, Peer},
    task_wake::read,
};
use crate::frames::RawFrame;

#[derive(Debug)]
struct Direct {
    stream: TcpStream,
    frames: Mutex<VecDeque<Bytes>>,
    /// Something is left to be written.
    left: Notify,
}

impl Peer for Direct {
    const FRAMED: bool = true;

    fn queue(&self, frame: Bytes) -> bool {
        let mut frames = self.frames.lock();
        frames.push_back(frame);
        frames.len() == 1
    }

    fn flush(&self) {
        // A broken connection is found out by its task, which reads.
        if matches!(self.write(), Ok(false)) {
            self.left.notify_one();
        }
    }
}

impl Direct {
    /// Whether everything was written.
    fn write(&self) -> io::Result<bool> {
        let mut frames = self.frames.lock();
        while !frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = frames.len().min(slices.len());
            for (slice, frame) in slices.iter_mut().zip(frames.iter()) {
                *slice = IoSlice::new(frame);
            }
            let mut written = match self.stream.try_write_vectored(&slices[..count]) {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            while let Some(frame) = frames.front_mut() {
                if written < frame.len() {
                    frame.advance(written);
                    break;
                }
                written -= frame.len();
                frames.pop_front();
            }
        }
        *frames = VecDeque::new();
        Ok(true)
    }

    async fn finish(&self) -> io::Result<()> {
        self.left.notified().await;
        while !self.write()? {
            self.stream.writable().await?;
        }
        Ok(())
    }
}

pub(super) fn serve(listener: TcpListener, options: Options) -> io::Result<()> {
    fan_out::serve(listener, options, |stream, shards| async move {
        let peer = Arc::new(Direct { stream, frames: Mutex::default(), left: Notify::new() });
        let mut room = None;
        let mut inbound = Inbound::default();
        loop {
            tokio::select! {
                finished = peer.finish() => if finished.is_err() { break },
                ready = peer.stream.readable() => {
                    let on_frame = |frame: &RawFrame<'_>| shards.on_frame(&peer, frame);
                    if ready.is_err() || !read(&peer.stream, &mut inbound, on_frame, &mut room).unwrap_or(false) {
                        break;
                    }
                }
            }
        }
        shards.leave(peer, room);
    })
}
