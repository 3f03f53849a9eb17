//! "DISCONNECT".

use crate::stage::Stage;

pub(crate) fn its_receipt_comes_and_then_the_close(stage: &Stage) {
    let mut client = stage.connect();
    client.say("DISCONNECT\nreceipt:77\n\n^@");
    assert_eq!(client.expect("RECEIPT").needs("receipt-id"), "77");
    assert_eq!(client.closed(), Some(1000));
}

pub(crate) fn everything_before_it_is_done(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    for n in 0..20 {
        speaker.say(&format!("SEND\ndestination:{topic}\nreceipt:{n}\n\n{n}^@"));
    }
    speaker.say("DISCONNECT\nreceipt:bye\n\n^@");
    let mut receipts: Vec<_> =
        (0..21).map(|_| speaker.expect("RECEIPT").needs("receipt-id").to_owned()).collect();
    assert_eq!(receipts.pop().as_deref(), Some("bye"), "it comes last");
    speaker.closed();
    for n in 0..20 {
        assert_eq!(listener.message().text(), n.to_string());
    }
}

pub(crate) fn nothing_behind_it_is_heard(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.say(&format!("DISCONNECT\nreceipt:bye\n\n^@SEND\ndestination:{topic}\nreceipt:late\n\nlate^@"));
    assert_eq!(speaker.expect("RECEIPT").needs("receipt-id"), "bye");
    speaker.closed();
    stage.connect().send(&topic, "fence");
    assert_eq!(listener.message().text(), "fence");
}

pub(crate) fn without_a_receipt_it_closes(stage: &Stage) {
    let mut client = stage.connect();
    client.say("DISCONNECT\n\n^@");
    assert_eq!(client.closed(), Some(1000));
}
