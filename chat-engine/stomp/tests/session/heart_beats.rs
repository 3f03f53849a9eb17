//! Heart-beats: who sends them how often, and when a silent client is given up (STOMP 1.2 "Heart-beating").

use std::time::Duration;

use proptest::prelude::*;
use stomp::{
    HeartBeat, Version,
    session::{Due, Late, SessionSettings},
};

use crate::conversation::{Conversation, settings};

fn connected(server: (u32, u32), client: (u32, u32)) -> Conversation {
    let heart_beat = HeartBeat { can_send_ms: server.0, wants_ms: server.1 };
    let client = format!("{},{}", client.0, client.1);
    Conversation::connected_with(SessionSettings { heart_beat, ..settings() }, Version::V12, &client)
}

const YEAR: u64 = 365 * 24 * 3600;

#[test]
fn a_beat_is_sent_before_the_agreed_interval_is_over() {
    // The larger of what one can and what the other wants.
    for (server, client, seconds) in [((10_000, 0), (0, 5_000), 10), ((5_000, 0), (0, 30_000), 30)] {
        let mut conversation = connected(server, client);
        for _ in 0..3 {
            let deadline = conversation.deadline();
            let interval = Duration::from_secs(seconds);
            assert!(deadline < interval && deadline > interval / 2, "{deadline:?} of {interval:?}");
            let began = conversation.now;
            conversation.now = began + deadline.saturating_sub(Duration::from_millis(1));
            assert_eq!(conversation.due(), Due::Nothing);
            conversation.now = began + deadline;
            assert_eq!(conversation.due(), Due::Beat);
            conversation.written = conversation.now;
            assert_eq!(conversation.due(), Due::Nothing);
        }
    }
}

#[test]
fn whatever_is_written_is_a_beat() {
    let mut conversation = connected((10_000, 0), (0, 10_000));
    conversation.wait(8);
    conversation.written = conversation.now;
    conversation.wait(8);
    assert_eq!(conversation.due(), Due::Nothing);
    conversation.wait(2);
    assert_eq!(conversation.due(), Due::Beat);
}

#[test]
fn no_beat_is_sent_that_nobody_wants_or_can_send() {
    for (server, client) in [((10_000, 0), (0, 0)), ((0, 0), (0, 10_000)), ((0, 10_000), (0, 10_000))] {
        let mut conversation = connected(server, client);
        conversation.wait(YEAR);
        assert_eq!(conversation.due(), Due::Nothing);
        assert!(
            !conversation.deadline().is_zero(),
            "a deadline that has passed is looked at again and again"
        );
    }
}

#[test]
fn a_silent_client_is_given_up_after_two_intervals() {
    let mut conversation = connected((0, 10_000), (4_000, 0));
    conversation.wait(19);
    assert_eq!((conversation.due(), conversation.deadline().as_secs()), (Due::Nothing, 1));
    conversation.wait(1);
    assert_eq!(conversation.due(), Due::Close(Late::HeartBeat));
    // A client that can only send more slowly gets its own time.
    let mut conversation = connected((0, 10_000), (60_000, 0));
    conversation.wait(119);
    assert_eq!(conversation.due(), Due::Nothing);
    conversation.wait(1);
    assert_eq!(conversation.due(), Due::Close(Late::HeartBeat));
}

#[test]
fn a_client_that_promised_nothing_may_be_silent() {
    for (server, client) in [((0, 10_000), (0, 0)), ((0, 0), (10_000, 0))] {
        let mut conversation = connected(server, client);
        conversation.wait(YEAR);
        assert_eq!(conversation.due(), Due::Nothing);
    }
}

#[test]
fn anything_heard_is_a_sign_of_life() {
    let signs: [fn(&mut Conversation); 4] = [
        |conversation| assert_eq!(conversation.say("\n"), [""; 0]),
        |conversation| assert_eq!(conversation.say("\r\n"), [""; 0]),
        |conversation| assert_eq!(conversation.say("SEND\ndestination:/a\n\n\0"), ["send /a "]),
        // A ping of the transport.
        |conversation| conversation.session.heard(conversation.now),
    ];
    for sign in signs {
        let mut conversation = connected((0, 10_000), (10_000, 0));
        for _ in 0..3 {
            conversation.wait(19);
            sign(&mut conversation);
            assert_eq!(conversation.due(), Due::Nothing);
        }
    }
}

fn milliseconds() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), 1..60_000u32, Just(u32::MAX)]
}

proptest! {
    /// A deadline is when something is due: nothing before, something at it, and once that is done the next lies
    /// in the future. Beats are never further apart than agreed.
    #[test]
    fn a_deadline_is_when_something_is_due(
        server in (milliseconds(), milliseconds()),
        client in (milliseconds(), milliseconds()),
        steps in prop::collection::vec((any::<bool>(), 0..30_000u64), 1..20),
    ) {
        let mut conversation = connected(server, client);
        let interval = HeartBeat { can_send_ms: server.0, wants_ms: 0 }
            .interval_to(HeartBeat { can_send_ms: 0, wants_ms: client.1 });
        for (says, pause) in steps {
            let pause = Duration::from_millis(pause);
            let deadline = conversation.deadline();
            conversation.now += pause.min(deadline);
            let due = conversation.due();
            prop_assert_eq!(due != Due::Nothing, pause >= deadline);
            match due {
                Due::Close(_) => return Ok(()),
                Due::Beat => {
                    prop_assert!(Some(conversation.now - conversation.written) <= interval);
                    conversation.written = conversation.now;
                    prop_assert!(!conversation.deadline().is_zero());
                }
                Due::Nothing if says => prop_assert!(conversation.say("\n").is_empty()),
                Due::Nothing => {}
            }
        }
    }
}
