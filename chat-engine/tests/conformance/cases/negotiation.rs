//! "Protocol Negotiation".

use crate::{client::Client, stage::Stage};

/// A client without a sub-protocol that has said which versions it takes.
fn asks_for(stage: &Stage, versions: &str) -> Client {
    let mut client = Client::open(stage.addr(), None);
    client.say(&format!("CONNECT\n{versions}host:test\nAuthorization:Bearer {}\n\n^@", stage.token()));
    client
}

#[track_caller]
fn check(stage: &Stage, versions: &str, agreed: &str) {
    let connected = asks_for(stage, versions).expect("CONNECTED");
    // 1.0 itself has no such header.
    assert_eq!(connected.header("version").unwrap_or("1.0"), agreed, "{versions}");
}

pub(crate) fn a_missing_accept_version_means_1_0(stage: &Stage) {
    check(stage, "", "1.0");
}

pub(crate) fn the_highest_common_version_is_taken(stage: &Stage) {
    for (versions, agreed) in [
        ("1.0,1.1,2.0", "1.1"),
        ("1.0", "1.0"),
        ("1.1", "1.1"),
        ("1.2", "1.2"),
        ("1.0,1.1,1.2", "1.2"),
        ("1.0,1.2", "1.2"),
        ("1.0,9.9", "1.0"),
    ] {
        check(stage, &format!("accept-version:{versions}\n"), agreed);
    }
}

pub(crate) fn the_order_does_not_matter(stage: &Stage) {
    check(stage, "accept-version:1.2,1.1,1.0\n", "1.2");
    check(stage, "accept-version:2.0,1.1,1.0\n", "1.1");
}

pub(crate) fn the_session_keeps_to_it(stage: &Stage) {
    // `\r` is an escape of 1.2 and an error in 1.1.
    for (versions, known) in [("1.0,1.1,1.2", true), ("1.0,1.1", false)] {
        let mut client = asks_for(stage, &format!("accept-version:{versions}\n"));
        client.expect("CONNECTED");
        client.say(&format!("SEND\ndestination:{}\nx:\\r\nreceipt:done\n\n^@", stage.topic()));
        if known {
            client.receipt("done");
        } else {
            client.error();
        }
    }
}

pub(crate) fn no_common_version_is_an_error(stage: &Stage) {
    for versions in ["2.0", "0.9,3.1", "12", ""] {
        let mut client = asks_for(stage, &format!("accept-version:{versions}\n"));
        let error = client.error();
        let mut known: Vec<_> = error.needs("version").split(',').collect();
        known.sort_unstable();
        assert_eq!(known, ["1.0", "1.1", "1.2"], "{error:?}");
        assert_eq!(error.needs("content-type"), "text/plain");
        assert!(known.iter().all(|version| error.text().contains(version)), "{:?}", error.text());
    }
}
