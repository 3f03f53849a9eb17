//! Streams to try: right ones, nearly right ones, and noise.

use proptest::{collection::vec, prelude::*, sample::select};
use stomp::Version;

use crate::reference::COMMANDS;

pub(crate) fn version() -> impl Strategy<Value = Version> {
    select(Version::ALL.to_vec())
}

/// Where to cut a stream.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    vec(any::<prop::sample::Index>(), 0..8)
}

/// `stream` in pieces; some may be empty.
pub(crate) fn cut<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

fn line_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\r\r\n")]
}

fn command() -> impl Strategy<Value = String> {
    let known = select(COMMANDS.to_vec()).prop_map(|command| command.as_str().to_owned());
    prop_oneof![30 => known, 1 => "[A-Z]{0,5}", 1 => Just("send".to_owned()), 1 => Just(" SEND".to_owned())]
}

fn header() -> impl Strategy<Value = String> {
    let word = "([a-z가 /\r]|\\\\[ncr\\\\]){1,4}";
    let plain = (word, word).prop_map(|(name, value)| format!("{name}:{value}"));
    let length =
        prop_oneof![4 => "[0-9]", 1 => "[0-9 +-]{0,3}", 1 => Just("99999999999999999999".to_owned())];
    prop_oneof![
        8 => plain,
        3 => length.prop_map(|length| format!("content-length:{length}")),
        1 => "[a-z:]{0,4}",
        1 => "[a-z:\\\\tnc]{0,6}",
        1 => Just("a:".to_owned()),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => vec(1..=255u8, 0..10), 1 => vec(any::<u8>(), 0..10), 1 => Just(b"\n\n\0SEND\n".to_vec())]
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let right_length = any::<bool>();
    (command(), vec(header(), 0..4), line_end(), body(), right_length, "\n{0,2}").prop_map(
        |(command, headers, line_end, body, right_length, behind)| {
            let right = right_length.then(|| format!("content-length:{}", body.len()));
            let lines = std::iter::once(command).chain(right).chain(headers);
            let head: String = lines.flat_map(|line| [line, line_end.to_owned()]).collect();
            [head.as_bytes(), line_end.as_bytes(), &body, b"\0", behind.as_bytes()].concat()
        },
    )
}

/// Frames, of which a byte may be changed, put in or lost.
pub(crate) fn stream() -> impl Strategy<Value = Vec<u8>> {
    let change = prop::option::weighted(
        0.3,
        (any::<prop::sample::Index>(), select(b"\0\n\r:\\ A9\xff".to_vec()), 0..3u8),
    );
    (vec(frame(), 1..4), change).prop_map(|(frames, change)| {
        let mut stream = frames.concat();
        if let Some((at, byte, how)) = change {
            let at = at.index(stream.len());
            match how {
                0 => stream[at] = byte,
                1 => stream.insert(at, byte),
                _ => drop(stream.remove(at)),
            }
        }
        stream
    })
}

/// Bytes that mean something, in any order.
pub(crate) fn noise() -> impl Strategy<Value = Vec<u8>> {
    let words = select(vec![
        &b"SEND"[..],
        b"ACK",
        b"CONNECT",
        b"\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b"\0",
        b":",
        b"a",
        b"\\n",
        b"\\r",
        b"\\c",
        b"\\\\",
        b"\\",
        b"content-length:1\n",
        b"\xff",
        b"\xea\xb0\x80",
    ]);
    prop_oneof![3 => vec(words, 0..16).prop_map(|words| words.concat()), 1 => vec(any::<u8>(), 0..24)]
}
