//! The least STOMP client that can do what `docs/wire.md` says, on tokio-tungstenite.

mod frame;

use std::{net::SocketAddr, time::Duration};

pub use frame::Frame;
use frame::Reader;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, Utf8Bytes, client::IntoClientRequest as _},
};

/// How long a node that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The heart-beats it sends, and those it wants.
const BEAT: Duration = Duration::from_secs(10);

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The engine said why, by an ERROR: its `message`, the receipt id of the frame that it is about, its body.
    Refused {
        /// A word or two.
        message: String,
        /// Which frame.
        receipt: Option<String>,
    },
    /// The engine closed: code and reason.
    Closed(u16, String),
    /// It broke, or never came to be.
    Broken(String),
    /// What came is not STOMP, or nothing that the page on the wire knows.
    Nonsense(String),
    /// Nothing came for too long.
    Silent,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { message, .. } => write!(f, "ERROR {message}"),
            Self::Closed(code, reason) => write!(f, "closed, {code} {reason}"),
            Self::Broken(error) => write!(f, "broken, {error}"),
            Self::Nonsense(what) => write!(f, "nonsense, {what}"),
            Self::Silent => f.write_str("silent"),
        }
    }
}

/// A connection that is signed in.
#[derive(Debug)]
pub struct Connection {
    addr: SocketAddr,
    socket: WebSocketStream<TcpStream>,
    reader: Reader,
    /// When something came last, and when something went.
    heard: Instant,
    said: Instant,
}

impl Connection {
    /// Connects and signs in.
    pub async fn open(addr: SocketAddr, token: &str) -> Result<Self, Ended> {
        timeout(PATIENCE, Self::sign_in(addr, token)).await.unwrap_or(Err(Ended::Silent))
    }

    async fn sign_in(addr: SocketAddr, token: &str) -> Result<Self, Ended> {
        let broken = |error: &dyn std::fmt::Display| Ended::Broken(error.to_string());
        let stream = TcpStream::connect(addr).await.map_err(|error| broken(&error))?;
        let _ = stream.set_nodelay(true);
        let mut request = format!("ws://{addr}/ws").into_client_request().map_err(|error| broken(&error))?;
        request.headers_mut().insert(
            "Sec-WebSocket-Protocol",
            tokio_tungstenite::tungstenite::http::HeaderValue::from_static("v12.stomp"),
        );
        let (socket, _) =
            tokio_tungstenite::client_async(request, stream).await.map_err(|error| broken(&error))?;
        let now = Instant::now();
        let mut connection = Self { addr, socket, reader: Reader::default(), heard: now, said: now };
        let beat = BEAT.as_millis();
        let headers = [
            ("accept-version", "1.2"),
            ("host", "localhost"),
            ("Authorization", &format!("Bearer {token}")),
            ("heart-beat", &format!("{beat},{beat}")),
        ];
        connection.send("CONNECT", &headers, "").await?;
        let frame = connection.next().await?;
        match frame.command.as_str() {
            "CONNECTED" => Ok(connection),
            other => Err(Ended::Nonsense(format!("{other} in answer to CONNECT"))),
        }
    }

    /// Whom it leads to.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends a frame.
    pub async fn send(&mut self, command: &str, headers: &[(&str, &str)], body: &str) -> Result<(), Ended> {
        self.write(frame::write(command, headers, body)).await
    }

    async fn write(&mut self, text: String) -> Result<(), Ended> {
        let sent = timeout(PATIENCE, self.socket.send(Message::Text(Utf8Bytes::from(text)))).await;
        self.said = Instant::now();
        sent.unwrap_or(Err(Error::ConnectionClosed)).map_err(|error| ended(&error))
    }

    /// The next frame but ERROR, which ends the connection. Cancel-safe: a frame is taken whole or not at all.
    pub async fn next(&mut self) -> Result<Frame, Ended> {
        loop {
            if let Some(frame) = self.reader.next().map_err(Ended::Nonsense)? {
                if frame.command == "ERROR" {
                    return Err(Ended::Refused {
                        message: frame.header("message").unwrap_or_default().to_owned(),
                        receipt: frame.header("receipt-id").map(str::to_owned),
                    });
                }
                return Ok(frame);
            }
            let (beat, silence) = (self.said + BEAT * 3 / 4, self.heard + BEAT * 3);
            let message = tokio::select! {
                message = self.socket.next() => message,
                () = tokio::time::sleep_until(beat) => {
                    self.write("\n".to_owned()).await?;
                    continue;
                }
                () = tokio::time::sleep_until(silence) => return Err(Ended::Silent),
            };
            self.heard = Instant::now();
            match message {
                Some(Ok(Message::Text(text))) => self.reader.feed(text.as_bytes()),
                Some(Ok(Message::Binary(bytes))) => self.reader.feed(&bytes),
                Some(Ok(Message::Close(Some(close)))) => {
                    return Err(Ended::Closed(close.code.into(), close.reason.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(ended(&error)),
                None => return Err(Ended::Broken("closed without a word".to_owned())),
            }
        }
    }

    /// Says DISCONNECT, takes what still comes, and returns when the engine has answered.
    pub async fn leave(mut self) -> Vec<Frame> {
        let mut last = Vec::new();
        if self.send("DISCONNECT", &[("receipt", "bye")], "").await.is_ok() {
            let until_answered = async {
                while let Ok(frame) = self.next().await {
                    if frame.command == "RECEIPT" && frame.header("receipt-id") == Some("bye") {
                        break;
                    }
                    last.push(frame);
                }
            };
            let _ = timeout(PATIENCE, until_answered).await;
        }
        let _ = timeout(PATIENCE, self.socket.close(None)).await;
        last
    }

    /// Is gone without a word, as when a telephone enters a tunnel and its network tells.
    pub fn vanish(self) {
        let _ = self.socket.get_ref().set_zero_linger();
    }
}

fn ended(error: &Error) -> Ended {
    Ended::Broken(error.to_string())
}
