//! What the fuzzer found worth trying is tried by every `cargo test`, without a fuzzer.

use std::path::Path;

fn replay(target: &str, attempt: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut tried = 0;
    for file in folder.read_dir().expect("the corpus is in the repository") {
        let path = file.expect("a folder can be read").path();
        attempt(&std::fs::read(path).expect("a file can be read"));
        tried += 1;
    }
    assert!(tried > 0, "the corpus of {target} is empty");
}

#[test]
fn codec() {
    replay("codec", fuzz::codec);
}

#[test]
fn websocket() {
    replay("websocket", fuzz::websocket);
}

#[test]
fn session() {
    replay("session", fuzz::session);
}

#[test]
fn connection() {
    replay("connection", fuzz::connection);
}
