//! How many connections there may be, and who is told at the door.

use stomp::Version;

use super::{connected, limited};
use crate::{
    client::PATIENCE,
    peer::{HANDSHAKE, Peer},
    world::{World, metric, metric_becomes},
};

/// What a client is told at the door; the connection is closed behind it.
async fn turned_away(mut peer: Peer) -> String {
    peer.write(format!("{HANDSHAKE}\r\n").as_bytes()).await;
    let response = peer.response().await.expect("an answer");
    assert!(response.contains("\r\nretry-after: "), "{response}");
    // It is not kept, to hear the same again.
    assert!(response.contains("\r\nconnection: close\r\n"), "{response}");
    assert_eq!(peer.bytes().await, None);
    response
}

/// Tries until there is room: who leaves is gone a moment later.
async fn let_in(world: &World) -> Peer {
    let token = world.person().await.token;
    let waited = async {
        loop {
            let mut peer = Peer::dial(world.addr()).await;
            peer.write(format!("{HANDSHAKE}\r\n").as_bytes()).await;
            if peer.response().await.expect("an answer").starts_with("HTTP/1.1 101 ") {
                return peer.connected(&token, Version::V12).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.expect("room in time")
}

#[tokio::test]
async fn connections() {
    limited(&["--max-connections", "3"], async |world| {
        let mut inside = Vec::new();
        for _ in 0..3 {
            inside.push(connected(world).await);
        }
        let response = turned_away(Peer::dial(world.addr()).await).await;
        assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
        assert!(response.contains("MOYIZA_MAX_CONNECTIONS)"), "{response}");
        // Who asks how the node is, is answered.
        assert_eq!(metric(world.addr(), "moyiza_connections").await, 3);
        assert_eq!(metric(world.addr(), "moyiza_connections_refused_total").await, 1);
        // One that says good-bye, and one that does not, make room.
        for polite in [true, false] {
            let leaving = inside.pop().unwrap();
            if polite {
                leaving.farewell_first().await;
            } else {
                drop(leaving);
            }
            inside.insert(0, let_in(world).await);
        }
        for peer in &mut inside {
            peer.works().await;
        }
    })
    .await;
}

#[tokio::test]
async fn connections_are_no_more_than_files() {
    shared::testing::with_database(async |pool, _| {
        let (_, events) = shared::event::local_channel();
        let backend = chat_engine::Backend::Embedded { events };
        let settings = crate::settings::settings("", ["--max-connections", "4000000000"]);
        let Err(error) = chat_engine::start(settings, pool.clone(), backend).await else {
            panic!("it starts");
        };
        let text = error.to_string();
        let starts = "MOYIZA_MAX_CONNECTIONS is 4000000000, but the process may open ";
        let ends = " files, of which it keeps 256 for other things (ulimit -n)";
        assert!(text.starts_with(starts) && text.ends_with(ends), "{text}");
    })
    .await;
}

#[tokio::test]
async fn connections_per_address() {
    limited(&["--max-connections-per-address", "2"], async |world| {
        let inside = (connected(world).await, connected(world).await);
        let response = turned_away(Peer::dial(world.addr()).await).await;
        assert!(response.starts_with("HTTP/1.1 429 "), "{response}");
        assert!(response.contains("MOYIZA_MAX_CONNECTIONS_PER_ADDRESS"), "{response}");
        // Another address is not concerned.
        let other = Peer::dial_from([127, 0, 0, 2], world.addr()).await.upgraded("").await;
        drop(inside);
        let_in(world).await.works().await;
        drop(other);
    })
    .await;
}

#[tokio::test]
async fn connections_per_user() {
    limited(&["--max-connections-per-user", "2"], async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let connect = async || Peer::connect(world.addr(), &anna.token, Version::V12).await;
        let (first, second) = (connect().await, connect().await);
        let mut third = Peer::open(world.addr()).await;
        third.say_connect(&anna.token, Version::V12).await;
        let farewell = third.farewell().await;
        farewell.assert_error(
            "too many connections of this account, close one first (MOYIZA_MAX_CONNECTIONS_PER_USER)",
            1008,
        );
        Peer::connect(world.addr(), &bo.token, Version::V12).await.works().await;
        second.farewell_first().await;
        // Gone a moment later.
        metric_becomes(world.addr(), "moyiza_connections", 2).await;
        connect().await.works().await;
        drop(first);
    })
    .await;
}
