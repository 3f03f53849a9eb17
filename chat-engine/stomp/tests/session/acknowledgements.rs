//! ACK and NACK, as each version writes them.

use stomp::Version;

use crate::conversation::Conversation;

/// A client of this version with a subscription `s` that was sent the messages 10 to 50.
fn delivered(version: Version, ack: &str) -> Conversation {
    let mut conversation = Conversation::connected(version);
    conversation.say(&format!("SUBSCRIBE\nid:s\ndestination:/a\nack:{ack}\n\n\0"));
    conversation.deliver("s", [10, 20, 30, 40, 50]);
    conversation
}

/// ACK or NACK of a message in the words of `version`.
fn answer(version: Version, command: &str, message: &str) -> String {
    match version {
        Version::V10 => format!("{command}\nmessage-id:{message}\n\n\0"),
        Version::V11 => format!("{command}\nsubscription:s\nmessage-id:{message}\n\n\0"),
        Version::V12 => format!("{command}\nid:{message}@s\n\n\0"),
    }
}

#[test]
fn client_is_cumulative() {
    for version in Version::ALL {
        let mut conversation = delivered(version, "client");
        assert_eq!(conversation.ask(&answer(version, "ACK", "30")), "answered s through 30");
        assert_eq!(conversation.waiting("s"), 2);
        assert_eq!(conversation.ask(&answer(version, "ACK", "50")), "answered s through 50");
        assert_eq!(conversation.waiting("s"), 0);
    }
}

#[test]
fn client_individual_is_not() {
    for version in Version::ALL {
        let mut conversation = delivered(version, "client-individual");
        assert_eq!(conversation.ask(&answer(version, "ACK", "20")), "answered s");
        assert_eq!(conversation.waiting("s"), 4);
        // Now everything up to 20 was consumed.
        assert_eq!(conversation.ask(&answer(version, "ACK", "10")), "answered s through 20");
        assert_eq!(conversation.waiting("s"), 3);
    }
}

#[test]
fn what_was_refused_was_not_consumed() {
    for version in [Version::V11, Version::V12] {
        let mut conversation = delivered(version, "client-individual");
        assert_eq!(conversation.ask(&answer(version, "NACK", "10")), "answered s");
        assert_eq!(conversation.waiting("s"), 4);
        assert_eq!(conversation.ask(&answer(version, "ACK", "20")), "answered s");
        let mut conversation = delivered(version, "client");
        assert_eq!(conversation.ask(&answer(version, "NACK", "30")), "answered s");
        assert_eq!(conversation.waiting("s"), 2);
    }
}

#[test]
fn an_answer_may_be_given_again() {
    for ack in ["client", "client-individual"] {
        for command in ["ACK", "NACK"] {
            let mut conversation = delivered(Version::V12, ack);
            conversation.ask(&answer(Version::V12, command, "10"));
            assert_eq!(conversation.ask(&answer(Version::V12, command, "10")), "answered s");
            assert_eq!(conversation.waiting("s"), 4);
        }
    }
}

#[test]
fn what_was_never_delivered_cannot_be_answered() {
    for version in Version::ALL {
        for message in ["51", "18446744073709551616", "x", ""] {
            let did = delivered(version, "client").ask(&answer(version, "ACK", message));
            let refused =
                format!("fail: no message {message:?} was delivered that waits for an acknowledgement");
            assert_eq!(did, refused);
        }
    }
}

#[test]
fn a_subscription_with_ack_auto_is_not_answered() {
    for version in Version::ALL {
        let mut conversation = Conversation::connected(version);
        conversation.say("SUBSCRIBE\nid:s\ndestination:/a\n\n\0");
        assert!(conversation.ask(&answer(version, "ACK", "10")).starts_with("fail: no message \"10\""));
    }
}

#[test]
fn each_version_needs_its_headers() {
    let needs = |version, text: &str, header: &str| {
        let did = delivered(version, "client").ask(text);
        assert_eq!(did, format!("fail: ACK needs the header {header:?}"));
    };
    needs(Version::V12, "ACK\nmessage-id:10\nsubscription:s\n\n\0", "id");
    needs(Version::V11, "ACK\nmessage-id:10\n\n\0", "subscription");
    needs(Version::V11, "ACK\nsubscription:s\n\n\0", "message-id");
    needs(Version::V10, "ACK\nid:10@s\n\n\0", "message-id");
    let did = delivered(Version::V12, "client").ask("ACK\nid:10\n\n\0");
    assert_eq!(did, "fail: there is no message \"10\" to acknowledge");
}

#[test]
fn an_unknown_subscription_is_named() {
    for (version, text) in [
        (Version::V12, "ACK\nid:10@x\n\n\0"),
        (Version::V11, "ACK\nsubscription:x\nmessage-id:10\n\n\0"),
        (Version::V10, "ACK\nsubscription:x\nmessage-id:10\n\n\0"),
    ] {
        assert_eq!(delivered(version, "client").ask(text), "fail: there is no subscription \"x\"");
    }
}

#[test]
fn the_subscriptions_id_may_hold_the_separator() {
    let mut conversation = Conversation::connected(Version::V12);
    conversation.say("SUBSCRIBE\nid:a@b\ndestination:/a\nack:client\n\n\0");
    conversation.deliver("a@b", [7]);
    assert_eq!(conversation.ask("ACK\nid:7@a@b\nreceipt:r\n\n\0"), "answered a@b through 7, receipt r");
}

#[test]
fn in_1_0_a_message_is_found_whatever_its_subscription() {
    let mut conversation = Conversation::connected(Version::V10);
    for id in ["a", "b"] {
        conversation.say(&format!("SUBSCRIBE\nid:{id}\ndestination:/{id}\nack:client\n\n\0"));
    }
    conversation.deliver("b", [1]);
    conversation.deliver("a", [2]);
    assert_eq!(conversation.ask("ACK\nmessage-id:1\n\n\0"), "answered b through 1");
    assert_eq!(conversation.ask("ACK\nmessage-id:2\n\n\0"), "answered a through 2");
    assert_eq!((conversation.waiting("a"), conversation.waiting("b")), (0, 0));
}

#[test]
fn in_1_0_an_answer_given_again_is_not_taken_for_another() {
    let mut conversation = Conversation::connected(Version::V10);
    for id in ["a", "b"] {
        conversation.say(&format!("SUBSCRIBE\nid:{id}\ndestination:/{id}\nack:client\n\n\0"));
    }
    conversation.deliver("a", [1, 3]);
    conversation.deliver("b", [2]);
    assert_eq!(conversation.ask("ACK\nmessage-id:2\n\n\0"), "answered b through 2");
    assert_eq!(conversation.ask("ACK\nmessage-id:2\nreceipt:again\n\n\0"), "done, receipt again");
    assert_eq!(conversation.waiting("a"), 2);
    assert!(conversation.ask("ACK\nmessage-id:4\n\n\0").starts_with("fail: no message \"4\""));
}

#[test]
fn an_answer_may_cross_the_end_of_its_subscription() {
    for version in [Version::V11, Version::V12] {
        let mut conversation = delivered(version, "client-individual");
        conversation.say("UNSUBSCRIBE\nid:s\n\n\0");
        let late = answer(version, "ACK", "10").replacen('\n', "\nreceipt:late\n", 1);
        assert_eq!(conversation.ask(&late), "done, receipt late");
        // One that never was is another matter.
        let foreign = late.replace(":s\n", ":t\n").replace("@s", "@t");
        assert!(conversation.ask(&foreign).starts_with("fail: there is no subscription \"t\""));
    }
}
