//! What Redis does not keep for ever.

use fred::interfaces::KeysInterface as _;
use shared::{Seq, testing};

use crate::{GENERATION, Life, Room, connect, seq, text_of, user};

async fn lives_for_an_hour(room: &Room, key: usize) -> bool {
    let seconds: i64 = room.client.ttl(&room.keys()[key]).await.unwrap();
    (1..=3_600).contains(&seconds)
}

#[tokio::test]
async fn changes_are_gone_after_an_hour_and_who_lacks_them_is_told_so() {
    let room = Room { client: connect().await, tag: testing::unique("hour") };
    room.load(Life(1), Seq::ZERO, &[(user(1), seq(1))]).await;
    let read = async |at: i64| room.change("moyiza_read", &["1".into(), text_of(at)]).await.unwrap().unwrap();
    read(2).await;
    let second = read(3).await;
    assert!(lives_for_an_hour(&room, 3).await);
    // As if it had passed.
    room.client.del::<(), _>(&room.keys()[3]).await.unwrap();
    assert_eq!(room.changes_of(GENERATION, Life(1), 1).await, None);
    assert_eq!(room.changes_of(GENERATION, Life(1), second.version).await, Some(vec![]));
    let third = read(4).await;
    assert_eq!(room.changes_of(GENERATION, Life(1), second.version).await, Some(vec![third]));
    assert_eq!(room.changes_of(GENERATION, Life(1), 2).await, None);
    assert!(lives_for_an_hour(&room, 3).await);
    room.forget().await;
}

#[tokio::test]
async fn of_a_closed_room_that_is_loaded_nobody_is_kept_and_it_not_for_long() {
    let room = Room { client: connect().await, tag: testing::unique("closed") };
    room.call("moyiza_begin_load", &["7".into()]).await;
    let load = ["7".to_owned(), text_of(9), "1".into(), "1".into(), text_of(3)];
    assert_eq!(room.refusal(GENERATION, "moyiza_load", &load).await, "LOADED");
    assert!(lives_for_an_hour(&room, 2).await);
    // Who left it is said late: it is heard, and nothing comes of it.
    let leave = ["4".to_owned(), "1".into(), "1".into(), text_of(8)];
    assert_eq!(room.change("moyiza_leave", &leave).await, Ok(None));
    let keys: i64 = room.client.exists(room.keys()).await.unwrap();
    assert_eq!(keys, 1);
    room.forget().await;
}
