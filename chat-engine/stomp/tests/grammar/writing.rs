//! What is written is read again, and nothing can break out of its header.

use bytes::BytesMut;
use proptest::{collection::vec, prelude::*, sample::select};
use stomp::{Command, Version, encode};

use crate::{
    inputs::version,
    reference::{self, COMMANDS, End},
};

type Headers = Vec<(String, String)>;

fn write(version: Version, command: Command, headers: &Headers, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let headers = headers.iter().map(|(name, value)| (&**name, &**value));
    encode(&mut out, version, command, headers, body);
    out
}

const fn is_escaped(command: Command) -> bool {
    !matches!(command, Command::Connect | Command::Stomp | Command::Connected)
}

/// What a frame of this version can have in a header (STOMP 1.0, 1.1, 1.2 "Value Encoding").
fn can_be_written(version: Version, command: Command, (name, value): &(String, String)) -> bool {
    let escapes = if is_escaped(command) { version } else { Version::V10 };
    let none_of = |text: &str, bytes: &[char]| !text.contains(bytes);
    let name_fits = match escapes {
        Version::V10 => none_of(name, &[':', '\n']),
        _ => true,
    };
    let value_fits = match escapes {
        Version::V10 => none_of(value, &['\n']) && (version < Version::V12 || !value.ends_with('\r')),
        _ => true,
    };
    name_fits && value_fits && !name.is_empty() && name != "content-length"
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c:\\\\\n\r ncr]{0,6}", "[ -~가-힣🦀\n\r]{0,8}", "[a-z-]{1,12}"]
}

fn headers() -> impl Strategy<Value = Headers> {
    vec((text(), text()), 0..4)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..20), "[a-z\n가]{0,10}".prop_map(String::into_bytes)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_a_version_can_express_is_read_back(
        version in version(), command in select(COMMANDS.to_vec()), headers in headers(), body in body(),
    ) {
        let headers: Headers =
            headers.into_iter().filter(|header| can_be_written(version, command, header)).collect();
        let written = write(version, command, &headers, &body);
        let (frames, end) = reference::read(version, &written);
        prop_assert_eq!(end, End::BetweenFrames);
        let [frame] = &frames[..] else { return Err(TestCaseError::fail(format!("{frames:?}"))) };
        prop_assert_eq!((&*frame.command, &frame.body), (command.as_str(), &body));
        let mut expected = headers;
        if !body.is_empty() {
            expected.push(("content-length".into(), body.len().to_string()));
        }
        prop_assert_eq!(&frame.headers, &expected);
    }

    /// Whatever a version cannot express is left out; it never becomes a header that nobody wrote, nor a frame.
    #[test]
    fn no_header_breaks_out(
        version in version(),
        command in select(COMMANDS.to_vec()),
        headers in vec(("[a-b:\\\\\n\r\0]{1,6}", "[a-b:\\\\\n\r\0]{0,6}"), 0..4),
        body in body(),
    ) {
        let written = write(version, command, &headers, &body);
        let (frames, end) = reference::read(version, &written);
        prop_assert_eq!(end, End::BetweenFrames, "{:?}", written);
        let [frame] = &frames[..] else { return Err(TestCaseError::fail(format!("{frames:?}"))) };
        prop_assert_eq!(&frame.body, &body);
        let is_ours = |name: &str| name == "content-length" || headers.iter().any(|(ours, _)| ours == name);
        for (name, _) in &frame.headers {
            prop_assert!(is_ours(name), "{} of {:?}", name, headers);
        }
    }
}

/// One who may choose a header's name cannot forge another, not even for a subscriber of 1.0.
#[test]
fn a_name_that_cannot_be_written_is_not_written_as_another() {
    for name in ["message-id:7", "message\n-id", "message-id\0", ":", "\n"] {
        let headers = vec![(name.to_owned(), "x".to_owned())];
        let (frames, end) =
            reference::read(Version::V10, &write(Version::V10, Command::Message, &headers, b""));
        assert_eq!((end, frames[0].headers.len()), (End::BetweenFrames, 0), "{name:?}");
    }
}
