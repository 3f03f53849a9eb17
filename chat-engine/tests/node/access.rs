//! Who gets in, and what the others are told.

use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use shared::{event::MeetupEvent, signing};
use stomp::Command;

use crate::{client::Client, world::World};

async fn a_stranger_is_told_so_and_nothing_else(world: &World) {
    let (anna, eve) = (world.person().await, world.person().await);
    let room = world.room(&[&anna]).await;
    let mut a = world.connect_to(&anna, room).await;
    a.post(room, "비밀").await;

    for destination in [format!("/chat/{room}"), format!("/chatalarm/{room}"), "/chat/999999".into()] {
        let mut stranger = world.connect(&eve).await;
        let headers = [("id", "0"), ("destination", &*destination), ("history", "10"), ("receipt", "r")];
        stranger.send(Command::Subscribe, &headers, "").await;
        let (message, _) = stranger.expect_only_error().await;
        assert_eq!(message, "not a member", "{destination}");
    }
    let mut stranger = world.connect(&eve).await;
    stranger.post_only(room, "나도", "r").await;
    let (message, text) = stranger.expect_only_error().await;
    assert_eq!((&*message, text), ("not a member", format!("you are not a member of room {room}")));
    let mut stranger = world.connect(&eve).await;
    let destination = format!("/app/history/{room}");
    stranger.send(Command::Send, &[("destination", &destination)], "").await;
    assert_eq!(stranger.expect_only_error().await.0, "not a member");
    a.post(room, "끝").await;
    let rows = world.rows(room, 2).await.into_iter().map(|(_, content)| content).collect::<Vec<_>>();
    assert_eq!(rows, ["비밀", "끝"]);
}

async fn who_joined_a_moment_ago_is_no_stranger(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna]).await;
    // The room's members are cached now, without Bo.
    let mut a = world.connect_to(&anna, room).await;
    world.add_row(room, &bo).await;
    // No event has come; subscribing and sending both work.
    let mut b = world.connect_to(&bo, room).await;
    b.post(room, "방금 왔어요").await;
    assert_eq!(a.expect_shown().await.content, "방금 왔어요");
}

async fn who_left_is_cut_off(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut b = world.connect_to(&bo, room).await;
    world.leave(room, &bo).await;
    let error = b.expect(Command::Error).await;
    assert!(error.body.starts_with(b"no longer a member"), "{error:?}");
    let mut b = world.connect(&bo).await;
    b.post_only(room, "아직 있나", "r").await;
    assert_eq!(b.expect_only_error().await.0, "not a member");
}

async fn forged_and_expired_tokens_do_not_connect(world: &World) {
    let anna = world.person().await;
    let public = signing::public_keys(&world.pool).await.unwrap().remove(0);
    let header = |algorithm| Header { kid: Some(public.kid.clone()), ..Header::new(algorithm) };
    let hs256 = jsonwebtoken::encode(
        &header(Algorithm::HS256),
        &anna.claims,
        &EncodingKey::from_secret(&public.public_key),
    );
    let foreign_key = SigningKey::from_bytes(&[9; 32]).to_pkcs8_der().unwrap();
    let foreign = jsonwebtoken::encode(
        &header(Algorithm::EdDSA),
        &anna.claims,
        &EncodingKey::from_ed_der(foreign_key.as_bytes()),
    );
    // {"alg":"none","typ":"JWT"}
    let payload = anna.token.split('.').nth(1).unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.");
    let mut expired = anna.claims.clone();
    expired.exp = expired.iat - 1;
    let expired = world.sign(&expired).await;
    let cases = [
        (hs256.unwrap(), "the access token is not valid"),
        (foreign.unwrap(), "the access token is not valid"),
        (unsigned, "the access token is not valid"),
        ("gibberish".into(), "the access token is not valid"),
        (expired, "the access token has expired"),
    ];
    for (token, expected) in cases {
        let mut client = Client::open(world.addr()).await;
        client.say_connect(&token).await;
        let (message, text) = client.expect_only_error().await;
        assert_eq!((&*message, &*text), ("not allowed", expected), "{token}");
    }
    let mut client = Client::open(world.addr()).await;
    client.send(Command::Connect, &[("accept-version", "1.2")], "").await;
    assert!(client.expect_only_error().await.1.starts_with("CONNECT needs an access token"));
}

async fn all_who_connect_at_once_know_the_first_key(world: &World) {
    // The node started before there was a key.
    let mut people = Vec::new();
    for _ in 0..40 {
        people.push(world.person().await);
    }
    let connects = people.iter().map(|person| world.connect(person));
    futures_util::future::join_all(connects).await;
}

async fn a_revoked_session_is_closed_and_stays_out(world: &World) {
    let anna = world.person().await;
    let connected = world.connect(&anna).await;
    sqlx::query("update sessions set revoked_at = now() where id = $1")
        .bind(anna.claims.sid)
        .execute(&world.pool)
        .await
        .unwrap();
    world.tell(MeetupEvent::SessionRevoked { user: anna.id, session: anna.claims.sid }).await;
    assert!(connected.expect_only_error().await.1.contains("signed out"));
    for restart in [false, true] {
        if restart {
            // A node that starts later knows too.
            world.restart().await;
        }
        let mut client = Client::open(world.addr_for(&anna)).await;
        client.say_connect(&anna.token).await;
        let (message, text) = client.expect_only_error().await;
        assert_eq!((&*message, &*text), ("not allowed", "the session of this access token was signed out"));
    }
}

async fn a_token_that_ends_ends_its_connection(world: &World) {
    let anna = world.person().await;
    let mut claims = anna.claims.clone();
    claims.exp = claims.iat + 1;
    let client = Client::connect(world.addr(), &world.sign(&claims).await).await;
    assert!(client.expect_only_error().await.1.contains("expired"));
}

async fn only_known_pages_may_open_a_web_socket(world: &World) {
    for (origin, allowed) in
        [("http://localhost:8080", true), ("http://evil.example", false), ("null", false)]
    {
        let opened = Client::open_from(world.addr(), Some(origin)).await;
        assert_eq!(opened.is_ok(), allowed, "{origin}");
    }
}

crate::world::on_both_backends!(
    a_stranger_is_told_so_and_nothing_else,
    who_joined_a_moment_ago_is_no_stranger,
    who_left_is_cut_off,
    forged_and_expired_tokens_do_not_connect,
    a_revoked_session_is_closed_and_stays_out,
    all_who_connect_at_once_know_the_first_key,
    a_token_that_ends_ends_its_connection,
    only_known_pages_may_open_a_web_socket,
);
