//! People made in bulk, and the demo.

use std::collections::BTreeSet;

use serde_json::json;
use shared::token::LONGEST_TOKEN_LIFETIME;

use crate::support::with_api;

#[tokio::test]
async fn person_i_is_a_member_of_room_i_mod_r_and_of_no_other() {
    with_api(async |api| {
        let seeded = api::seed::people_and_rooms(&api.pool, 7, 3, 1).await.unwrap();
        assert_eq!((seeded.tokens.len(), seeded.rooms.len()), (7, 3));
        for (i, token) in seeded.tokens.iter().enumerate() {
            let mine = api.get("/api/me/meetups", token).await.json();
            let mine: Vec<_> =
                mine.as_array().unwrap().iter().map(|meetup| meetup["id"].as_i64().unwrap()).collect();
            assert_eq!(mine, [seeded.rooms[i % 3].get()]);
        }
        let first = api.get(&format!("/api/meetups/{}", seeded.rooms[0]), &seeded.tokens[0]).await.json();
        assert_eq!((&first["memberCount"], &first["myRole"]), (&json!(3), &json!("owner")));
        let (rooms, positions, outbox): (i64, i64, i64) = sqlx::query_as(
            "select (select count(*) from chat_rooms), (select count(*) from read_positions where seq = 0),
                    (select count(*) from outbox)",
        )
        .fetch_one(&api.pool)
        .await
        .unwrap();
        assert_eq!((rooms, positions, outbox), (3, 7, 0));
        let claims = shared::signing::verifier(&api.pool).await.unwrap().verify(&seeded.tokens[6]).unwrap();
        assert_eq!(claims.exp - claims.iat, LONGEST_TOKEN_LIFETIME.as_secs().cast_signed());
    })
    .await;
}

#[tokio::test]
async fn with_several_rooms_for_each_they_are_those_that_follow_on_one_another() {
    with_api(async |api| {
        let seeded = api::seed::people_and_rooms(&api.pool, 4, 5, 2).await.unwrap();
        for (i, token) in seeded.tokens.iter().enumerate() {
            let mine = api.get("/api/me/meetups", token).await.json();
            let mine: BTreeSet<_> =
                mine.as_array().unwrap().iter().map(|meetup| meetup["id"].as_i64().unwrap()).collect();
            assert_eq!(mine, BTreeSet::from([2 * i, 2 * i + 1].map(|n| seeded.rooms[n % 5].get())));
        }
        for (n, (members, owner)) in [(2, 0), (2, 0), (2, 1), (1, 1), (1, 2)].into_iter().enumerate() {
            let room =
                api.get(&format!("/api/meetups/{}", seeded.rooms[n]), &seeded.tokens[owner]).await.json();
            assert_eq!((&room["memberCount"], &room["myRole"]), (&json!(members), &json!("owner")), "{n}");
        }
        assert!(api::seed::people_and_rooms(&api.pool, 1, 5, 6).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn each_call_makes_new_people_also_fewer_than_rooms() {
    with_api(async |api| {
        let first = api::seed::people_and_rooms(&api.pool, 2, 5, 1).await.unwrap();
        let second = api::seed::people_and_rooms(&api.pool, 2, 5, 1).await.unwrap();
        let rooms: BTreeSet<_> = first.rooms.iter().chain(&second.rooms).collect();
        assert_eq!(rooms.len(), 10);
        let empty = api.get(&format!("/api/meetups/{}", first.rooms[4]), "").await.json();
        assert_eq!(empty["memberCount"], 0);
        assert_eq!(api.get("/api/me/meetups", &second.tokens[1]).await.json().as_array().unwrap().len(), 1);
        assert!(api::seed::people_and_rooms(&api.pool, 0, 1, 1).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_people_take_seconds() {
    with_api(async |api| {
        let began = std::time::Instant::now();
        let seeded = api::seed::people_and_rooms(&api.pool, 10_000, 100, 1).await.unwrap();
        // A row at a time took a minute; the bound leaves room for a busy machine and a debug build.
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
        assert_eq!(api.get("/api/me", &seeded.tokens[9_999]).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn the_demo_is_planted_once_and_its_people_can_log_in() {
    with_api(async |api| {
        let (one, other) = tokio::join!(api::seed::demo(&api.pool), api::seed::demo(&api.pool));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one.is_some() != other.is_some());
        let demo = one.or(other).unwrap();
        assert!(api::seed::demo(&api.pool).await.unwrap().is_none());
        for (n, person) in demo.people.iter().enumerate() {
            let body = json!({"email": person.email, "password": person.password});
            let session = api.post("/api/auth/log-in", body).await.json();
            assert_eq!(
                (&session["user"]["id"], &session["user"]["nickname"]),
                (&json!(person.id), &json!(person.nickname))
            );
            let token = session["accessToken"].as_str().unwrap();
            let mine = api.get("/api/me/meetups", token).await.json();
            let mine: Vec<_> =
                mine.as_array().unwrap().iter().map(|meetup| meetup["id"].as_i64().unwrap()).collect();
            let both = [demo.oneday.get(), demo.club.get()];
            assert_eq!(mine, if n == 0 { &both[1..] } else { &both[..] });
        }
        let oneday = api.get(&format!("/api/meetups/{}", demo.oneday), "").await.json();
        assert_eq!((&oneday["kind"], &oneday["memberCount"]), (&json!("oneday"), &json!(2)));
        // Two in the afternoon in Seoul.
        assert!(oneday["startsAt"].as_str().unwrap().ends_with("T05:00:00Z"), "{oneday}");
    })
    .await;
}

#[tokio::test]
async fn where_somebody_is_there_is_no_demo() {
    with_api(async |api| {
        api.person("kim").await;
        assert!(api::seed::demo(&api.pool).await.unwrap().is_none());
    })
    .await;
}
