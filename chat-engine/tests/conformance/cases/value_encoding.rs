//! "Value Encoding".

use crate::{requirements::Version, stage::Stage};

/// What a listener of `version` reads in the line of a header that the stage's version wrote as `line`.
fn relayed(stage: &Stage, line: &str, version: Version) -> Vec<String> {
    let (mut speaker, mut listener, topic) = stage.pair_with(version);
    speaker.say(&format!("SEND\ndestination:{topic}\n{line}\n\n^@"));
    listener.message().lines
}

#[track_caller]
fn check(stage: &Stage, line: &str, version: Version, expected: &str) {
    let lines = relayed(stage, line, version);
    assert!(lines.iter().any(|line| line == expected), "{line:?} became none of {lines:?} in {version:?}");
}

pub(crate) fn n_is_a_line_feed(stage: &Stage) {
    check(stage, r"x:a\nb", stage.version, r"x:a\nb");
    // Had it stayed as it was, its backslash would be doubled here.
    check(
        stage,
        r"x:a\nb",
        if stage.version == Version::V11 { Version::V12 } else { Version::V11 },
        r"x:a\nb",
    );
}

pub(crate) fn c_is_a_colon(stage: &Stage) {
    check(stage, r"x:a\cb", stage.version, r"x:a\cb");
    // 1.0 has no escapes: it shows what was understood.
    check(stage, r"x:a\cb", Version::V10, "x:a:b");
}

pub(crate) fn a_double_backslash_is_one(stage: &Stage) {
    check(stage, r"x:a\\nb", stage.version, r"x:a\\nb");
    check(stage, r"x:a\\nb", Version::V10, r"x:a\nb");
}

pub(crate) fn r_is_a_carriage_return(stage: &Stage) {
    check(stage, r"x:a\rb", Version::V12, r"x:a\rb");
    // 1.1 has no escape for it.
    check(stage, r"x:a\rb", Version::V11, "x:a\rb");
}

pub(crate) fn names_are_unescaped_too(stage: &Stage) {
    check(stage, r"a\cb:c", stage.version, r"a\cb:c");
    check(stage, r"a\\b:c", Version::V10, r"a\b:c");
}

pub(crate) fn undefined_escapes_are_fatal(stage: &Stage) {
    let mut undefined = vec![r"x:\t", r"x:\N", r"x:\0", r"x:a\ b", r"x:\", r"\x:a"];
    if stage.version == Version::V11 {
        undefined.push(r"x:\r");
    }
    for line in undefined {
        let topic = stage.topic();
        let mut client = stage.connect();
        client.subscribe("s", &topic, "");
        client.say(&format!("SEND\ndestination:{topic}\n{line}\n\n^@"));
        client.error();
    }
}

pub(crate) fn headers_are_escaped_on_the_way_out(stage: &Stage) {
    let topic = stage.topic();
    let (mut listener, mut speaker) = (stage.connect(), stage.connect_in(Version::V10));
    listener.subscribe("s", &topic, "");
    // 1.0 says what it means, and a carriage return too.
    speaker.say(&format!("SEND\ndestination:{topic}\nx:a:b\\n\ny:c\rd\n\n^@"));
    let message = listener.message();
    assert!(message.has_line(r"x:a\cb\\n"), "{message:?}");
    let carriage_return = if stage.version == Version::V12 { r"y:c\rd" } else { "y:c\rd" };
    assert!(message.has_line(carriage_return), "{message:?}");
}

pub(crate) fn server_headers_are_escaped_too(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe(r"a\cb\\\n", &topic, "");
    client.say(&format!("SEND\ndestination:{topic}\nreceipt:{}\n\n^@", r"c\cd\\"));
    assert!(client.receipt(r"c:d\").has_line(r"receipt-id:c\cd\\"));
    let message = client.message();
    assert!(message.has_line(r"subscription:a\cb\\\n"), "{message:?}");
    client.say(r"HELLO".to_owned().as_str());
    client.say("\nreceipt:e\\cf\n\n^@");
    // An unknown command's headers may be beyond reading; an id that is repeated is not.
    let error = client.error();
    assert!(error.header("receipt-id").is_none_or(|id| id == "e:f"), "{error:?}");
}

pub(crate) fn connect_is_not_unescaped(stage: &Stage) {
    // As an escape, none of these is defined.
    stage.connect_with(stage.version, "x:\\t\ny:a:b\nz:\\\n");
}

pub(crate) fn connected_is_not_escaped(stage: &Stage) {
    let mut client = stage.open();
    let version = stage.version.name();
    client.say(&format!(
        "CONNECT\naccept-version:{version}\nhost:a:b\\c\nlogin:c:d\nAuthorization:Bearer {}\n\n^@",
        stage.token()
    ));
    let connected = client.expect("CONNECTED");
    assert!(connected.lines.iter().all(|line| !line.contains('\\')), "{connected:?}");
}

pub(crate) fn nothing_is_escaped(stage: &Stage) {
    check(stage, r"x:a\nb\cc\\d\t", Version::V10, r"x:a\nb\cc\\d\t");
    check(stage, "x:a:b", Version::V10, "x:a:b");
    // A later version is told what was meant.
    check(stage, r"x:a\nb", Version::V12, r"x:a\\nb");
    check(stage, "x:a:b", Version::V12, r"x:a\cb");
}

pub(crate) fn receipts_are_not_escaped(stage: &Stage) {
    let mut client = stage.connect();
    client.say("BEGIN\ntransaction:t\nreceipt:a:b\\n\n\n^@");
    let receipt = client.expect("RECEIPT");
    assert!(receipt.has_line("receipt-id:a:b\\n"), "{receipt:?}");
}

pub(crate) fn headers_are_utf_8(stage: &Stage) {
    check(stage, "이름:값 é 😀", stage.version, "이름:값 é 😀");
}

pub(crate) fn headers_that_are_not_utf_8_are_refused(stage: &Stage) {
    let mut client = stage.connect();
    client.say_bytes(&[b"SEND\ndestination:/topic/x\ny:", &[0xff, 0xfe][..], b"\n\n\0"].concat());
    client.error();
}
