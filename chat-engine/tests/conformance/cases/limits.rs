//! "Size Limits", "Connection Lingering".

use crate::{client::Client, stage::Stage};

pub(crate) fn too_many_headers(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("SEND\ndestination:{}\n{}\n^@", stage.topic(), "x:y\n".repeat(2000)));
    client.error();
}

pub(crate) fn too_long_a_header(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("SEND\ndestination:{}\nx:{}\n\n^@", stage.topic(), "y".repeat(50_000)));
    client.error();
}

pub(crate) fn too_long_a_body(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("SEND\ndestination:{}\n\n{}^@", stage.topic(), "y".repeat(4_000_000)));
    client.error();
}

pub(crate) fn too_long_a_body_in_pieces(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("SEND\ndestination:{}\n\n", stage.topic()));
    for _ in 0..400 {
        client.say(&"y".repeat(10_000));
    }
    client.error();
}

pub(crate) fn too_long_a_body_announced(stage: &Stage) {
    for length in ["4000000", "18446744073709551615", "99999999999999999999999"] {
        let mut client = stage.connect();
        client.say(&format!("SEND\ndestination:{}\ncontent-length:{length}\n\n", stage.topic()));
        client.error();
    }
}

pub(crate) fn clients_may_come_and_go_fast(stage: &Stage) {
    for _ in 0..100 {
        drop(Client::open(stage.addr(), Some(stage.version)));
    }
    let token = stage.token();
    for _ in 0..50 {
        let mut client = stage.open();
        // Gone before the answer comes.
        client.say(&format!("CONNECT\naccept-version:1.0,1.1,1.2\nhost:test\npasscode:{token}\n\n^@"));
    }
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.send(&topic, "still here");
    assert_eq!(listener.message().text(), "still here");
}
