//! A task for each connection, with framing of its own. The fan-out queues and wakes; the task writes all that
//! is due in one write.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    net::TcpListener,
    sync::Arc,
};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify};

use super::{
    Options,
    bytes::{CLOSE, Inbound, Input, answer},
    fan_out::{self, Peer, Shards},
};

#[derive(Debug, Default)]
struct Queue {
    frames: Mutex<Vec<Bytes>>,
    wake: Notify,
}

impl Peer for Queue {
    const FRAMED: bool = true;

    fn queue(&self, frame: Bytes) -> bool {
        let mut frames = self.frames.lock();
        frames.push(frame);
        frames.len() == 1
    }

    fn flush(&self) {
        self.wake.notify_one();
    }
}

thread_local! {
    /// Nothing stays in it: what is incomplete is copied. So one a thread does, and an idle connection has none.
    pub(super) static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 16_384]);
}

pub(super) fn serve(listener: TcpListener, options: Options) -> io::Result<()> {
    fan_out::serve(listener, options, |stream, shards| async move {
        let queue = Arc::new(Queue::default());
        let mut room = None;
        // However it ends, it is over.
        let _ = converse(stream, &shards, &queue, &mut room).await;
        shards.leave(queue, room);
    })
}

async fn converse(
    mut stream: TcpStream,
    shards: &Shards<Queue>,
    queue: &Arc<Queue>,
    room: &mut Option<Vec<u8>>,
) -> io::Result<()> {
    let mut inbound = Inbound::default();
    loop {
        tokio::select! {
            () = queue.wake.notified() => {
                let frames = std::mem::take(&mut *queue.frames.lock());
                write_all(&mut stream, frames).await?;
            }
            ready = stream.readable() => {
                ready?;
                if !read(&stream, &mut inbound, |frame| shards.on_frame(queue, frame), room)? {
                    return Ok(());
                }
            }
        }
    }
}

/// Reads once and answers: whether the connection goes on.
pub(super) fn read(
    stream: &TcpStream,
    inbound: &mut Inbound,
    on_frame: impl Fn(&crate::frames::RawFrame<'_>) -> Option<Vec<u8>>,
    room: &mut Option<Vec<u8>>,
) -> io::Result<bool> {
    BUFFER.with_borrow_mut(|buffer| {
        let count = match stream.try_read(buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        // Answers are few and short: the socket takes them.
        inbound.receive(&mut buffer[..count], |input| match input {
            Input::Upgrade(reply) => drop(stream.try_write(&reply)),
            Input::Close => drop(stream.try_write(CLOSE)),
            Input::Frame(frame) => {
                if let Some(followed) = on_frame(&frame) {
                    *room = Some(followed);
                }
                if let Some(answer) = answer(&frame) {
                    drop(stream.try_write(&answer));
                }
            }
        });
        Ok(true)
    })
}

async fn write_all(stream: &mut TcpStream, frames: Vec<Bytes>) -> io::Result<()> {
    let mut frames = std::collections::VecDeque::from(frames);
    while !frames.is_empty() {
        let mut written = {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = frames.len().min(slices.len());
            for (slice, frame) in slices.iter_mut().zip(&frames) {
                *slice = IoSlice::new(frame);
            }
            stream.write_vectored(&slices[..count]).await?
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
    Ok(())
}
