//! A room whose snapshots and changes cross each other.

use std::time::Instant;

use chat_engine::{
    reading::{Change, Life, Snapshot},
    room::{Output, Room, Subscriber, SubscriberId},
};
use shared::{RoomId, Seq};

use crate::user;

#[test]
fn what_may_be_missed_while_positions_are_fetched_is_fetched_again() {
    let mut room = Room::new(RoomId::try_from(1).unwrap(), Seq::ZERO);
    let (mut out, now) = (Vec::new(), Instant::now());
    let subscriber = Subscriber { id: SubscriberId(1), user: user(1), reads: false };
    room.subscribe(subscriber, false, now, &mut out);
    assert_eq!(std::mem::take(&mut out), [Output::FetchSnapshot]);
    // The connection on which it follows the room breaks meanwhile.
    room.resync(&mut out);
    assert_eq!(out, []);
    let snapshot = |version| Snapshot { life: Life(1), version, positions: Vec::new() };
    room.snapshot(snapshot(7), now, &mut out);
    assert!(std::mem::take(&mut out).contains(&Output::FetchSnapshot));
    room.snapshot(snapshot(8), now, &mut out);
    assert!(!out.contains(&Output::FetchSnapshot), "once");
}

/// As a Redis does whose last writes were lost when another took over.
#[test]
fn an_authority_that_has_lost_its_last_changes_is_followed() {
    let mut room = Room::new(RoomId::try_from(1).unwrap(), Seq::ZERO);
    let (mut out, now) = (Vec::new(), Instant::now());
    let seq = |raw| Seq::from_raw(raw).unwrap();
    let snapshot = |version, positions: &[(i64, i64)]| Snapshot {
        life: Life(1),
        version,
        positions: positions.iter().map(|(id, at)| (user(*id), seq(*at))).collect(),
    };
    let moved = |version, id, to| Change { life: Life(1), version, user: user(id), to: Some(seq(to)) };
    let subscriber = Subscriber { id: SubscriberId(1), user: user(1), reads: false };
    room.subscribe(subscriber, false, now, &mut out);
    room.snapshot(snapshot(60, &[(2, 90), (3, 90)]), now, &mut out);
    out.clear();
    room.resync(&mut out);
    // Still from before.
    room.change(moved(61, 2, 95), now, &mut out);
    out.clear();
    room.snapshot(snapshot(51, &[(2, 40), (3, 90)]), now, &mut out);
    let counts = Output::Reset(vec![(Seq::ZERO, 0), (seq(40), 1), (seq(90), 2)]);
    assert_eq!(out, [counts.clone(), Output::FetchSnapshot], "what was lost is no gap for ever");
    out.clear();
    room.snapshot(snapshot(51, &[(2, 40), (3, 90)]), now, &mut out);
    assert_eq!(std::mem::take(&mut out), [counts]);
    // The next change is the next one.
    room.change(moved(52, 2, 80), now, &mut out);
    assert_eq!(room.version(), Some((Life(1), 52)));
    room.resync(&mut out);
    room.snapshot(snapshot(52, &[(2, 80), (3, 90)]), now, &mut out);
    assert!(out.contains(&Output::Reset(vec![(Seq::ZERO, 0), (seq(80), 1), (seq(90), 2)])), "{out:?}");
}
