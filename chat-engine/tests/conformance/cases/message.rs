//! "MESSAGE".

use std::collections::BTreeSet;

use crate::stage::Stage;

pub(crate) fn its_destination_is_that_of_the_send(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.send(&topic, "hello");
    assert_eq!(listener.message().needs("destination"), topic);
}

pub(crate) fn its_id_is_unique(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let other = stage.topic();
    listener.subscribe("t", &other, "");
    for _ in 0..10 {
        speaker.send(&topic, "same");
        speaker.send(&other, "same");
    }
    let ids: BTreeSet<_> = (0..20).map(|_| listener.message().needs("message-id").to_owned()).collect();
    assert_eq!(ids.len(), 20, "{ids:?}");
}

pub(crate) fn its_subscription_is_the_one_it_came_by(stage: &Stage) {
    let (first, second) = (stage.topic(), stage.topic());
    let mut client = stage.connect();
    client.subscribe("one", &first, "");
    client.subscribe("two", &second, "");
    for (topic, id) in [(&second, "two"), (&first, "one"), (&second, "two")] {
        client.send(topic, "hello");
        assert_eq!(client.message().needs("subscription"), id);
    }
}

pub(crate) fn its_body_is_as_it_was_sent(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    for body in ["", "hello queue a", "\n\nlines\r\n", "x:y\n\nMESSAGE\n\n"] {
        speaker.send(&topic, body);
        assert_eq!(listener.message().text(), body);
    }
}
