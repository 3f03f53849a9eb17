//! A frame that has begun must end.

use std::time::Duration;

use stomp::{
    Version,
    session::{Due, Late},
};

use crate::conversation::Conversation;

const SEND: &str = "SEND\ndestination:/a\n\nx\0";

#[test]
fn a_frame_is_given_its_time_and_no_more() {
    for beginning in
        ["S", "SEND\ndestination", "SEND\ndestination:/a\n\nhalf", "SEND\ncontent-length:9\n\n\0"]
    {
        let mut conversation = Conversation::connected(Version::V12);
        conversation.say(beginning);
        conversation.wait(29);
        assert_eq!((conversation.due(), conversation.deadline().as_secs()), (Due::Nothing, 1));
        // A byte now and then does not buy time.
        conversation.say("x");
        conversation.wait(1);
        assert_eq!(conversation.due(), Due::Close(Late::Frame), "{beginning}");
    }
}

#[test]
fn a_frame_that_ended_is_not_waited_for() {
    let mut conversation = Conversation::connected(Version::V12);
    let (begin, end) = SEND.split_at(9);
    conversation.say(begin);
    conversation.wait(29);
    assert_eq!(conversation.say(end), ["send /a x"]);
    conversation.wait(60);
    assert_eq!(conversation.due(), Due::Nothing);
}

#[test]
fn line_ends_between_frames_begin_nothing() {
    let mut conversation = Conversation::connected(Version::V12);
    conversation.say("\n");
    conversation.say(&format!("{SEND}\r\n\n"));
    conversation.wait(60);
    assert_eq!(conversation.due(), Due::Nothing);
}

#[test]
fn each_frame_has_time_of_its_own() {
    let mut conversation = Conversation::connected(Version::V12);
    let (begin, end) = SEND.split_at(9);
    conversation.say(begin);
    // A client that never pauses: there is the beginning of a frame behind every end of one.
    for _ in 0..10 {
        conversation.wait(20);
        assert_eq!(conversation.due(), Due::Nothing);
        assert_eq!(conversation.say(&format!("{end}{begin}")), ["send /a x"]);
    }
    conversation.wait(30);
    assert_eq!(conversation.due(), Due::Close(Late::Frame));
}

#[test]
fn the_beginning_of_a_message_of_the_transport_counts_too() {
    let mut conversation = Conversation::connected(Version::V12);
    conversation.session.waits_for_message(true, conversation.now);
    conversation.wait(29);
    conversation.session.waits_for_message(true, conversation.now);
    assert_eq!(conversation.due(), Due::Nothing);
    conversation.now += Duration::from_secs(1);
    assert_eq!(conversation.due(), Due::Close(Late::Frame));
    conversation.session.waits_for_message(false, conversation.now);
    assert_eq!(conversation.due(), Due::Nothing);
}

#[test]
fn time_in_which_nothing_was_read_is_nobodys() {
    let mut conversation = Conversation::connected(Version::V12);
    conversation.say("SEND\ndestination");
    conversation.session.waits_for_message(true, conversation.now);
    conversation.wait(60);
    conversation.session.resume(conversation.now);
    assert_eq!(conversation.due(), Due::Nothing);
    conversation.wait(30);
    assert_eq!(conversation.due(), Due::Close(Late::Frame));
}

#[test]
fn behind_disconnect_nothing_is_late() {
    let mut conversation = Conversation::connected(Version::V12);
    conversation.say("DISCONNECT\n\n\0SEND\ndest");
    conversation.wait(60);
    assert_eq!(conversation.due(), Due::Nothing);
}
