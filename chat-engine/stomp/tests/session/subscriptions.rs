//! SUBSCRIBE and UNSUBSCRIBE, by the ids of each version.

use stomp::Version;

use crate::conversation::Conversation;

fn subscribe(id: &str) -> String {
    format!("SUBSCRIBE\nid:{id}\ndestination:/topic/a\n\n\0")
}

#[test]
fn a_destination_may_be_followed_twice() {
    for version in Version::ALL {
        let mut conversation = Conversation::connected(version);
        assert_eq!(conversation.ask(&subscribe("a")), "subscribe a to /topic/a Auto");
        assert_eq!(conversation.ask(&subscribe("b")), "subscribe b to /topic/a Auto");
        assert_eq!(conversation.open(), ["a", "b"]);
        assert_eq!(conversation.ask("UNSUBSCRIBE\nid:a\nreceipt:r\n\n\0"), "unsubscribe a, receipt r");
        assert_eq!(conversation.open(), ["b"]);
        // The id is free again.
        assert_eq!(conversation.ask(&subscribe("a")), "subscribe a to /topic/a Auto");
    }
}

#[test]
fn an_id_is_taken_once() {
    for version in Version::ALL {
        let mut conversation = Conversation::connected(version);
        conversation.say(&subscribe("a"));
        assert_eq!(conversation.ask(&subscribe("a")), "fail: the subscription \"a\" is there already");
    }
}

#[test]
fn what_the_server_ended_may_be_unsubscribed_once() {
    for version in Version::ALL {
        let mut conversation = Conversation::connected(version);
        conversation.say(&subscribe("a"));
        assert_eq!(conversation.session.take_back(&"a".into()).as_deref(), Some("a"));
        assert_eq!(conversation.session.take_back(&"a".into()), None);
        assert_eq!(conversation.open(), [""; 0]);
        // The client's own end of it crossed the server's.
        assert_eq!(conversation.ask("UNSUBSCRIBE\nid:a\nreceipt:r\n\n\0"), "done, receipt r");
        // Its name is free, and stands for what has it now.
        conversation.say(&subscribe("a"));
        conversation.session.take_back(&"a".into());
        conversation.say(&subscribe("a"));
        assert_eq!(conversation.ask("UNSUBSCRIBE\nid:a\n\n\0"), "unsubscribe a");
        let again = conversation.ask("UNSUBSCRIBE\nid:a\n\n\0");
        assert_eq!(again, "fail: there is no subscription \"a\"");
    }
}

#[test]
fn only_1_0_does_without_an_id() {
    let without = "SUBSCRIBE\ndestination:/topic/a\nreceipt:r\n\n\0";
    for version in [Version::V11, Version::V12] {
        let did = Conversation::connected(version).ask(without);
        assert_eq!(did, "fail: SUBSCRIBE needs the header \"id\", receipt r");
        let mut conversation = Conversation::connected(version);
        conversation.say(&subscribe("a"));
        let by_destination = "UNSUBSCRIBE\ndestination:/topic/a\n\n\0";
        assert_eq!(conversation.ask(by_destination), "fail: UNSUBSCRIBE needs the header \"id\"");
    }
    let mut old = Conversation::connected(Version::V10);
    assert_eq!(old.ask(without), "subscribe /topic/a to /topic/a Auto, receipt r");
    assert_eq!(old.ask("UNSUBSCRIBE\ndestination:/topic/a\n\n\0"), "unsubscribe /topic/a");
}

#[test]
fn only_1_0_has_values_padded_with_spaces() {
    let mut old = Conversation::connected(Version::V10);
    let padded = "SUBSCRIBE\ndestination: /topic/a \nack: client\n\n\0";
    assert_eq!(old.ask(padded), "subscribe /topic/a to /topic/a Client");
    assert_eq!(old.ask("SEND\ndestination: /a\ncontent-length: 3\n\na\0b\0"), "send /a a\0b");
    // Later versions forbid to trim them.
    let mut conversation = Conversation::connected(Version::V12);
    let padded = "SUBSCRIBE\nid: a\ndestination: /topic/a\n\n\0";
    assert_eq!(conversation.ask(padded), "subscribe  a to  /topic/a Auto");
    let padded = conversation.ask("SEND\ndestination:/a\ncontent-length: 1\n\nx\0");
    assert_eq!(padded, "fail: content-length \" 1\" is not a number of bytes");
}

#[test]
fn a_destination_is_needed() {
    for version in Version::ALL {
        let did = Conversation::connected(version).ask("SUBSCRIBE\nid:a\n\n\0");
        assert_eq!(did, "fail: SUBSCRIBE needs the header \"destination\"");
        let did = Conversation::connected(version).ask("SEND\n\nx\0");
        assert_eq!(did, "fail: SEND needs the header \"destination\"");
    }
}

#[test]
fn subscriptions_are_bounded() {
    let mut conversation = Conversation::connected(Version::V12);
    for id in ["a", "b", "c"] {
        conversation.say(&subscribe(id));
    }
    assert_eq!(conversation.ask(&subscribe("d")), "fail: a connection may have 3 subscriptions at a time");
    // Whoever serves them has to end them all.
    assert_eq!(conversation.session.end(), ["a", "b", "c"]);
    assert_eq!(conversation.open(), [""; 0]);
}

#[test]
fn a_subscription_that_is_not_there_cannot_end() {
    let mut conversation = Conversation::connected(Version::V12);
    assert_eq!(conversation.ask("UNSUBSCRIBE\nid:a\n\n\0"), "fail: there is no subscription \"a\"");
}

#[test]
fn ack_is_one_of_three() {
    for (ack, read) in [("auto", "Auto"), ("client", "Client"), ("client-individual", "ClientIndividual")] {
        let mut conversation = Conversation::connected(Version::V12);
        let did = conversation.ask(&format!("SUBSCRIBE\nid:a\ndestination:/a\nack:{ack}\n\n\0"));
        assert_eq!(did, format!("subscribe a to /a {read}"));
        assert_eq!(conversation.is_answered("a"), ack != "auto");
    }
    let mut conversation = Conversation::connected(Version::V12);
    let did = conversation.ask("SUBSCRIBE\nid:a\ndestination:/a\nack:sometimes\n\n\0");
    assert_eq!(did, "fail: ack \"sometimes\" is none of auto, client and client-individual");
}
