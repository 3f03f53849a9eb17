//! Streams of frames to try: right ones, nearly right ones, and noise.

use proptest::{collection::vec, prelude::*, sample::select};
use websocket::{DataKind, Deflate, FrameHeader, OpCode, Role};

use crate::conversation::Setting;

/// A frame of which anything may be wrong.
#[derive(Clone, Debug)]
struct Frame {
    first: u8,
    /// Not what the listener expects.
    wrong_mask: bool,
    /// Of three forms; `None` for the shortest that fits.
    length_form: Option<u8>,
    key: [u8; 4],
    payload: Vec<u8>,
}

impl Frame {
    fn put(&self, role: Role, out: &mut Vec<u8>) {
        let masked = (role == Role::Server) != self.wrong_mask;
        let mask_bit = u8::from(masked) << 7;
        let length = self.payload.len();
        let shortest = match length {
            0..126 => 0,
            126..65536 => 1,
            _ => 2,
        };
        out.push(self.first);
        let length = (length as u64).to_be_bytes();
        match self.length_form.unwrap_or(shortest).max(shortest) {
            0 => out.push(mask_bit | length[7]),
            1 => out.extend([&[mask_bit | 0x7e][..], &length[6..]].concat()),
            _ => out.extend([&[mask_bit | 0x7f][..], &length[..]].concat()),
        }
        if masked {
            out.extend(self.key);
            out.extend(self.payload.iter().zip(self.key.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            out.extend(&self.payload);
        }
    }
}

fn compressed(plain: &[u8]) -> Option<Vec<u8>> {
    let mut frame = Vec::new();
    let compressed = Deflate::default().compress_masked(DataKind::Binary, plain, [0; 4], &mut frame);
    let header = FrameHeader { mask: Some([0; 4]), ..FrameHeader::new(OpCode::Binary) };
    let sizes = 0..=frame.len();
    compressed.then(|| {
        let size = sizes.map(|size| frame.len() - size).find(|size| header.size(*size) + size == frame.len());
        frame.split_off(frame.len() - size.expect("a frame is a header and a payload"))
    })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let texts = select(vec!["", "a", "é", "한글", "🦀", "{\"content\":\"hello\"}", "\u{10ffff}"]);
    let text = vec(texts, 0..6).prop_map(|texts| texts.concat().into_bytes());
    let repeated = (any::<u8>(), 0..400usize).prop_map(|(byte, times)| vec![byte; times]);
    prop_oneof![
        8 => text,
        2 => vec(any::<u8>(), 0..8),
        1 => vec(any::<u8>(), 120..130),
        1 => repeated,
        1 => Just(vec![b'x'; 65_535]),
        1 => Just(vec![b'y'; 65_536]),
        3 => prop_oneof![Just(vec![0x03, 0xe8]), Just(vec![0x03, 0xe8, b'o', b'k']), Just(vec![0x03, 0xed])],
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let opcode = prop_oneof![
        40 => select(vec![0u8, 0, 1, 1, 2, 9, 10]),
        2 => Just(8u8),
        1 => 0..16u8,
    ];
    let flags = prop_oneof![
        20 => Just(0x80u8),
        15 => Just(0x00),
        10 => Just(0xc0),
        5 => Just(0x40),
        1 => (0..16u8).prop_map(|flags| flags << 4),
    ];
    let rarely = |of: u32| (0..of).prop_map(|number| number == 0);
    (opcode, flags, rarely(40), prop::option::weighted(0.05, 0..3u8), any::<[u8; 4]>(), payload(), rarely(10))
        .prop_map(|(opcode, flags, wrong_mask, length_form, key, payload, raw)| {
            // A control frame is never fragmented by mistake only.
            let flags = if opcode >= 8 && !raw { 0x80 } else { flags };
            let payload = match compressed(&payload) {
                Some(compressed) if flags & 0x40 != 0 && !raw => compressed,
                _ => payload,
            };
            Frame { first: flags | opcode, wrong_mask, length_form, key, payload }
        })
}

/// One message in frames, with pings between them: nothing is wrong but perhaps its text and its length.
fn message() -> impl Strategy<Value = Vec<Frame>> {
    let cuts = vec(any::<prop::sample::Index>(), 0..4);
    (any::<bool>(), any::<bool>(), vec(payload(), 0..3), cuts, any::<[u8; 4]>()).prop_map(
        |(text, compress, payloads, cuts, key)| {
            let plain = payloads.concat();
            let packed = if compress { compressed(&plain) } else { None };
            let rsv1 = if packed.is_some() { 0x40 } else { 0 };
            let bytes = packed.unwrap_or(plain);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut frames = Vec::new();
            for (at, pair) in cuts.windows(2).enumerate() {
                let fin = if at + 2 == cuts.len() { 0x80 } else { 0 };
                let start = if at == 0 { rsv1 | if text { 1 } else { 2 } } else { 0 };
                let payload = bytes[pair[0]..pair[1]].to_vec();
                let frame = Frame { first: fin | start, wrong_mask: false, length_form: None, key, payload };
                let ping = Frame { first: 0x89, payload: vec![b'p'; at], ..frame.clone() };
                frames.extend([frame, ping]);
            }
            frames
        },
    )
}

/// A listener, and a stream of bytes for it.
pub(crate) fn stream() -> impl Strategy<Value = (Setting, Vec<u8>)> {
    let frames = prop_oneof![3 => message(), 2 => vec(frame(), 1..4)];
    let noise = prop::option::weighted(0.1, vec(any::<u8>(), 0..40));
    let limit = select(vec![64, 300, 70_000, 200_000]);
    let role = select(vec![Role::Server, Role::Client]);
    let cut_short = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (role, limit, prop::bool::weighted(0.8), vec(frames, 0..6), noise, cut_short).prop_map(
        |(role, message_bytes, deflate, frames, noise, cut_short)| {
            let setting = Setting { role, message_bytes, deflate: deflate.then(Deflate::default) };
            let mut bytes = Vec::new();
            for frame in frames.iter().flatten() {
                frame.put(role, &mut bytes);
            }
            bytes.extend(noise.unwrap_or_default());
            if let Some(cut) = cut_short {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            (setting, bytes)
        },
    )
}

/// Where to cut bytes of which there are `length`.
pub(crate) fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}
