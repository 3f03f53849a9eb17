//! One port for WebSocket and plain HTTP.

mod rooms;

pub(crate) use rooms::Readers;

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{Either, ready};
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
    upgrade,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use stomp::Version;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tungstenite::handshake::derive_accept_key;
use websocket::Deflate;

use crate::{
    connection::{
        self, Upgraded,
        door::{Crowded, Seat},
    },
    engine::Engine,
};

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
            Ok((stream, peer)) => {
                // Frames are small and complete: they must not wait for the peer's acknowledgement.
                let _ = stream.set_nodelay(true);
                // Without a seat it is told so, and health is still answered.
                let visitor = Visitor { seat: engine.door.enter(peer.ip()), open: open.clone() };
                tokio::spawn(serve_http(engine.clone(), stream, visitor, stop.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others end meanwhile.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

/// Who is at the door.
struct Visitor {
    seat: Result<Seat, Crowded>,
    /// Held while the connection lives.
    open: mpsc::Sender<()>,
}

async fn serve_http(
    engine: Arc<Engine>,
    stream: TcpStream,
    visitor: Visitor,
    mut stop: watch::Receiver<bool>,
) {
    let limits = &engine.settings.limits;
    let mut http = http1::Builder::new();
    // A `u32` fits.
    let max_head = usize::try_from(limits.max_handshake_bytes).unwrap_or(usize::MAX);
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.handshake_timeout_ms))
        .max_buf_size(max_head);
    // hyper asks for one response after the other.
    let visitor = Mutex::new(Some(visitor));
    let service = service_fn(move |request: Request<Incoming>| {
        let (engine, room) = (engine.clone(), rooms::room_of(request.uri().path()));
        let mut visitor = visitor.lock();
        let response = match (room, visitor.as_ref().map(|visitor| &visitor.seat)) {
            (Some(_), Some(Err(crowded))) => Either::Left(ready(turn_away(&engine, *crowded))),
            (Some(room), _) => Either::Right(rooms::respond(engine, room, request)),
            (None, _) => Either::Left(ready(respond(&engine, &mut visitor, request))),
        };
        async move { Ok::<_, Infallible>(response.await) }
    });
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::select! {
        // An error here is a peer that left or did not speak HTTP: nothing to do, nothing to tell.
        _ = connection => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

fn respond(engine: &Arc<Engine>, visitor: &mut Option<Visitor>, request: Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/ws" | "/chat/connect") => open_web_socket(engine, visitor, request, Protocol::Stomp),
        (&Method::GET, "/echo") if engine.development => {
            open_web_socket(engine, visitor, request, Protocol::Echo)
        }
        (&Method::GET, "/metrics") => text(StatusCode::OK, engine.metrics()),
        (&Method::GET | &Method::HEAD, "/livez") => text(StatusCode::OK, "ok\n"),
        (&Method::GET | &Method::HEAD, "/readyz") => {
            if engine.caught_up.load(Ordering::Relaxed) {
                text(StatusCode::OK, "ok\n")
            } else {
                text(StatusCode::SERVICE_UNAVAILABLE, "catching up with the log\n")
            }
        }
        (_, "/ws" | "/chat/connect" | "/livez" | "/readyz" | "/metrics") => {
            text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n")
        }
        _ => text(StatusCode::NOT_FOUND, "not found: the WebSocket is at /ws\n"),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// What is spoken over a WebSocket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Stomp,
    /// Messages come back as they are, for public WebSocket suites.
    Echo,
}

/// How long a client waits that found no place, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The handshake of RFC 6455 §4.2.
fn open_web_socket(
    engine: &Arc<Engine>,
    visitor: &mut Option<Visitor>,
    mut request: Request<Incoming>,
    protocol: Protocol,
) -> Reply {
    if request.version() < hyper::Version::HTTP_11 {
        return text(StatusCode::BAD_REQUEST, "a WebSocket needs HTTP/1.1\n");
    }
    let Agreed { accept, version, deflate } = match check_handshake(engine, request.headers(), protocol) {
        Ok(agreed) => agreed,
        Err(refused) => return *refused,
    };
    let seat = match visitor.as_ref().map(|visitor| &visitor.seat) {
        Some(Ok(_)) => visitor.take().and_then(|Visitor { seat, open }| Some((seat.ok()?, open))),
        Some(Err(crowded)) => return turn_away(engine, *crowded),
        None => None,
    };
    // A connection is upgraded once; after that no request is read from it.
    let Some((seat, open)) = seat else { return text(StatusCode::BAD_REQUEST, "upgraded already\n") };
    let upgraded = upgrade::on(&mut request);
    let engine = engine.clone();
    let sub_protocol = version.map(|version| HeaderValue::from_static(version.subprotocol()));
    let extensions = deflate.as_ref().and_then(|(_, answer)| HeaderValue::try_from(answer.as_str()).ok());
    tokio::spawn(async move {
        let Some((socket, early)) = upgraded.await.ok().and_then(beneath) else { return };
        let deflate = deflate.map(|(deflate, _)| deflate);
        let upgraded = Upgraded { socket, early, version, deflate, seat };
        match protocol {
            Protocol::Stomp => connection::serve(engine, upgraded).await,
            Protocol::Echo => connection::echo::serve(&engine, upgraded).await,
        }
        drop(open);
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    headers.extend(sub_protocol.map(|name| (header::SEC_WEBSOCKET_PROTOCOL, name)));
    headers.extend(extensions.map(|answer| (header::SEC_WEBSOCKET_EXTENSIONS, answer)));
    response
}

/// The socket beneath an upgraded connection, and what came behind the request. hyper's buffer, of which that is a
/// part, must not live as long as the connection.
fn beneath(upgraded: upgrade::Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    // What hyper was given is what it gives back.
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

fn turn_away(engine: &Engine, crowded: Crowded) -> Reply {
    engine.counters.turned_away.fetch_add(1, Ordering::Relaxed);
    let mut response = match crowded {
        Crowded::Node => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "this node has as many connections as it takes (MOYIZA_MAX_CONNECTIONS)\n",
        ),
        Crowded::Address => text(
            StatusCode::TOO_MANY_REQUESTS,
            "too many connections from this address (MOYIZA_MAX_CONNECTIONS_PER_ADDRESS)\n",
        ),
    };
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    // It found no place when it was accepted, and would find none when there is one.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What a handshake agreed on.
struct Agreed {
    accept: HeaderValue,
    version: Option<Version>,
    deflate: Option<(Deflate, String)>,
}

/// What a handshake agrees on, or why there is none.
fn check_handshake(engine: &Engine, headers: &HeaderMap, protocol: Protocol) -> Result<Agreed, Box<Reply>> {
    let refuse = |status, reason| Err(Box::new(text(status, reason)));
    let any = |name, is: &dyn Fn(&str) -> bool| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| is(value.trim()))
    };
    let names = |name, token: &str| any(name, &|value| value.eq_ignore_ascii_case(token));
    // A sub-protocol is answered as it was offered (RFC 6455 §4.2.2): case matters.
    let offers = |name, token: &str| any(name, &|value| value == token);
    if !names(header::UPGRADE, "websocket") || !names(header::CONNECTION, "upgrade") {
        let mut response = text(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket\n");
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return Err(Box::new(response));
    }
    // RFC 6455 §4.2.1.
    if !headers.contains_key(header::HOST) {
        return refuse(StatusCode::BAD_REQUEST, "Host is missing\n");
    }
    if !names(header::SEC_WEBSOCKET_VERSION, "13") {
        let mut response = text(StatusCode::UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13\n");
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(Box::new(response));
    }
    if !is_allowed_origin(engine, headers) {
        return refuse(StatusCode::FORBIDDEN, "this Origin is not allowed (MOYIZA_ORIGINS)\n");
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return refuse(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing\n");
    };
    // RFC 6455 §4.1: 16 bytes, in base64.
    if key.len() != 24 || !key.as_bytes().ends_with(b"==") {
        return refuse(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64\n");
    }
    let version = match protocol {
        Protocol::Echo => None,
        Protocol::Stomp => {
            let offered = headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL);
            let known = |version: &Version| offers(header::SEC_WEBSOCKET_PROTOCOL, version.subprotocol());
            let version = Version::ALL.into_iter().find(known);
            if offered && version.is_none() {
                return refuse(
                    StatusCode::BAD_REQUEST,
                    "supported sub-protocols are v12.stomp, v11.stomp and v10.stomp\n",
                );
            }
            version
        }
    };
    let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS);
    let offers = offers.into_iter().filter_map(|value| value.to_str().ok());
    let deflate = engine.settings.compression.then(|| Deflate::negotiate(offers)).flatten();
    match HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        Ok(accept) => Ok(Agreed { accept, version, deflate }),
        Err(_) => refuse(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not one\n"),
    }
}

/// Whether whoever asks is no page of another site. Absent is not a browser. Clients that are not browsers send the
/// engine's own, and a page that is served under the engine's own name is at home.
fn is_allowed_origin(engine: &Engine, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let known = |known: &String| known == "*" || known.as_bytes() == origin;
    engine.settings.origins.iter().any(known) || is_same_origin(origin, headers.get(header::HOST))
}

/// Whether a page of `origin` was fetched from where this request goes (RFC 6454 §5). The scheme's default port may
/// be left out.
fn is_same_origin(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let text = |value: &HeaderValue| value.to_str().map(str::to_ascii_lowercase).ok();
    let (Some(origin), Some(host)) = (text(origin), host.and_then(text)) else { return false };
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        _ => return false,
    };
    let without_port = |name: &str| name.strip_suffix(default_port).unwrap_or(name).to_owned();
    without_port(authority) == without_port(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_engines_own_name_and_port_are_the_same_origin() {
        let same = |origin, host| {
            is_same_origin(&HeaderValue::from_static(origin), Some(&HeaderValue::from_static(host)))
        };
        assert!(same("http://127.0.0.1:8081", "127.0.0.1:8081"));
        assert!(same("https://Chat.example", "chat.example:443"));
        assert!(!same("http://127.0.0.1:8080", "127.0.0.1:8081"));
        assert!(!same("https://evil.example", "chat.example"));
        assert!(!same("https://chat.example:8443", "chat.example"));
        assert!(!same("null", "null"));
        assert!(!is_same_origin(&HeaderValue::from_static("http://a"), None));
    }
}
