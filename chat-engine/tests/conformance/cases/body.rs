//! "Body", "Header content-length", "Header content-type".

use crate::{requirements::Version, stage::Stage};

pub(crate) fn other_frames_have_none(stage: &Stage) {
    let topic = stage.topic();
    let frames = [
        format!("SUBSCRIBE\nid:s\ndestination:{topic}\n\nbody^@"),
        "BEGIN\ntransaction:t\n\nbody^@".to_owned(),
        "DISCONNECT\nreceipt:bye\n\nbody^@".to_owned(),
    ];
    for frame in frames {
        let mut client = stage.connect();
        client.say(&frame);
        client.error();
    }
}

pub(crate) fn the_body_of_subscribe_is_ignored(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.say_and_wait(&format!("SUBSCRIBE\ndestination:{topic}\nreceipt:done\n\nwhatever^@"));
    client.send(&topic, "hello");
    assert_eq!(client.message().text(), "hello");
}

pub(crate) fn it_ends_at_the_first_nul(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let send = |body| format!("SEND\ndestination:{topic}\n\n{body}^@");
    speaker.say(&format!("{}{}", send("hello queue a\n"), send("b")));
    assert_eq!(listener.message().text(), "hello queue a\n");
    assert_eq!(listener.message().text(), "b");
}

pub(crate) fn content_length_counts_octets(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    for body in ["^@", "a^@^@b\n^@\n", "값^@", ""] {
        let body = body.replace("^@", "\0");
        speaker.say(&format!("SEND\ndestination:{topic}\ncontent-length:{}\n\n{body}^@", body.len()));
        let message = listener.message();
        assert_eq!(message.text(), body);
    }
}

pub(crate) fn a_nul_follows_the_counted_octets(stage: &Stage) {
    for (length, body) in [(2, "abc"), (1, "ab")] {
        let mut client = stage.connect();
        client.say(&format!("SEND\ndestination:{}\ncontent-length:{length}\n\n{body}^@", stage.topic()));
        client.error();
    }
}

pub(crate) fn content_length_is_a_number(stage: &Stage) {
    for length in ["many", "-1", "1.5", "0x1", "+1", ""] {
        let mut client = stage.connect();
        client.say(&format!("SEND\ndestination:{}\ncontent-length:{length}\n\na^@", stage.topic()));
        client.error();
    }
}

pub(crate) fn every_frame_may_have_a_content_length(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect_with(stage.version, "content-length:0\n");
    client.subscribe("s", &topic, "content-length:0\n");
    client.say_and_wait("BEGIN\ntransaction:t\ncontent-length:0\nreceipt:done\n\n^@");
    client.say_and_wait("ABORT\ntransaction:t\ncontent-length:0\nreceipt:done\n\n^@");
    client.say_and_wait("DISCONNECT\ncontent-length:0\nreceipt:done\n\n^@");
}

pub(crate) fn messages_have_a_content_length(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    for body in ["hello", "값"] {
        speaker.say(&format!("SEND\ndestination:{topic}\n\n{body}^@"));
        assert_eq!(listener.message().needs("content-length"), body.len().to_string());
    }
}

pub(crate) fn messages_with_nuls_have_a_content_length(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.say(&format!("SEND\ndestination:{topic}\ncontent-length:3\n\n^@a^@^@"));
    let message = listener.message();
    assert_eq!((message.needs("content-length"), &*message.body), ("3", &b"\0a\0"[..]));
}

pub(crate) fn content_type_passes_through(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    for kind in ["text/plain", "application/xml;charset=utf-8", "image/png"] {
        speaker.say(&format!("SEND\ndestination:{topic}\ncontent-type:{kind}\n\nx^@"));
        assert_eq!(listener.message().needs("content-type"), kind);
    }
}

pub(crate) fn a_body_without_a_type_is_a_blob(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let blob = [0xff, 0x00, 0xfe, 0x0a, 0x80];
    let head = format!("SEND\ndestination:{topic}\ncontent-length:{}\n\n", blob.len());
    speaker.say_bytes(&[head.as_bytes(), &blob, b"\0"].concat());
    let message = listener.message();
    assert_eq!(message.body, blob);
    assert_eq!(message.header("content-type"), None, "nobody knows what it is");
    assert!(!listener.last_was_text, "what is not UTF-8 comes in a binary message");
}

pub(crate) fn bodies_are_not_recoded(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let utf_16: Vec<u8> = "값".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let head = format!(
        "SEND\ndestination:{topic}\ncontent-type:text/html;charset=utf-16\ncontent-length:{}\n\n",
        utf_16.len()
    );
    speaker.say_bytes(&[head.as_bytes(), &utf_16, b"\0"].concat());
    let message = listener.message();
    assert_eq!((message.needs("content-type"), message.body.clone()), ("text/html;charset=utf-16", utf_16));
}

pub(crate) fn utf_8_passes_through(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair_with(Version::V12);
    let text = "안녕 grüß 😀\u{feff}\u{0301}";
    speaker.send(&topic, text);
    assert_eq!(listener.message().text(), text);
}
