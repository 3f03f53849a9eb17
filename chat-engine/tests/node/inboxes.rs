//! Lists of rooms, as people see them: the last message of each, and how many they have not read. In a cluster every second
//! connection is to the other node; what is asserted is where a line comes to rest.

mod cost;
mod list;
mod trouble;

use list::List;
use serde_json::json;
use shared::event::{Envelope, LeaveReason, MeetupEvent};

use crate::{
    client::Client,
    world::{World, meetup},
};

async fn a_list_has_every_room_with_its_last_message_and_what_is_unread(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let (one, other, empty) =
        (world.room(&[&anna, &bo]).await, world.room(&[&anna, &bo]).await, world.room(&[&bo]).await);
    world.room(&[&anna]).await;
    let mut a = world.connect(&anna).await;
    let first = a.post(one, "하나").await;
    a.post(one, "둘").await;
    let last = a.post(one, "셋").await;
    a.post(other, "여기도").await;

    let mut bos = List::open(world.addr_for(&bo), &bo).await;
    assert_eq!(bos.rooms.keys().copied().collect::<Vec<_>>(), [one, other, empty]);
    // The other node may have to catch up.
    bos.expect(one, |line| line["last"]["seq"] == last).await;
    bos.expect(other, |line| line["unread"] == 1).await;
    assert_eq!(bos.total(), 4);
    let line = &bos.rooms[&one];
    assert_eq!((&line["unread"], &line["read"], &line["more"]), (&json!(3), &json!(0), &json!(null)));
    assert_eq!((&line["last"]["seq"], &line["last"]["body"]["content"]), (&json!(last), &json!("셋")));
    assert_eq!((&bos.rooms[&empty]["unread"], &bos.rooms[&empty]["last"]), (&json!(0), &json!(null)));

    // Live, and by what becomes of messages.
    let fourth = a.post(one, "넷").await;
    bos.expect(one, |line| line["unread"] == 4 && line["last"]["seq"] == fourth).await;
    a.change("edit", one, fourth, r#"{"content":"4"}"#).await.unwrap();
    bos.expect(one, |line| line["unread"] == 4 && line["last"]["body"]["content"] == "4").await;
    a.change("delete", one, first, "").await.unwrap();
    bos.expect(one, |line| line["unread"] == 3).await;
    // Who answers has read what came before.
    let mut b = world.connect(&bo).await;
    let answer = b.post(one, "응").await;
    bos.expect(one, |line| line["unread"] == 0 && line["read"] == answer).await;
    assert_eq!(bos.total(), 1);
    // Who sent it has nothing unread.
    let mut annas = List::open(world.addr_for(&anna), &anna).await;
    annas.expect(one, |line| line["unread"] == 1).await;
    assert_eq!(annas.rooms[&other]["unread"], 0);
}

async fn what_one_device_reads_is_read_on_all_of_them(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect(&anna).await;
    a.post(room, "하나").await;
    let read = a.post(room, "둘").await;
    let (mut lists, mut tabs) = (Vec::new(), Vec::new());
    for addr in world.addrs().take(2) {
        let mut list = List::open(addr, &bo).await;
        list.expect(room, |line| line["unread"] == 2).await;
        lists.push(list);
    }
    // Two tabs, on two nodes if there are two.
    for addr in world.addrs().take(2) {
        let mut tab = Client::connect(addr, &bo.token).await;
        tab.follow(room).await;
        tabs.push(tab);
        for list in &mut lists {
            list.expect(room, |line| line["unread"] == 0 && line["read"].is_null()).await;
        }
    }
    let seen = a.post(room, "셋").await;
    for list in &mut lists {
        list.expect(room, |line| line["unread"] == 0 && line["last"]["seq"] == seen).await;
    }
    for tab in &mut tabs {
        tab.expect_count(seen, 0).await;
    }
    // One tab is left: still read.
    tabs.pop().unwrap().disconnect().await;
    let seen = a.post(room, "넷").await;
    for list in &mut lists {
        list.expect(room, |line| line["unread"] == 0 && line["last"]["seq"] == seen).await;
    }
    tabs[0].expect_count(seen, 0).await;
    tabs.pop().unwrap().disconnect().await;
    for list in &mut lists {
        list.expect(room, |line| line["unread"] == 0 && line["read"] == seen).await;
    }
    assert!(seen > read);
    a.post(room, "다섯").await;
    for list in &mut lists {
        list.expect(room, |line| line["unread"] == 1 && line["read"] == seen).await;
    }
}

async fn a_list_is_right_as_soon_as_its_client_is_back(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let rooms = [world.room(&[&anna, &bo]).await, world.room(&[&anna, &bo]).await];
    let mut a = world.connect(&anna).await;
    let mut list = List::open(world.addr_for(&bo), &bo).await;
    a.post(rooms[0], "하나").await;
    list.expect(rooms[0], |line| line["unread"] == 1).await;
    list.client.disconnect().await;
    // Nobody here has either room in a list, or has it open.
    a.post(rooms[0], "둘").await;
    a.post(rooms[1], "셋").await;
    for addr in world.addrs().take(2) {
        let mut list = List::open(addr, &bo).await;
        list.expect(rooms[1], |line| line["unread"] == 1).await;
        list.expect(rooms[0], |line| line["unread"] == 2).await;
    }
    // The same after all that memory had is gone.
    world.restart().await;
    let mut list = List::open(world.addr_for(&bo), &bo).await;
    assert_eq!((&list.rooms[&rooms[0]]["unread"], list.total()), (&json!(2), 3));
    assert_eq!(list.rooms[&rooms[1]]["last"]["body"]["content"], "셋");
    let mut a = world.connect(&anna).await;
    a.post(rooms[0], "넷").await;
    list.expect(rooms[0], |line| line["unread"] == 3).await;
}

async fn rooms_come_and_go_with_memberships(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let first = world.room(&[&anna, &bo]).await;
    let [second, banned, deleted] =
        [world.room(&[&anna]).await, world.room(&[&anna, &bo]).await, world.room(&[&anna, &bo]).await];
    let mut a = world.connect(&anna).await;
    let mut list = List::open(world.addr_for(&bo), &bo).await;
    assert_eq!(list.rooms.len(), 3);
    a.post(second, "아직 없음").await;
    a.follow(second).await;
    world.join(second, &bo).await;
    list.expect(second, |line| line["unread"] == 0 && line["last"]["body"]["content"] == "아직 없음").await;
    a.expect_event("joined").await;
    a.post(second, "어서 와").await;
    list.expect(second, |line| line["unread"] == 1).await;
    world.leave(first, &bo).await;
    assert_eq!(list.expect_gone().await, (first, "not a member".to_owned()));
    world.put_out(banned, &bo, "banned", LeaveReason::Banned).await;
    assert_eq!(list.expect_gone().await, (banned, "banned".to_owned()));
    sqlx::query("update meetups set deleted_at = now() where id = $1")
        .bind(deleted)
        .execute(&world.pool)
        .await
        .unwrap();
    world.tell(MeetupEvent::MeetupDeleted { meetup: meetup(deleted) }).await;
    assert_eq!(list.expect_gone().await, (deleted, "room closed".to_owned()));
    assert_eq!(list.rooms.keys().copied().collect::<Vec<_>>(), [second]);
    // An old event that comes again changes nothing; who comes back starts at the head.
    let (meetup, reason) = (meetup(second), LeaveReason::Left);
    let event = MeetupEvent::MemberLeft { meetup, user: bo.id, version: 1, reason };
    world.deliver(Envelope { id: 1, event }).await;
    a.post(first, "없는 동안").await;
    world.join_again(first, &bo).await;
    list.expect(first, |line| line["unread"] == 0 && line["last"]["body"]["content"] == "없는 동안").await;
    assert_eq!(list.rooms.len(), 2);
    // The database says the same.
    let list = List::open(world.addr_for(&bo), &bo).await;
    assert_eq!(list.rooms.keys().copied().collect::<Vec<_>>(), [first, second]);
}

async fn of_many_the_last_thousand_are_counted(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect(&anna).await;
    for n in 0..1_001 {
        a.post_only(room, &n.to_string(), &n.to_string()).await;
    }
    a.expect_receipt("1000").await;
    let mut list = List::open(world.addr_for(&bo), &bo).await;
    // Live or from memory.
    list.expect(room, |line| line["unread"] == 1_000 && line["more"] == true).await;
    world.rows(room, 1_001).await;
    world.restart().await;
    let list = List::open(world.addr_for(&bo), &bo).await;
    let line = &list.rooms[&room];
    assert_eq!((&line["unread"], &line["more"]), (&json!(1_000), &json!(true)));
}

async fn two_subscriptions_of_one_connection_are_two(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect(&anna).await;
    let mut list = List::open(world.addr_for(&bo), &bo).await;
    list.client.send(stomp::Command::Subscribe, &list::subscribe("again"), "").await;
    list.client.expect_receipt("again").await;
    a.post(room, "하나").await;
    for id in ["rooms", "again"] {
        list.expect_on(id, room, |line| line["unread"] == 1).await;
    }
    let headers = [("id", "rooms"), ("receipt", "over")];
    list.client.send(stomp::Command::Unsubscribe, &headers, "").await;
    list.client.expect_receipt("over").await;
    a.post(room, "둘").await;
    list.expect_on("again", room, |line| line["unread"] == 2).await;
}

async fn the_receipt_of_a_room_says_where_the_unread_messages_begin(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect(&anna).await;
    let mut b = world.connect_to(&bo, room).await;
    let seen = a.post(room, "봄").await;
    b.expect_count(seen, 0).await;
    b.disconnect().await;
    let mut list = List::open(world.addr_for(&bo), &bo).await;
    a.post(room, "못 봄").await;
    list.expect(room, |line| line["unread"] == 1 && line["read"] == seen).await;
    let destination = format!("/chat/{room}");
    let read = async || {
        let mut tab = world.connect(&bo).await;
        let headers = [("id", "chat"), ("destination", &*destination), ("receipt", "open")];
        tab.send(stomp::Command::Subscribe, &headers, "").await;
        let receipt = tab.expect_receipt("open").await;
        (tab, receipt.headers.first("read").map(|read| read.parse::<i64>().unwrap()))
    };
    let (_tab, at) = read().await;
    assert_eq!(at, Some(seen));
    list.expect(room, |line| line["unread"] == 0).await;
    // Another device of who is reading: there is nothing unread.
    let (_other, at) = read().await;
    assert_eq!(at, None);
}

crate::world::on_both_backends!(
    a_list_has_every_room_with_its_last_message_and_what_is_unread,
    what_one_device_reads_is_read_on_all_of_them,
    a_list_is_right_as_soon_as_its_client_is_back,
    rooms_come_and_go_with_memberships,
    of_many_the_last_thousand_are_counted,
    two_subscriptions_of_one_connection_are_two,
    the_receipt_of_a_room_says_where_the_unread_messages_begin,
);
