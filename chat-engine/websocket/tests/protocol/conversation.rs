//! What a peer said, with the parts of messages joined.

use websocket::{DataKind, Deflate, Event, Limits, Receiver, Role, Violation};

/// One thing that a peer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Message(DataKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// All that a peer said, and how its bytes ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) said: Vec<Said>,
    pub(crate) end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Between messages.
    Idle,
    /// Within a frame or between the frames of a message.
    MidFrame,
    Closed,
    Violation(Violation),
}

/// Who listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) role: Role,
    pub(crate) message_bytes: usize,
    pub(crate) deflate: Option<Deflate>,
}

pub(crate) const SERVER: Setting = Setting { role: Role::Server, message_bytes: 100_000, deflate: None };
pub(crate) const CLIENT: Setting = Setting { role: Role::Client, ..SERVER };

impl Setting {
    pub(crate) fn with_deflate(self) -> Self {
        Self { deflate: Some(Deflate::default()), ..self }
    }

    pub(crate) fn receiver(self) -> Receiver {
        Receiver::new(self.role, Limits { message_bytes: self.message_bytes }, self.deflate)
    }

    /// What one that gets these pieces hears.
    pub(crate) fn hear<'a>(self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Conversation {
        let mut receiver = self.receiver();
        let mut said = Vec::new();
        let mut message = Vec::new();
        for piece in pieces {
            let mut piece = piece.to_vec();
            let mut input = &mut piece[..];
            loop {
                let (used, event) = match receiver.receive(input) {
                    Ok((used, Some(event))) => (used, event),
                    Ok((used, None)) => {
                        assert_eq!(used, input.len(), "nothing more to say only when all is used");
                        break;
                    }
                    Err(violation) => return Conversation { said, end: End::Violation(violation) },
                };
                match event {
                    Event::Data { kind, bytes, last } => {
                        message.extend_from_slice(&bytes);
                        if last {
                            said.push(Said::Message(kind, std::mem::take(&mut message)));
                        }
                    }
                    Event::Ping(payload) => said.push(Said::Ping(payload.into_owned())),
                    Event::Pong(payload) => said.push(Said::Pong(payload.into_owned())),
                    Event::Close(frame) => {
                        said.push(Said::Close(frame.map(|frame| (frame.code, frame.reason.into_owned()))));
                        return Conversation { said, end: End::Closed };
                    }
                }
                input = &mut input[used..];
            }
        }
        let end = if receiver.is_mid_frame() { End::MidFrame } else { End::Idle };
        Conversation { said, end }
    }

    /// What these bytes break, however they arrive; all of them in one piece, and each by itself.
    #[track_caller]
    pub(crate) fn violation(self, bytes: &[u8]) -> Violation {
        let whole = self.hear([bytes]);
        assert_eq!(whole, self.hear(bytes.chunks(1)), "byte by byte is the same");
        match whole.end {
            End::Violation(violation) => violation,
            _ => panic!("{bytes:02x?} is taken: {whole:?}"),
        }
    }

    /// What these bytes say, however they arrive. They break nothing and leave nothing open.
    #[track_caller]
    pub(crate) fn said(self, bytes: &[u8]) -> Vec<Said> {
        let whole = self.hear([bytes]);
        assert_eq!(whole, self.hear(bytes.chunks(1)), "byte by byte is the same");
        assert!(matches!(whole.end, End::Idle | End::Closed), "{:?}", whole.end);
        whole.said
    }
}

pub(crate) fn text(text: &str) -> Said {
    Said::Message(DataKind::Text, text.into())
}

pub(crate) fn binary(bytes: &[u8]) -> Said {
    Said::Message(DataKind::Binary, bytes.into())
}
