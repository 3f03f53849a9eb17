//! `/user/queue/errors`: what is refused is said there, and the connection lives on. `/app/token`: it lives on
//! with a fresh token, too.

use std::collections::HashSet;

use shared::{SessionId, token::Claims};
use stomp::{Command, Version};
use time::OffsetDateTime;

use crate::{
    peer::Peer,
    world::{Person, World},
};

const ERRORS: &str = "/user/queue/errors";

async fn refusals_are_told_and_the_connection_lives_on(world: &World) {
    let (anna, eve) = (world.person().await, world.person().await);
    let room = world.room(&[&anna]).await;
    let (chat, history) = (format!("/app/chat/{room}"), format!("/app/history/{room}"));
    let (own, long) = (world.room(&[&eve]).await, format!("{{\"content\":\"{}\"}}", "x".repeat(8193)));
    let (own, edit, foreign) =
        (format!("/app/chat/{own}"), format!("/app/edit/{own}"), format!("/chat/{room}"));
    let stranger = format!("you are not a member of room {room}");
    let cases = [
        (Command::Send, &*chat, "{\"content\":\"나도\"}", "not a member", &*stranger),
        (Command::Send, &history, "", "not a member", &stranger),
        (Command::Subscribe, &foreign, "", "not a member", &stranger),
        (Command::Send, &own, &long, "message too long", "the message is 8193 bytes long; 8192 are allowed"),
        (Command::Send, &own, "{\"content\":\" \"}", "bad body", "the message is empty"),
        (
            Command::Send,
            &edit,
            "{\"content\":\"x\"}",
            "bad header",
            "the header \"seq\" is missing: expected a seq",
        ),
        (
            Command::Subscribe,
            "/y",
            "",
            "unknown destination",
            "there is no destination \"/y\" to SUBSCRIBE to",
        ),
        (Command::Send, "/x", "x", "unknown destination", "there is no destination \"/x\" to SEND to"),
    ];
    let mut peer = Peer::connect(world.addr_for(&eve), &eve.token, Version::V12).await;
    for (command, destination, body, title, text) in cases {
        // Nobody listens: an ERROR, and the end.
        let mut deaf = Peer::connect(world.addr_for(&eve), &eve.token, Version::V12).await;
        let headers = [("destination", destination), ("id", "s"), ("receipt", "mine")];
        deaf.say(command, &headers, body.as_bytes()).await;
        let error = deaf.expect(Command::Error).await;
        assert_eq!((error.header("message"), error.header("receipt-id")), (Some(title), Some("mine")));
        deaf.farewell().await.assert_error(text, 1008);

        peer.subscribe("errors", ERRORS).await;
        let mut ids = HashSet::new();
        for receipt in [Some("mine"), Some("mine"), None, None] {
            peer.say(command, &headers[..if receipt.is_some() { 3 } else { 2 }], body.as_bytes()).await;
            let told = peer.expect(Command::Message).await;
            assert_eq!(
                (told.header("subscription"), told.header("destination")),
                (Some("errors"), Some(ERRORS))
            );
            assert_eq!((told.header("message"), told.header("receipt-id")), (Some(title), receipt));
            assert_eq!(told.body(), text);
            // Which subscription there is not is said in any case; an UNSUBSCRIBE that crosses that does no harm.
            let ended = (told.header("ended-subscription"), told.header("ended-destination"));
            if command == Command::Subscribe {
                assert_eq!(ended, (Some("s"), Some(destination)));
                peer.say(Command::Unsubscribe, &[("id", "s")], b"").await;
            } else {
                assert_eq!(ended, (None, None));
            }
            let is_new = ids.insert(told.header("message-id").unwrap().to_owned());
            assert!(is_new, "a message-id names one message: {told:?}");
        }
        peer.works().await;
        peer.say(Command::Unsubscribe, &[("id", "errors")], b"").await;
    }
}

async fn a_protocol_violation_is_an_error_all_the_same(world: &World) {
    let anna = world.person().await;
    let cases = [
        (Command::Send, None, "SEND needs the header \"destination\""),
        (Command::Unsubscribe, Some(("id", "x")), "there is no subscription \"x\""),
        (
            Command::Ack,
            Some(("id", "1@errors")),
            "no message \"1\" was delivered that waits for an acknowledgement",
        ),
        (Command::Commit, Some(("transaction", "t")), "there is no transaction \"t\""),
        (Command::Connect, None, "CONNECT came twice"),
    ];
    for (command, header, text) in cases {
        let mut peer = Peer::connect(world.addr(), &anna.token, Version::V12).await;
        peer.subscribe("errors", ERRORS).await;
        let headers: Vec<_> = header.into_iter().chain([("receipt", "mine")]).collect();
        peer.say(command, &headers, b"").await;
        let error = peer.expect(Command::Error).await;
        assert_eq!(error.header("receipt-id"), Some("mine"));
        peer.farewell().await.assert_error(text, 1008);
    }
}

async fn what_is_told_is_not_acknowledged(world: &World) {
    let anna = world.person().await;
    let mut peer = Peer::connect(world.addr(), &anna.token, Version::V12).await;
    // A MESSAGE would have to bring an `ack` then (STOMP 1.2 "MESSAGE").
    peer.say(Command::Subscribe, &[("id", "e"), ("destination", ERRORS), ("ack", "client")], b"").await;
    let farewell = peer.farewell().await;
    farewell.assert_error("the header \"ack\" is \"client\": /user/queue/errors supports only auto", 1008);
}

/// A token of the same session that is good for so many seconds.
async fn token(world: &World, person: &Person, seconds: i64) -> (Claims, String) {
    let mut claims = person.claims.clone();
    claims.exp = OffsetDateTime::now_utc().unix_timestamp() + seconds;
    let token = world.sign(&claims).await;
    (claims, token)
}

/// Reads the `token` event: the seconds that it says are left.
async fn told_of_token(peer: &mut Peer) -> i64 {
    let event = peer.expect(Command::Message).await;
    assert_eq!(event.header("destination"), Some(ERRORS));
    let event: serde_json::Value = serde_json::from_str(event.body()).unwrap();
    assert_eq!(event["type"], "token");
    event["expiresInSeconds"].as_i64().unwrap()
}

async fn a_token_about_to_end_is_told_and_a_fresh_one_takes_its_place(world: &World) {
    let anna = world.person().await;
    let (first, short) = token(world, &anna, 3).await;
    // The same with and without a fresh one.
    let mut forgetful = Peer::connect(world.addr(), &short, Version::V12).await;
    let mut peer = Peer::connect(world.addr(), &short, Version::V12).await;
    for peer in [&mut forgetful, &mut peer] {
        peer.subscribe("errors", ERRORS).await;
        assert!(told_of_token(peer).await <= 3);
    }
    let (fresh, renewed) = token(world, &anna, 6).await;
    let bearer = format!("Bearer {renewed}");
    let headers = [("destination", "/app/token"), ("Authorization", &*bearer), ("receipt", "renewed")];
    peer.say(Command::Send, &headers, b"").await;
    peer.receipt("renewed").await;
    // This one, too, ends within a minute.
    assert!(told_of_token(&mut peer).await <= 6);
    for (peer, ends) in [(forgetful, first.exp), (peer, fresh.exp)] {
        let farewell = peer.farewell().await;
        farewell.assert_error("the access token has expired, reconnect with a fresh one", 1008);
        assert!(OffsetDateTime::now_utc().unix_timestamp() >= ends, "closed too early");
    }
}

async fn who_subscribes_late_is_told_too_and_nobody_without_need(world: &World) {
    let anna = world.person().await;
    let (_, short) = token(world, &anna, 50).await;
    let mut peer = Peer::connect(world.addr(), &short, Version::V12).await;
    peer.works().await;
    // The moment to tell comes for whoever came first, and only the second sees it.
    let mut second = Peer::connect(world.addr(), &short, Version::V12).await;
    second.subscribe("errors", ERRORS).await;
    assert!((40..=50).contains(&told_of_token(&mut second).await));
    peer.subscribe("errors", ERRORS).await;
    assert!((40..=50).contains(&told_of_token(&mut peer).await));
    let (_, long) = token(world, &anna, 600).await;
    let headers = [("destination", "/app/token"), ("passcode", &*long), ("receipt", "renewed")];
    peer.say(Command::Send, &headers, b"").await;
    peer.receipt("renewed").await;
    // Now there is nothing to tell.
    peer.subscribe("errors again", ERRORS).await;
    peer.works().await;
}

async fn a_token_of_somebody_else_is_refused(world: &World) {
    let (anna, eve) = (world.person().await, world.person().await);
    let mut other_session = anna.claims.clone();
    other_session.sid =
        sqlx::query_scalar::<_, SessionId>("insert into sessions (user_id) values ($1) returning id")
            .bind(anna.id)
            .fetch_one(&world.pool)
            .await
            .unwrap();
    let (_, expired) = token(world, &anna, -1).await;
    let foreign = "the access token is of another person or session";
    let cases = [
        (eve.token.clone(), foreign),
        (world.sign(&other_session).await, foreign),
        (expired, "the access token has expired"),
        ("gibberish".into(), "the access token is not valid"),
        (
            String::new(),
            "a SEND to /app/token needs an access token, as `Authorization: Bearer …`, in `passcode`, or as the body",
        ),
    ];
    let mut peer = Peer::connect(world.addr(), &anna.token, Version::V12).await;
    peer.subscribe("errors", ERRORS).await;
    for (token, text) in cases {
        // As the body.
        let headers = [("destination", "/app/token"), ("receipt", "r")];
        peer.say(Command::Send, &headers, token.as_bytes()).await;
        let told = peer.expect(Command::Message).await;
        assert_eq!((told.header("message"), told.header("receipt-id")), (Some("not allowed"), Some("r")));
        assert_eq!(told.body(), text);
    }
    peer.works().await;
    let mut deaf = Peer::connect(world.addr(), &anna.token, Version::V12).await;
    deaf.say(Command::Send, &[("destination", "/app/token")], eve.token.as_bytes()).await;
    deaf.farewell().await.assert_error(foreign, 1008);
}

crate::world::on_both_backends!(
    refusals_are_told_and_the_connection_lives_on,
    a_protocol_violation_is_an_error_all_the_same,
    what_is_told_is_not_acknowledged,
    a_token_about_to_end_is_told_and_a_fresh_one_takes_its_place,
    who_subscribes_late_is_told_too_and_nobody_without_need,
    a_token_of_somebody_else_is_refused,
);
