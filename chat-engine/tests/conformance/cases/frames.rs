//! "STOMP Frames", "Augmented BNF", "Repeated Header Entries".

use crate::{client::Next, frame::Item, requirements::Version, stage::Stage};

pub(crate) fn commands_are_case_sensitive(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("Send\ndestination:{}\n\n^@", stage.topic()));
    client.error();
}

pub(crate) fn header_names_are_case_sensitive(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("SEND\nDestination:{}\n\n^@", stage.topic()));
    client.error();
}

pub(crate) fn a_frame_may_have_no_headers(stage: &Stage) {
    let mut client = stage.connect();
    client.say("DISCONNECT\n\n^@");
    client.closed();
}

pub(crate) fn a_blank_line_ends_the_headers(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.say(&format!("SEND\ndestination:{topic}\n\n\nx:no header\n\n^@"));
    let message = listener.message();
    assert_eq!(message.text(), "\nx:no header\n\n");
    assert_eq!(message.header("x"), None);
}

pub(crate) fn line_feeds_may_follow_a_frame(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let send = |body: &str| format!("SEND\ndestination:{topic}\n\n{body}^@");
    speaker.say(&format!("{}\n\n\n\n{}\n", send("a"), send("b")));
    speaker.say("\n");
    speaker.say(&format!("\n{}", send("c")));
    assert_eq!(
        [listener.message(), listener.message(), listener.message()].map(|m| m.body),
        [b"a", b"b", b"c"]
    );
}

pub(crate) fn lines_may_end_with_cr_lf(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.open();
    let (version, token) = (stage.version.name(), stage.token());
    let crlf = |text: String| text.replace('\n', "\r\n");
    client.say(&crlf(format!(
        "CONNECT\naccept-version:{version}\nhost:test\nAuthorization:Bearer {token}\n\n^@\n\n"
    )));
    client.expect("CONNECTED");
    client.say(&crlf(format!("SUBSCRIBE\nid:s\ndestination:{topic}\nreceipt:1\n\n^@\n\n\n")));
    client.receipt("1");
    // The body's own line ends are nobody's business.
    client.say(&crlf(format!("SEND\ndestination:{topic}\nx:y\n\na\nb^@\n")));
    let message = client.message();
    assert_eq!((message.needs("destination"), message.needs("x")), (&*topic, "y"));
    assert_eq!(message.text(), "a\r\nb");
}

pub(crate) fn a_carriage_return_belongs_to_the_value(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.say(&format!("SEND\ndestination:{topic}\nx:y\r\n\nbody^@"));
    let message = listener.message();
    assert_eq!((message.needs("x"), message.text()), ("y\r", "body"));
}

pub(crate) fn a_header_line_has_a_colon(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("SEND\ndestination:{}\nnothing\n\n^@", stage.topic()));
    client.error();
}

pub(crate) fn a_header_has_a_name(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("SEND\ndestination:{}\n:nothing\n\n^@", stage.topic()));
    client.error();
}

pub(crate) fn a_header_may_be_empty(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.say(&format!("SEND\ndestination:{topic}\nx:\n\n^@"));
    assert_eq!(listener.message().header("x"), Some(""));
}

pub(crate) fn spaces_are_kept(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.say(&format!("SEND\ndestination:{topic}\nx:  two \n y :z\nreceipt: r \n\n^@"));
    let message = listener.message();
    assert!(message.has_line("x:  two "), "{message:?}");
    assert!(message.has_line(" y :z"), "{message:?}");
    assert!(speaker.receipt(" r ").has_line("receipt-id: r "));
}

pub(crate) fn spaces_of_an_id_are_kept(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe(" s ", &topic, "");
    client.send(&topic, "x");
    assert_eq!(client.message().needs("subscription"), " s ");
    // Another subscription than the one that exists.
    client.say("UNSUBSCRIBE\nid:s\n\n^@");
    client.error();
}

/// The examples of STOMP 1.0 as they are printed there, spaces and all.
pub(crate) fn values_may_be_padded(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.open();
    client.say(&format!("CONNECT\nlogin: somebody\npasscode:{}\n\n^@", stage.token()));
    client.expect("CONNECTED");
    client.say_and_wait(&format!("SUBSCRIBE\ndestination: {topic}\nack: client\nreceipt:done\n\n^@"));
    client.say("BEGIN\ntransaction: tx\n\n^@");
    client.say(&format!("SEND\ndestination:{topic}\ntransaction: tx\n\nhello^@"));
    client.say("COMMIT\ntransaction: tx\n\n^@");
    let message = client.message();
    let id = message.needs("message-id");
    client.say_and_wait(&format!("ACK\nmessage-id: {id}\nreceipt:done\n\n^@"));
    client.say_and_wait(&format!("UNSUBSCRIBE\ndestination: {topic}\nreceipt:done\n\n^@"));
}

pub(crate) fn frames_may_be_split_anywhere(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let frame = format!("SEND\ndestination:{topic}\ncontent-length:3\n\na^@b^@");
    // One byte is one character: `^@` is two of them, and one of the frame.
    let frame = frame.replace("^@", "\0");
    for at in 0..=frame.len() {
        let (head, rest) = frame.split_at(at);
        speaker.say(head);
        speaker.say(rest);
    }
    for _ in 0..=frame.len() {
        assert_eq!(listener.message().body, b"a\0b");
    }
}

pub(crate) fn frames_may_come_byte_by_byte(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let frame = format!("SEND\ndestination:{topic}\nx:안녕\n\nüber\0");
    for byte in frame.bytes() {
        // A part of a character is no text.
        speaker.say_bytes(&[byte]);
    }
    let message = listener.message();
    assert_eq!((message.needs("x"), message.text()), ("안녕", "über"));
}

pub(crate) fn frames_may_come_together(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let frames: Vec<_> = (0..50).map(|n| format!("SEND\ndestination:{topic}\n\n{n}\0")).collect();
    let frames = frames.concat();
    // Half of one of them comes later.
    let (most, rest) = frames.split_at(1000);
    speaker.say(most);
    speaker.say(rest);
    for n in 0..50 {
        assert_eq!(listener.message().text(), n.to_string());
    }
}

pub(crate) fn binary_messages_are_frames_too(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.say_bytes(format!("SEND\ndestination:{topic}\n\nhello\0").as_bytes());
    assert_eq!(listener.message().text(), "hello");
    assert!(listener.last_was_text, "a frame that is UTF-8 comes as text");
}

pub(crate) fn the_first_of_repeated_headers_counts(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.say(&format!(
        "SEND\ndestination:{topic}\ndestination:/nowhere\nreceipt:first\nreceipt:second\nx:World\nx:Hello\n\nhello^@"
    ));
    speaker.receipt("first");
    assert_eq!(listener.message().header("x"), Some("World"));
    // Nothing came for the second.
    speaker.send(&topic, "more");
}

pub(crate) fn the_first_content_length_counts(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.say(&format!("SEND\ndestination:{topic}\ncontent-length:3\ncontent-length:1\n\na^@b^@"));
    assert_eq!(listener.message().body, b"a\0b");
}

pub(crate) fn a_server_sends_its_own_frames_only(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe("s", &topic, "");
    client.send(&topic, "hello");
    client.message();
    client.say("HELLO\n\n^@");
    // The reader knows CONNECTED, MESSAGE, RECEIPT and ERROR, and nothing else.
    loop {
        match client.next() {
            Next::Item(Item::Frame(frame)) => assert_eq!(frame.command, "ERROR"),
            Next::Item(Item::LineEnd) | Next::Close(_) => {}
            Next::End => return,
        }
    }
}

pub(crate) fn unknown_commands_are_refused(stage: &Stage) {
    for frame in ["HELLO\n\n^@", "MESSAGE\ndestination:/topic/x\n\n^@", "CONNECTED\nversion:1.2\n\n^@"] {
        let mut client = stage.connect();
        client.say(frame);
        client.error();
    }
}

pub(crate) fn a_line_feed_of_1_2_forges_no_header_of_1_0(stage: &Stage) {
    let topic = stage.topic();
    let (mut listener, mut speaker) = (stage.connect(), stage.connect_in(Version::V12));
    listener.subscribe("s", &topic, "");
    speaker.say(&format!("SEND\ndestination:{topic}\nx:y\\nforged:yes\n\n^@"));
    speaker.send(&topic, "fence");
    let mut message = listener.message();
    if message.text() != "fence" {
        assert_eq!(message.header("forged"), None, "{message:?}");
        message = listener.message();
    }
    assert_eq!(message.text(), "fence");
}
