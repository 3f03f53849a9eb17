//! "SUBSCRIBE" and "UNSUBSCRIBE".

use crate::stage::Stage;

pub(crate) fn messages_come_to_the_subscription(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.send(&stage.topic(), "elsewhere");
    speaker.send(&topic, "here");
    assert_eq!(listener.message().text(), "here");
}

pub(crate) fn a_sender_hears_itself(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe("s", &topic, "");
    client.send(&topic, "hello");
    assert_eq!(client.message().text(), "hello");
}

pub(crate) fn it_needs_a_destination(stage: &Stage) {
    let mut client = stage.connect();
    client.say("SUBSCRIBE\nid:s\nack:auto\n\n^@");
    client.error();
}

pub(crate) fn it_needs_an_id(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("SUBSCRIBE\ndestination:{}\n\n^@", stage.topic()));
    client.error();
}

pub(crate) fn ids_are_different(stage: &Stage) {
    for other in [false, true] {
        let topic = stage.topic();
        let mut client = stage.connect();
        client.subscribe("s", &topic, "");
        let second = if other { stage.topic() } else { topic };
        client.say(&format!("SUBSCRIBE\nid:s\ndestination:{second}\n\n^@"));
        client.error();
    }
}

pub(crate) fn ids_are_those_of_the_connection(stage: &Stage) {
    let topic = stage.topic();
    let (mut one, mut other) = (stage.connect(), stage.connect());
    one.subscribe("s", &topic, "");
    other.subscribe("s", &topic, "");
    one.say_and_wait("UNSUBSCRIBE\nid:s\nreceipt:done\n\n^@");
    one.send(&topic, "hello");
    assert_eq!(other.message().text(), "hello");
}

pub(crate) fn an_id_is_free_again(stage: &Stage) {
    let (first, second) = (stage.topic(), stage.topic());
    let mut client = stage.connect();
    client.subscribe("s", &first, "");
    client.say_and_wait("UNSUBSCRIBE\nid:s\nreceipt:done\n\n^@");
    client.subscribe("s", &second, "");
    client.send(&first, "one");
    client.send(&second, "two");
    assert_eq!(client.message().text(), "two");
}

pub(crate) fn one_that_cannot_be_made_is_an_error(stage: &Stage) {
    for destination in ["/nowhere", "", "/topic/", "/chat/999999999"] {
        let mut client = stage.connect();
        client.say(&format!("SUBSCRIBE\nid:s\ndestination:{destination}\n\n^@"));
        client.error();
    }
}

pub(crate) fn ack_is_one_of_its_values(stage: &Stage) {
    for ack in ["sometimes", "AUTO", ""] {
        let mut client = stage.connect();
        client.say(&format!("SUBSCRIBE\nid:s\ndestination:{}\nack:{ack}\n\n^@", stage.topic()));
        client.error();
    }
}

pub(crate) fn unknown_headers_do_no_harm(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe("s", &topic, "x-prefetch:1\npersistent:true\n");
    client.send(&topic, "hello");
    assert_eq!(client.message().header("x-prefetch"), None);
}

pub(crate) fn a_selector_is_not_applied(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe("s", &topic, "selector:a = 1\n");
    client.send(&topic, "hello");
    assert_eq!(client.message().text(), "hello");
}

pub(crate) fn a_destination_may_have_several(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe("a", &topic, "");
    client.subscribe("b", &topic, "");
    client.send(&topic, "hello");
    let (one, other) = (client.message(), client.message());
    let mut ids = [one.needs("subscription"), other.needs("subscription")];
    ids.sort_unstable();
    assert_eq!(ids, ["a", "b"]);
}

pub(crate) fn unsubscribe_ends_one_only(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe("a", &topic, "");
    client.subscribe("b", &topic, "");
    client.say_and_wait("UNSUBSCRIBE\nid:a\nreceipt:done\n\n^@");
    for n in 0..3 {
        client.send(&topic, &n.to_string());
    }
    for n in 0..3 {
        let message = client.message();
        assert_eq!((message.needs("subscription"), message.text()), ("b", &*n.to_string()));
    }
}

pub(crate) fn unsubscribe_needs_an_id(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe("s", &topic, "");
    client.say(&format!("UNSUBSCRIBE\ndestination:{topic}\n\n^@"));
    client.error();
}

pub(crate) fn unsubscribe_needs_a_subscription(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe("s", &topic, "");
    client.say("UNSUBSCRIBE\nid:t\n\n^@");
    client.error();
}

pub(crate) fn ids_are_optional_in_1_0(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.say_and_wait(&format!("SUBSCRIBE\ndestination:{topic}\nreceipt:done\n\n^@"));
    client.send(&topic, "hello");
    let message = client.message();
    assert_eq!(message.header("subscription"), None, "none was named: {message:?}");
}

pub(crate) fn an_id_in_1_0_comes_back(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    client.subscribe("a", &topic, "");
    client.subscribe("b", &topic, "");
    client.say_and_wait("UNSUBSCRIBE\nid:a\nreceipt:done\n\n^@");
    client.send(&topic, "hello");
    assert_eq!(client.message().needs("subscription"), "b");
    client.send(&topic, "more");
    assert_eq!(client.message().text(), "more");
}

pub(crate) fn unsubscribe_by_destination_in_1_0(stage: &Stage) {
    let (gone, kept) = (stage.topic(), stage.topic());
    let mut client = stage.connect();
    for topic in [&gone, &kept] {
        client.say_and_wait(&format!("SUBSCRIBE\ndestination:{topic}\nreceipt:done\n\n^@"));
    }
    client.say_and_wait(&format!("UNSUBSCRIBE\ndestination:{gone}\nreceipt:done\n\n^@"));
    client.send(&gone, "gone");
    client.send(&kept, "kept");
    assert_eq!(client.message().text(), "kept");
    client.subscribe("again", &gone, "");
    client.send(&gone, "again");
    assert_eq!(client.message().needs("subscription"), "again");
}

pub(crate) fn unsubscribe_in_1_0_needs_either(stage: &Stage) {
    let mut client = stage.connect();
    client.say_and_wait(&format!("SUBSCRIBE\ndestination:{}\nreceipt:done\n\n^@", stage.topic()));
    client.say("UNSUBSCRIBE\n\n^@");
    client.error();
}
