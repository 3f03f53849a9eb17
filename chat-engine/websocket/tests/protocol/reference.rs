//! A reading of the specifications without any regard for time or memory: one frame after the other from all the
//! bytes there are, one byte after the other within it.

use flate2::{Decompress, FlushDecompress, Status};
use websocket::{DataKind, Role, Violation};

use crate::conversation::{Conversation, End, Said, Setting};

/// What `bytes` say to one with this `setting`.
pub(crate) fn read(setting: Setting, bytes: &[u8]) -> Conversation {
    let mut reader = Reader { setting, said: Vec::new(), message: None };
    let end = reader.read(bytes).unwrap_or_else(End::Violation);
    Conversation { said: reader.said, end }
}

struct Reader {
    setting: Setting,
    said: Vec<Said>,
    message: Option<Message>,
}

struct Message {
    kind: DataKind,
    compressed: bool,
    /// As it was sent.
    raw: Vec<u8>,
}

impl Reader {
    fn read(&mut self, mut bytes: &[u8]) -> Result<End, Violation> {
        while !bytes.is_empty() {
            let Some((opcode, last, payload, size)) = self.frame(bytes)? else { return Ok(End::MidFrame) };
            let whole = bytes.len() >= size;
            if opcode < 8 {
                let last = last && whole;
                let message = self.message.as_mut().expect("`frame` saw to it");
                message.raw.extend(payload);
                let plain = message.plain(self.setting.message_bytes, last)?;
                if last {
                    self.said.push(Said::Message(message.kind, plain));
                    self.message = None;
                }
            } else if whole {
                self.said.push(match opcode {
                    8 => Said::Close(close(&payload)?),
                    9 => Said::Ping(payload),
                    _ => Said::Pong(payload),
                });
                if opcode == 8 {
                    return Ok(End::Closed);
                }
            }
            if !whole {
                return Ok(End::MidFrame);
            }
            bytes = &bytes[size..];
        }
        Ok(if self.message.is_some() { End::MidFrame } else { End::Idle })
    }

    /// Opcode, FIN, what is there of the payload, unmasked, and the size of the frame.
    #[expect(clippy::type_complexity, reason = "read once, just above")]
    fn frame(&mut self, bytes: &[u8]) -> Result<Option<(u8, bool, Vec<u8>, usize)>, Violation> {
        if bytes.len() < 2 {
            return Ok(None);
        }
        let bit = |byte: usize, bit: u8| bytes[byte] >> (7 - bit) & 1 == 1;
        let opcode = bytes[0] % 16;
        if bit(0, 2) || bit(0, 3) {
            return Err(Violation::ReservedBit);
        }
        if !matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10) {
            return Err(Violation::ReservedOpCode(opcode));
        }
        let short = bytes[1] % 128;
        if opcode >= 8 && !bit(0, 0) {
            return Err(Violation::ControlFragmented);
        }
        if opcode >= 8 && short > 125 {
            return Err(Violation::ControlTooLong);
        }
        match self.setting.role {
            Role::Server if !bit(1, 0) => return Err(Violation::NotMasked),
            Role::Client if bit(1, 0) => return Err(Violation::Masked),
            _ => {}
        }
        let begins = opcode == 1 || opcode == 2;
        if begins && self.message.is_some() {
            return Err(Violation::MessageInMessage);
        }
        if bit(0, 1) && (self.setting.deflate.is_none() || !begins) {
            return Err(Violation::ReservedBit);
        }
        if opcode == 0 && self.message.is_none() {
            return Err(Violation::NothingToContinue);
        }
        let length_bytes = [0, 2, 8][usize::from(short.saturating_sub(125))];
        if bytes.len() < 2 + length_bytes {
            return Ok(None);
        }
        let mut length = u64::from(short);
        if length_bytes > 0 {
            length = bytes[2..2 + length_bytes].iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
        }
        if length_bytes == 2 && length < 126 || length_bytes == 8 && length < 65536 {
            return Err(Violation::LengthNotShortest);
        }
        if length >= 1 << 63 {
            return Err(Violation::LengthTopBit);
        }
        let limit = self.setting.message_bytes;
        let limit_here = match &self.message {
            _ if opcode >= 8 => 125,
            Some(message) if message.compressed => 2 * limit + 1024 - message.raw.len(),
            Some(message) => limit - message.raw.len(),
            None if bit(0, 1) => 2 * limit + 1024,
            None => limit,
        };
        if length > limit_here as u64 {
            return Err(Violation::TooLong(limit));
        }
        let key_bytes = if bit(1, 0) { 4 } else { 0 };
        let start = 2 + length_bytes + key_bytes;
        if bytes.len() < start {
            return Ok(None);
        }
        let key = &bytes[2 + length_bytes..start];
        let size = start + usize::try_from(length).expect("within the limit");
        let payload = &bytes[start..size.min(bytes.len())];
        let unmask = |(at, byte): (usize, &u8)| if key.is_empty() { *byte } else { byte ^ key[at % 4] };
        let payload = payload.iter().enumerate().map(unmask).collect();
        if begins {
            let kind = if opcode == 1 { DataKind::Text } else { DataKind::Binary };
            self.message = Some(Message { kind, compressed: bit(0, 1), raw: Vec::new() });
        }
        Ok(Some((opcode, bit(0, 0), payload, size)))
    }
}

impl Message {
    /// What it says so far.
    fn plain(&self, limit: usize, last: bool) -> Result<Vec<u8>, Violation> {
        let plain = if self.compressed { self.inflate(limit, last)? } else { self.raw.clone() };
        self.check(&plain)?;
        if last && self.kind == DataKind::Text && str::from_utf8(&plain).is_err() {
            return Err(Violation::NotUtf8);
        }
        Ok(plain)
    }

    fn check(&self, plain: &[u8]) -> Result<(), Violation> {
        match str::from_utf8(plain) {
            Err(error) if self.kind == DataKind::Text && error.error_len().is_some() => {
                Err(Violation::NotUtf8)
            }
            _ => Ok(()),
        }
    }

    fn inflate(&self, limit: usize, last: bool) -> Result<Vec<u8>, Violation> {
        let mut plain = Vec::new();
        let mut inflater = Decompress::new(false);
        for byte in &self.raw {
            let mut left = std::slice::from_ref(byte);
            loop {
                let mut out = [0; 1];
                let before = (inflater.total_in(), inflater.total_out());
                let status = inflater.decompress(left, &mut out, FlushDecompress::None);
                let used = inflater.total_in() > before.0;
                if inflater.total_out() > before.1 {
                    if plain.len() == limit {
                        return Err(Violation::TooLong(limit));
                    }
                    plain.push(out[0]);
                    self.check(&plain)?;
                }
                let came_out = inflater.total_out() > before.1;
                match status {
                    Err(_) => return Err(Violation::NotDeflate),
                    Ok(Status::StreamEnd) => inflater = Decompress::new(false),
                    Ok(_) => {}
                }
                if used {
                    left = &[];
                }
                if left.is_empty() && !came_out {
                    break;
                }
            }
        }
        if last && inflater.total_in() > 0 {
            let ending = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
            let before = inflater.total_out();
            let status = inflater.decompress(&ending, &mut [0; 100], FlushDecompress::None);
            if !matches!(status, Ok(Status::StreamEnd)) || inflater.total_out() > before {
                return Err(Violation::NotDeflate);
            }
        }
        Ok(plain)
    }
}

fn close(payload: &[u8]) -> Result<Option<(u16, String)>, Violation> {
    if payload.is_empty() {
        return Ok(None);
    }
    if payload.len() == 1 {
        return Err(Violation::CloseOneByte);
    }
    let code = u16::from(payload[0]) * 256 + u16::from(payload[1]);
    let forbidden = [1004, 1005, 1006, 1015];
    if code < 1000 || forbidden.contains(&code) || (1016..3000).contains(&code) || code >= 5000 {
        return Err(Violation::CloseCode(code));
    }
    let reason = String::from_utf8(payload[2..].to_vec()).map_err(|_| Violation::CloseReasonNotUtf8)?;
    Ok(Some((code, reason)))
}
