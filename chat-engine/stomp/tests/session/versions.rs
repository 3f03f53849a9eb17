//! Which version is spoken, and by whom it is decided.

use stomp::Version;

use crate::conversation::{Conversation, settings};

fn agreed(sub_protocol: Option<Version>, headers: &str) -> Result<Version, String> {
    let mut conversation = Conversation::new(settings(), sub_protocol);
    let did = conversation.ask(&format!("CONNECT\n{headers}\n\0"));
    if did.starts_with("fail") { Err(did) } else { Ok(conversation.session.accept(conversation.now)) }
}

#[test]
fn the_newest_that_both_speak() {
    use Version::{V10, V11, V12};
    let cases = [
        ("accept-version:1.0,1.1,1.2\n", V12),
        ("accept-version:1.2,1.1,1.0\n", V12),
        ("accept-version:1.0,1.1\n", V11),
        ("accept-version:1.1 , 1.0\n", V11),
        ("accept-version:2.0,1.0,1.3\n", V10),
        // STOMP 1.2 "CONNECT": `accept-version` tells it apart from 1.0, which had none.
        ("", V10),
        ("host:localhost\n", V10),
    ];
    for (headers, version) in cases {
        assert_eq!(agreed(None, headers), Ok(version), "{headers}");
    }
}

#[test]
fn no_version_in_common_is_refused_with_those_that_are_spoken() {
    for headers in
        ["accept-version:1.3\n", "accept-version:2.0,3.0\n", "accept-version:\n", "accept-version:1\n"]
    {
        let refused = agreed(None, headers).unwrap_err();
        assert_eq!(refused, "fail: supported protocol versions are 1.0,1.1,1.2", "{headers}");
    }
}

#[test]
fn a_sub_protocol_decides_if_the_client_speaks_it() {
    use Version::{V10, V11, V12};
    for version in Version::ALL {
        assert_eq!(agreed(Some(version), "accept-version:1.0,1.1,1.2\n"), Ok(version));
    }
    // Who does not know the sub-protocol of its own library is taken at CONNECT's word.
    assert_eq!(agreed(Some(V12), "accept-version:1.0,1.1\n"), Ok(V11));
    assert_eq!(agreed(Some(V11), ""), Ok(V10));
    assert!(agreed(Some(V12), "accept-version:7\n").is_err());
}

#[test]
fn sub_protocols_have_the_registered_names() {
    let names = Version::ALL.map(Version::subprotocol);
    assert_eq!(names, ["v12.stomp", "v11.stomp", "v10.stomp"]);
    assert_eq!(names.map(Version::from_subprotocol), Version::ALL.map(Some));
    assert_eq!(Version::from_subprotocol("stomp"), None);
}

#[test]
fn what_comes_behind_connect_is_read_in_the_version_agreed_on() {
    let send = "SEND\ndestination:a\\cb\n\n\0";
    for (version, destination) in [("1.0", "a\\cb"), ("1.1", "a:b"), ("1.2", "a:b")] {
        let mut conversation = Conversation::new(settings(), None);
        let together = format!("CONNECT\naccept-version:{version}\n\n\0\n{send}");
        assert_eq!(conversation.say(&together), [format!("authenticate {version}")]);
        assert_eq!(conversation.accept(), [format!("send {destination} ")], "{version}");
    }
}

#[test]
fn line_ends_and_escapes_are_those_of_the_version() {
    let said = |version, text: &str| Conversation::connected(version).ask(text);
    let crlf = "SEND\r\ndestination:/a\r\n\r\nx\0";
    assert_eq!(said(Version::V12, crlf), "send /a x");
    assert!(said(Version::V11, crlf).starts_with("fail"));
    assert!(said(Version::V10, crlf).starts_with("fail"));
    assert!(said(Version::V11, "SEND\ndestination:/a\n\r\nx\0").starts_with("fail"));
    // In 1.0 and 1.1 a carriage return is an octet as others.
    assert_eq!(said(Version::V11, "SEND\ndestination:/a\r\n\n\0"), "send /a\r ");
    let escaped_cr = "SEND\ndestination:/a\\r\n\n\0";
    assert_eq!(said(Version::V12, escaped_cr), "send /a\r ");
    assert!(said(Version::V11, escaped_cr).starts_with("fail: the header line"));
    assert_eq!(said(Version::V10, escaped_cr), "send /a\\r ");
}

#[test]
fn what_a_version_does_not_have_is_refused() {
    let mut old = Conversation::connected(Version::V10);
    assert_eq!(old.ask("NACK\nmessage-id:1\n\n\0"), "fail: STOMP 1.0 has no NACK");
}
