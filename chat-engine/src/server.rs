//! One port for WebSocket and plain HTTP.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use stomp::Version;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{connection, engine::Engine};

/// What an idle connection's read buffer costs; larger messages are read in several calls.
const READ_BUFFER: usize = 512;
/// Frames are gathered up to this size before they are written.
const WRITE_BUFFER: usize = 16 * 1024;

type Reply = Response<Full<Bytes>>;

/// Accepts connections until `stop` changes. `open` is held by every connection: its other end learns when the
/// last is gone.
pub(crate) async fn accept(
    engine: Arc<Engine>,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
    open: mpsc::Sender<()>,
) {
    loop {
        let stream = tokio::select! {
            // Cancel-safe: a connection that was not accepted stays in the listener's queue.
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match stream {
            Ok((stream, _)) => {
                // Frames are small and complete: they must not wait for the peer's acknowledgement.
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve_http(engine.clone(), stream, open.clone(), stop.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others end meanwhile.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

async fn serve_http(
    engine: Arc<Engine>,
    stream: TcpStream,
    open: mpsc::Sender<()>,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let response = respond(&engine, &open, request);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    let connection =
        http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::select! {
        // An error here is a peer that left or did not speak HTTP: nothing to do, nothing to tell.
        _ = connection => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

fn respond(engine: &Arc<Engine>, open: &mpsc::Sender<()>, request: Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/ws" | "/chat/connect") => upgrade(engine, open, request),
        (&Method::GET, "/livez") => text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/readyz") => {
            if engine.caught_up.load(Ordering::Relaxed) {
                text(StatusCode::OK, "ok\n")
            } else {
                text(StatusCode::SERVICE_UNAVAILABLE, "catching up with the log\n")
            }
        }
        (_, "/ws" | "/chat/connect" | "/livez" | "/readyz") => {
            text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n")
        }
        _ => text(StatusCode::NOT_FOUND, "not found: the WebSocket is at /ws\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Reply {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// The handshake of RFC 6455 §4.2.
fn upgrade(engine: &Arc<Engine>, open: &mpsc::Sender<()>, mut request: Request<Incoming>) -> Reply {
    let (key, version) = match check_handshake(request.headers(), &engine.settings.origins) {
        Ok(agreed) => agreed,
        Err(refused) => return *refused,
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let (engine, open) = (engine.clone(), open.clone());
    tokio::spawn(async move {
        let socket = match upgraded.await {
            Ok(upgraded) => web_socket(upgraded, engine.settings.max_frame_bytes).await,
            Err(_) => return,
        };
        if let Some(socket) = socket {
            connection::serve(engine, socket, version).await;
        }
        drop(open);
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    if let Some(version) = version {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(version.subprotocol()));
    }
    response
}

/// The accept key and the sub-protocol, or why there is no handshake.
fn check_handshake(
    headers: &HeaderMap,
    origins: &[String],
) -> Result<(HeaderValue, Option<Version>), Box<Reply>> {
    let refuse = |status, reason| Err(Box::new(text(status, reason)));
    let names = |name, token: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    if !names(header::UPGRADE, "websocket") || !names(header::CONNECTION, "upgrade") {
        let mut response = text(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket\n");
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return Err(Box::new(response));
    }
    if !names(header::SEC_WEBSOCKET_VERSION, "13") {
        let mut response = text(StatusCode::UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13\n");
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(Box::new(response));
    }
    // Absent is not a browser.
    if let Some(origin) = headers.get(header::ORIGIN) {
        let allowed =
            |origin: &HeaderValue| origins.iter().any(|known| known == "*" || known.as_bytes() == origin);
        if !allowed(origin) {
            return refuse(StatusCode::FORBIDDEN, "this Origin is not allowed (MOYIZA_ORIGINS)\n");
        }
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return refuse(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing\n");
    };
    let offered = headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    let version = [Version::V12].into_iter().find(|v| names(header::SEC_WEBSOCKET_PROTOCOL, v.subprotocol()));
    if offered && version.is_none() {
        return refuse(StatusCode::BAD_REQUEST, "supported sub-protocols are v12.stomp\n");
    }
    match HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        Ok(accept) => Ok((accept, version)),
        Err(_) => refuse(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not one\n"),
    }
}

/// The socket beneath the upgraded connection, without hyper's buffers around it.
async fn web_socket(upgraded: Upgraded, max_frame: usize) -> Option<WebSocketStream<TcpStream>> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(max_frame))
        .max_frame_size(Some(max_frame));
    let (stream, already_read) = (parts.io.into_inner(), parts.read_buf.to_vec());
    Some(WebSocketStream::from_partially_read(stream, already_read, Role::Server, Some(config)).await)
}
