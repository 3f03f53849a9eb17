//! A task for each connection and tungstenite whole, as one would take it from the shelf, but for a read buffer
//! of 512 bytes in place of 128 KiB.

use std::{io, net::TcpListener, sync::Arc};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use tokio::{net::TcpStream, sync::Notify};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Error, Message, Utf8Bytes,
        handshake::server::{Request, Response},
        protocol::WebSocketConfig,
    },
};

use super::{
    Options,
    bytes::answer_payload,
    fan_out::{self, Peer, Shards},
};
use crate::frames::{Scan, scan};

#[derive(Debug, Default)]
struct Queue {
    payloads: Mutex<Vec<Bytes>>,
    wake: Notify,
}

impl Peer for Queue {
    const FRAMED: bool = false;

    fn queue(&self, payload: Bytes) -> bool {
        let mut payloads = self.payloads.lock();
        payloads.push(payload);
        payloads.len() == 1
    }

    fn flush(&self) {
        self.wake.notify_one();
    }
}

pub(super) fn serve(listener: TcpListener, options: Options) -> io::Result<()> {
    fan_out::serve(listener, options, |stream, shards| async move {
        let queue = Arc::new(Queue::default());
        let mut room = None;
        let config = WebSocketConfig::default().read_buffer_size(512);
        if let Ok(socket) = accept_hdr_async_with_config(stream, agree, Some(config)).await {
            // However it ends, it is over.
            let _ = converse(socket, &shards, &queue, &mut room).await;
        }
        shards.leave(queue, room);
    })
}

#[expect(clippy::result_large_err, clippy::unnecessary_wraps, reason = "tungstenite's callback is like that")]
fn agree(
    request: &Request,
    mut response: Response,
) -> Result<Response, tokio_tungstenite::tungstenite::handshake::server::ErrorResponse> {
    let name = "sec-websocket-protocol";
    let offers = request.headers().get(name).and_then(|offers| offers.to_str().ok());
    let first = offers.and_then(|offers| offers.split(',').next()?.trim().parse().ok());
    if let Some(first) = first {
        response.headers_mut().insert(name, first);
    }
    Ok(response)
}

async fn converse(
    mut socket: WebSocketStream<TcpStream>,
    shards: &Shards<Queue>,
    queue: &Arc<Queue>,
    room: &mut Option<Vec<u8>>,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            () = queue.wake.notified() => {
                let payloads = std::mem::take(&mut *queue.payloads.lock());
                for payload in payloads {
                    socket.feed(text(payload)?).await?;
                }
                socket.flush().await?;
            }
            message = socket.next() => {
                let Some(message) = message else { return Ok(()) };
                let Message::Text(text_message) = message? else { continue };
                let Scan::Frame(frame, _) = scan(text_message.as_bytes()) else { continue };
                if let Some(followed) = shards.on_frame(queue, &frame) {
                    *room = Some(followed);
                }
                if let Some(answer) = answer_payload(&frame) {
                    socket.send(text(answer.into())?).await?;
                }
            }
        }
    }
}

fn text(payload: Bytes) -> Result<Message, Error> {
    Utf8Bytes::try_from(payload).map(Message::Text).map_err(|error| Error::Utf8(error.to_string()))
}
