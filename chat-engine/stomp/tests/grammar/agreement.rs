//! The decoder reads what the grammars say, however its input is cut.

use proptest::{prelude::*, sample::Index};
use stomp::{DecodeError, Decoder, Limits, Version};

use crate::{
    inputs::{cut, cuts, noise, stream, version},
    reference::{self, End, Frame},
};

fn decode<'a>(
    version: Option<Version>,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Result<End, DecodeError>) {
    let mut decoder = Decoder::new(limits);
    if let Some(version) = version {
        decoder.set_version(version);
    }
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.decode() {
                Ok(None) => break,
                Ok(Some(frame)) => frames.push(Frame {
                    command: frame.command.as_str().to_owned(),
                    headers: frame.headers.iter().map(|(name, value)| (name.into(), value.into())).collect(),
                    body: frame.body.to_vec(),
                }),
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    let end = if decoder.is_mid_frame() { End::MidFrame } else { End::BetweenFrames };
    (frames, Ok(end))
}

fn agrees(version: Option<Version>, stream: &[u8], cuts: &[Index]) -> Result<(), TestCaseError> {
    // A decoder that has not been told its version yet reads as 1.2 does.
    let (frames, end) = reference::read(version.unwrap_or(Version::V12), stream);
    let whole = decode(version, Limits::default(), [stream]);
    prop_assert_eq!((&whole.0, whole.1.clone().unwrap_or(End::Wrong)), (&frames, end), "{:?}", &whole.1);
    prop_assert_eq!(&whole, &decode(version, Limits::default(), cut(stream, cuts)), "cut");
    prop_assert_eq!(&whole, &decode(version, Limits::default(), stream.chunks(1)), "byte by byte");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn streams_are_read_as_the_grammar_has_it(
        version in prop::option::weighted(0.9, version()), stream in stream(), cuts in cuts(),
    ) {
        agrees(version, &stream, &cuts)?;
    }

    #[test]
    fn noise_is_read_as_the_grammar_has_it(version in version(), noise in noise(), cuts in cuts()) {
        agrees(Some(version), &noise, &cuts)?;
    }

    /// Limits apply to the same bytes wherever they were cut, and to nothing that keeps them.
    #[test]
    fn limits_do_not_depend_on_pieces(
        version in version(),
        stream in prop_oneof![stream(), noise()],
        cuts in cuts(),
        frame_bytes in 1..80usize,
        header_bytes in 1..60usize,
        headers in 0..4usize,
    ) {
        let limits = Limits { frame_bytes, header_bytes, headers };
        let whole = decode(Some(version), limits, [&stream[..]]);
        prop_assert_eq!(&whole, &decode(Some(version), limits, cut(&stream, &cuts)));
        prop_assert_eq!(&whole, &decode(Some(version), limits, stream.chunks(1)));
        let (frames, _) = reference::read(version, &stream);
        prop_assert_eq!(&whole.0[..], &frames[..whole.0.len()]);
        prop_assert!(whole.0.iter().all(|frame| frame.headers.len() <= headers && frame.body.len() < frame_bytes));
    }
}

/// The same whichever byte comes last in its piece.
#[test]
fn a_limit_allows_what_it_says() {
    let frame = b"SEND\na:1\nb:2\n\nbody\0";
    let exact = Limits { frame_bytes: frame.len(), header_bytes: frame.len() - 5, headers: 2 };
    let told = |limits| {
        let whole = decode(Some(Version::V12), limits, [&frame[..]]);
        assert_eq!(whole, decode(Some(Version::V12), limits, frame.chunks(1)));
        whole.1
    };
    assert_eq!(told(exact), Ok(End::BetweenFrames));
    let Limits { frame_bytes, header_bytes, headers } = exact;
    let short = Limits { frame_bytes: frame_bytes - 1, ..exact };
    assert_eq!(told(short), Err(DecodeError::FrameTooLong(frame_bytes - 1)));
    let short = Limits { header_bytes: header_bytes - 1, ..exact };
    assert_eq!(told(short), Err(DecodeError::HeadersTooLong(header_bytes - 1)));
    let short = Limits { headers: headers - 1, ..exact };
    assert_eq!(told(short), Err(DecodeError::TooManyHeaders(1)));
}
