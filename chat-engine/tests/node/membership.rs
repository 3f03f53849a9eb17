//! Who ceases to be a member is out on every node, is told so, and hears nothing of the room after that.

use std::collections::BTreeSet;

use shared::event::{LeaveReason, MeetupEvent};
use stomp::{Command, Version};

use crate::{
    client::Client,
    peer::{Incoming, Peer},
    world::{Person, World, meetup},
};

const ERRORS: &str = "/user/queue/errors";

/// How a membership ends, and what is said about it.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Left,
    Banned,
    Deleted,
}

const ENDINGS: [(Ending, &str, &str); 3] = [
    (Ending::Left, "not a member", "no longer a member of the room, do not subscribe again"),
    (Ending::Banned, "banned", "banned from the room, do not subscribe again"),
    (Ending::Deleted, "room closed", "the room was closed, do not subscribe again"),
];

impl Ending {
    async fn come(self, world: &World, room: i64, person: &Person) {
        match self {
            Self::Left => world.put_out(room, person, "left", LeaveReason::Left).await,
            Self::Banned => world.put_out(room, person, "banned", LeaveReason::Banned).await,
            Self::Deleted => delete(world, room).await,
        }
    }
}

async fn delete(world: &World, room: i64) {
    sqlx::query("update meetups set deleted_at = now() where id = $1")
        .bind(room)
        .execute(&world.pool)
        .await
        .unwrap();
    world.tell(MeetupEvent::MeetupDeleted { meetup: meetup(room) }).await;
}

/// A connection of `person` to each node that there is.
async fn on_every_node(world: &World, person: &Person) -> Vec<Peer> {
    let mut peers = Vec::new();
    for addr in world.addrs().take(world.nodes()) {
        peers.push(Peer::connect(addr, &person.token, Version::V12).await);
    }
    peers
}

/// Follows a room and all that is told.
async fn follow(peer: &mut Peer, room: i64) {
    subscribe(peer, "errors", ERRORS).await;
    subscribe(peer, "chat", &format!("/chat/{room}")).await;
}

/// Subscribes where messages may come at any time.
async fn subscribe(peer: &mut Peer, id: &str, destination: &str) {
    let headers = [("id", id), ("destination", destination), ("receipt", "subscribed")];
    peer.say(Command::Subscribe, &headers, b"").await;
    wait_for(peer, Command::Receipt).await;
}

async fn wait_for(peer: &mut Peer, command: Command) -> Incoming {
    loop {
        let incoming = peer.next().await.expect("it lives on");
        if incoming.frame.command == command {
            return incoming;
        }
        assert_eq!(incoming.frame.command, Command::Message, "{incoming:?}");
    }
}

/// Nothing of the room comes before the answer to what is asked for now.
async fn hears_nothing_of(peer: &mut Peer, room: i64) {
    let topic = shared::testing::unique("/topic/now");
    let headers = [("id", "now"), ("destination", &*topic), ("receipt", "now")];
    peer.say(Command::Subscribe, &headers, b"").await;
    peer.publish(&topic, "now").await;
    loop {
        let incoming = peer.next().await.expect("it lives on");
        let of_room = |destination: &str| destination.ends_with(&format!("/{room}"));
        assert!(!incoming.header("destination").is_some_and(of_room), "{incoming:?}");
        if incoming.header("destination") == Some(&*topic) {
            break;
        }
    }
    peer.say(Command::Unsubscribe, &[("id", "now")], b"").await;
}

/// The next that is told. Records of the room may come before it.
async fn told(peer: &mut Peer) -> Incoming {
    loop {
        let incoming = peer.expect(Command::Message).await;
        if incoming.header("destination") == Some(ERRORS) {
            return incoming;
        }
    }
}

/// Told that a subscription has ended, and why.
async fn told_of_end(peer: &mut Peer, room: i64) -> String {
    let told = told(peer).await;
    assert_eq!(told.header("ended-subscription"), Some("chat"), "{told:?}");
    assert_eq!(told.header("ended-destination"), Some(&*format!("/chat/{room}")));
    told.header("message").unwrap().to_owned()
}

async fn refused(peer: &mut Peer, command: Command, destination: &str) {
    let headers = [("destination", destination), ("id", "again"), ("receipt", "no")];
    let body: &[u8] = if command == Command::Send { b"{\"content\":\"x\"}" } else { b"" };
    peer.say(command, &headers, body).await;
    let told = told(peer).await;
    assert_eq!((told.header("message"), told.header("receipt-id")), (Some("not a member"), Some("no")));
}

async fn who_is_out_is_told_and_lives_on_without_the_room(world: &World) {
    for (ending, title, text) in ENDINGS {
        let (anna, bo) = (world.person().await, world.person().await);
        let (room, other) = (world.room(&[&anna, &bo]).await, world.room(&[&anna, &bo]).await);
        let mut peers = on_every_node(world, &bo).await;
        for peer in &mut peers {
            follow(peer, room).await;
            subscribe(peer, "alarm", &format!("/chatalarm/{room}")).await;
            subscribe(peer, "other", &format!("/chat/{other}")).await;
        }
        let start = std::time::Instant::now();
        ending.come(world, room, &bo).await;
        for peer in &mut peers {
            let mut ended = BTreeSet::new();
            for _ in 0..2 {
                let told = told(peer).await;
                assert_eq!((told.header("message"), told.body()), (Some(title), text));
                let header = |name| told.header(name).unwrap().to_owned();
                ended.insert((header("ended-subscription"), header("ended-destination")));
            }
            let of = |id: &str, feed| (id.to_owned(), format!("/{feed}/{room}"));
            assert_eq!(ended, BTreeSet::from([of("alarm", "chatalarm"), of("chat", "chat")]));
        }
        println!("{ending:?}: told on every node after {:?}", start.elapsed());
        if !matches!(ending, Ending::Deleted) {
            // Somebody beside each of them hears what is said now.
            let mut beside = Vec::new();
            for addr in world.addrs().take(world.nodes()) {
                let mut client = Client::connect(addr, &anna.token).await;
                client.follow(room).await;
                beside.push(client);
            }
            beside[0].post(room, "only us").await;
            for client in &mut beside {
                assert_eq!(client.expect_shown().await.content, "only us");
            }
        }
        for peer in &mut peers {
            hears_nothing_of(peer, room).await;
            refused(peer, Command::Subscribe, &format!("/chat/{room}")).await;
            refused(peer, Command::Send, &format!("/app/chat/{room}")).await;
            refused(peer, Command::Send, &format!("/app/history/{room}")).await;
            // The client did not know yet; it says so once.
            peer.say(Command::Unsubscribe, &[("id", "chat"), ("receipt", "u")], b"").await;
            wait_for(peer, Command::Receipt).await;
        }
        world.connect(&anna).await.post(other, "the other room").await;
        for peer in &mut peers {
            while !wait_for(peer, Command::Message).await.body().contains("the other room") {}
        }
    }
}

async fn who_does_not_listen_is_closed(world: &World) {
    for (ending, _, text) in ENDINGS {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut peers = on_every_node(world, &bo).await;
        for peer in &mut peers {
            peer.subscribe("chat", &format!("/chat/{room}")).await;
        }
        ending.come(world, room, &bo).await;
        for peer in peers {
            peer.farewell().await.assert_error(text, 1008);
        }
    }
}

async fn who_joins_again_is_in_again_and_old_events_change_nothing(world: &World) {
    let (anna, bo, cho) = (world.person().await, world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo, &cho]).await;
    let mut peers = on_every_node(world, &bo).await;
    let mut last = on_every_node(world, &cho).await;
    for peer in peers.iter_mut().chain(&mut last) {
        follow(peer, room).await;
    }
    world.put_out(room, &bo, "left", LeaveReason::Left).await;
    for peer in &mut peers {
        assert_eq!(told_of_end(peer, room).await, "not a member");
    }
    world.join_again(room, &bo).await;
    for peer in &mut peers {
        // The name is free again.
        subscribe(peer, "chat", &format!("/chat/{room}")).await;
    }
    // Twice, and older than what is known by now.
    let (meetup_id, user) = (meetup(room), bo.id);
    for _ in 0..2 {
        let reason = LeaveReason::Banned;
        world.tell(MeetupEvent::MemberLeft { meetup: meetup_id, user, version: 2, reason }).await;
        world.tell(MeetupEvent::MemberJoined { meetup: meetup_id, user, version: 1 }).await;
    }
    // The same key: once a node has taken this, it has taken those.
    world.put_out(room, &cho, "banned", LeaveReason::Banned).await;
    for peer in &mut last {
        assert_eq!(told_of_end(peer, room).await, "banned");
    }
    let said = world.connect(&bo).await.post(room, "back").await;
    for peer in &mut peers {
        loop {
            let message = peer.expect(Command::Message).await;
            assert_eq!(message.header("destination"), Some(&*format!("/chat/{room}")));
            if message.header("seq") == Some(&*said.to_string()) {
                break;
            }
        }
    }
}

async fn who_has_joined_again_already_stays_when_told_to_have_left(world: &World) {
    let (anna, bo, cho) = (world.person().await, world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo, &cho]).await;
    let mut last = on_every_node(world, &cho).await;
    for peer in &mut last {
        // From here on every node has the members as they are now.
        follow(peer, room).await;
    }
    let left = world.change_row(room, &bo, "left").await;
    let joined = world.change_row(room, &bo, "member").await;
    let mut peers = on_every_node(world, &bo).await;
    for peer in &mut peers {
        follow(peer, room).await;
    }
    let (meetup_id, user) = (meetup(room), bo.id);
    let reason = LeaveReason::Left;
    world.tell(MeetupEvent::MemberLeft { meetup: meetup_id, user, version: left, reason }).await;
    // The same key: once a node has taken this, it has taken that.
    world.put_out(room, &cho, "banned", LeaveReason::Banned).await;
    for peer in &mut last {
        assert_eq!(told_of_end(peer, room).await, "banned");
    }
    let heard = async |peers: &mut [Peer], content: &str| {
        for peer in peers {
            loop {
                let message = peer.expect(Command::Message).await;
                assert_eq!(message.header("destination"), Some(&*format!("/chat/{room}")), "{message:?}");
                if message.body().contains(content) {
                    break;
                }
            }
        }
    };
    world.connect(&anna).await.post(room, "he is here").await;
    heard(&mut peers, "he is here").await;
    world.tell(MeetupEvent::MemberJoined { meetup: meetup_id, user, version: joined }).await;
    world.connect(&bo).await.post(room, "so I am").await;
    heard(&mut peers, "so I am").await;
    world.leave(room, &bo).await;
    for peer in &mut peers {
        assert_eq!(told_of_end(peer, room).await, "not a member");
    }
}

async fn nothing_is_said_in_a_room_by_who_was_told_to_be_out(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let (mut annas, mut bos) = (on_every_node(world, &anna).await, on_every_node(world, &bo).await);
    let chat = format!("/app/chat/{room}");
    let send = async |peer: &mut Peer, content: &str| {
        let body = serde_json::json!({ "content": content }).to_string();
        peer.say(Command::Send, &[("destination", &*chat), ("receipt", "r")], body.as_bytes()).await;
    };
    for (node, peer) in bos.iter_mut().enumerate() {
        follow(peer, room).await;
        for _ in 0..SENDS {
            send(peer, &format!("bo at {node}")).await;
        }
    }
    world.put_out(room, &bo, "banned", LeaveReason::Banned).await;
    let mut last = 0;
    for (node, (bo, anna)) in bos.iter_mut().zip(&mut annas).enumerate() {
        for _ in 0..SENDS {
            send(bo, &format!("bo at {node}")).await;
        }
        let (mut answers, mut is_out) = (0, false);
        while answers < 2 * SENDS || !is_out {
            let incoming = bo.next().await.expect("it lives on");
            if incoming.header("ended-subscription").is_some() {
                is_out = true;
                // Through the same node's log, and so behind all that it has taken from Bo.
                send(anna, &format!("end at {node}")).await;
                let seq = wait_for(anna, Command::Receipt).await.header("seq").unwrap().parse().unwrap();
                last = last.max(seq);
            } else if incoming.frame.command == Command::Receipt || incoming.header("message").is_some() {
                answers += 1;
            } else {
                assert!(!is_out, "of the room: {incoming:?}");
            }
        }
    }
    let rows = world.rows_up_to(room, last).await;
    for node in 0..bos.len() {
        let seq = |by: &str| {
            let content = format!("{by} at {node}");
            rows.iter().rev().find(|(_, said)| *said == content).map(|(seq, _)| *seq)
        };
        assert!(seq("bo") < seq("end"), "node {node}: {:?} {:?}", seq("bo"), seq("end"));
    }
}

/// Messages that are on their way when somebody is put out.
const SENDS: usize = 200;

async fn a_deleted_meetups_room_stays_closed(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut followers = Vec::new();
    for person in [&anna, &bo] {
        followers.extend(on_every_node(world, person).await);
    }
    for peer in &mut followers {
        follow(peer, room).await;
    }
    delete(world, room).await;
    for peer in &mut followers {
        assert_eq!(told_of_end(peer, room).await, "room closed");
    }
    // Delivered again, and one that was on its way.
    world.tell(MeetupEvent::MeetupDeleted { meetup: meetup(room) }).await;
    world.tell(MeetupEvent::MemberJoined { meetup: meetup(room), user: bo.id, version: 9 }).await;
    for person in [&anna, &bo] {
        for mut peer in on_every_node(world, person).await {
            peer.subscribe("errors", ERRORS).await;
            for _ in 0..2 {
                refused(&mut peer, Command::Subscribe, &format!("/chat/{room}")).await;
                refused(&mut peer, Command::Send, &format!("/app/chat/{room}")).await;
            }
        }
    }
}

async fn who_withdraws_is_cut_off_everywhere_and_stays_out(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let (mut peers, idle) = (on_every_node(world, &bo).await, on_every_node(world, &bo).await);
    for peer in &mut peers {
        follow(peer, room).await;
    }
    sqlx::query("update users set withdrawn_at = now() where id = $1")
        .bind(bo.id)
        .execute(&world.pool)
        .await
        .unwrap();
    world.put_out(room, &bo, "left", LeaveReason::Withdrawn).await;
    world.tell(MeetupEvent::UserWithdrawn { user: bo.id }).await;
    for peer in peers.into_iter().chain(idle) {
        peer.farewell().await.assert_error("the account was withdrawn, do not reconnect", 1008);
    }
    for restart in [false, true] {
        if restart {
            // A node that starts later knows too.
            world.restart().await;
        }
        let mut client = Client::open(world.addr_for(&bo)).await;
        client.say_connect(&bo.token).await;
        let (message, text) = client.expect_only_error().await;
        assert_eq!((&*message, &*text), ("not allowed", "the account of this access token was withdrawn"));
    }
    world.connect_to(&anna, room).await.post(room, "the others go on").await;
}

crate::world::on_both_backends!(
    who_is_out_is_told_and_lives_on_without_the_room,
    who_does_not_listen_is_closed,
    who_joins_again_is_in_again_and_old_events_change_nothing,
    who_has_joined_again_already_stays_when_told_to_have_left,
    nothing_is_said_in_a_room_by_who_was_told_to_be_out,
    a_deleted_meetups_room_stays_closed,
    who_withdraws_is_cut_off_everywhere_and_stays_out,
);
