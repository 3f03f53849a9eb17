//! Cutting a stream.

/// `bytes` in pieces of 1 to `longest` bytes; all of it in one for zero.
pub(crate) fn pieces(bytes: &[u8], longest: u8) -> impl Iterator<Item = &[u8]> {
    let longest = usize::from(longest);
    let mut rest = bytes;
    let mut state = longest;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // A generator with the full period of a byte: one number tells both how long pieces are and how they vary.
        state = (state * 5 + 7) % 256;
        let length = if longest == 0 { rest.len() } else { 1 + state % longest };
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        Some(piece)
    })
}
