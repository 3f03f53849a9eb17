//! Meetups and who is in them.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shared::event::MeetupEvent;

use crate::support::with_api;

#[tokio::test]
async fn whoever_opens_a_club_owns_it_and_is_its_first_member() {
    with_api(async |api| {
        let mut events = api.events();
        let kim = api.person("kim").await;
        let body = json!({
            "kind": "club", "title": " 한강 새벽 러닝 ", "content": "화·목 6시 반", "category": "exercise",
            "capacity": 20,
        });
        let answer = api.call(Method::POST, "/api/meetups", &kim.token, Some(body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let club = answer.json();
        let id = club["id"].as_i64().unwrap();
        assert_eq!(answer.header("location"), format!("/api/meetups/{id}"));
        let expected = json!({
            "id": id, "kind": "club", "title": "한강 새벽 러닝", "content": "화·목 6시 반",
            "category": "exercise", "capacity": 20, "memberCount": 1, "startsAt": null, "place": null,
            "createdAt": club["createdAt"], "owner": {"id": kim.id, "nickname": "kim"}, "myRole": "owner",
        });
        assert_eq!(club, expected);
        assert!(club["createdAt"].as_str().unwrap().ends_with('Z'));

        let MeetupEvent::MemberJoined { meetup, user, version } = events.next().await else { panic!() };
        assert_eq!((meetup.get(), user.get(), version), (id, kim.id, 1));
        let rooms: i64 =
            sqlx::query_scalar("select count(*) from chat_rooms").fetch_one(&api.pool).await.unwrap();
        assert_eq!(rooms, 1);

        let mine = api.get("/api/me/meetups", &kim.token).await.json();
        assert_eq!(mine[0]["id"], id);
        assert!(mine[0].get("content").is_none());
        // Others see it without a role.
        let seen = api.get(&format!("/api/meetups/{id}"), "").await.json();
        assert_eq!(seen["myRole"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_club_that_cannot_be_opened_names_every_reason() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        let create = |body| api.call(Method::POST, "/api/meetups", &kim.token, Some(body));
        let problem =
            create(json!({"kind": "x", "category": "y", "title": ""})).await.problem(422, "invalid");
        let fields: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
        assert_eq!(fields, ["kind", "title", "category", "capacity"]);

        let good = json!({"kind": "club", "title": "모임", "category": "hobby", "capacity": 2});
        let with = |field: &str, value: Value| {
            let mut body = good.clone();
            body[field] = value;
            create(body)
        };
        with("capacity", json!(1)).await.field_problem(422, "capacity", "range");
        with("capacity", json!(9_000_000_000_i64)).await.field_problem(422, "capacity", "range");
        with("capacity", json!("two")).await.field_problem(422, "capacity", "type");
        with("title", json!("가".repeat(41))).await.field_problem(422, "title", "too-long");
        with("content", json!("가".repeat(5_001))).await.field_problem(422, "content", "too-long");
        with("content", json!("a\0b")).await.field_problem(422, "content", "characters");
        with("kind", json!("oneday")).await.field_problem(422, "kind", "unsupported");
        assert_eq!(create(good.clone()).await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn joining_and_leaving() {
    with_api(async |api| {
        let mut events = api.events();
        let (kim, lee) = (api.person("kim").await, api.person("lee").await);
        let club = api.club(&kim.token, 3).await;
        events.next().await;

        let joined = api.join(club, &lee.token).await;
        assert_eq!(joined.status, 201, "{joined:?}");
        let membership = joined.json();
        let joined_at = &membership["joinedAt"];
        let expected = json!({"meetupId": club, "userId": lee.id, "role": "member", "joinedAt": joined_at});
        assert_eq!(membership, expected);
        api.join(club, &lee.token).await.problem(409, "already-member");
        let detail = api.get(&format!("/api/meetups/{club}"), &lee.token).await.json();
        assert_eq!((&detail["memberCount"], &detail["myRole"]), (&json!(2), &json!("member")));

        assert_eq!(api.leave(club, &lee.token).await.status, 204);
        api.leave(club, &lee.token).await.problem(404, "not-found");
        assert_eq!(api.get("/api/me/meetups", &lee.token).await.json(), json!([]));
        assert_eq!(api.join(club, &lee.token).await.status, 201);
        assert_eq!(api.get(&format!("/api/meetups/{club}"), "").await.json()["memberCount"], 2);

        // Every change has its own version, and its event comes in their order.
        for expected in 1..=3 {
            let (joined, version) = match events.next().await {
                MeetupEvent::MemberJoined { version, .. } => (true, version),
                MeetupEvent::MemberLeft { version, .. } => (false, version),
                other => panic!("{other:?}"),
            };
            assert_eq!((joined, version), (expected != 2, expected));
        }
    })
    .await;
}

#[tokio::test]
async fn an_owner_does_not_just_leave() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        let club = api.club(&kim.token, 3).await;
        api.leave(club, &kim.token).await.problem(409, "owner-cannot-leave");
        assert_eq!(api.get(&format!("/api/meetups/{club}"), "").await.json()["memberCount"], 1);
    })
    .await;
}

#[tokio::test]
async fn the_banned_and_the_unknown_stay_out() {
    with_api(async |api| {
        let (kim, lee) = (api.person("kim").await, api.person("lee").await);
        let club = api.club(&kim.token, 3).await;
        api.join(club, &lee.token).await;
        api.sql("update memberships set state = 'banned' where role = 'member'").await;
        api.sql("update meetups set member_count = 1").await;
        api.join(club, &lee.token).await.problem(403, "banned");
        api.leave(club, &lee.token).await.problem(404, "not-found");
        api.join(club + 1, &lee.token).await.problem(404, "not-found");
        api.join(club, "").await.problem(401, "unauthenticated");
        api.sql("update meetups set deleted_at = now()").await;
        for answer in [
            api.join(club, &lee.token).await,
            api.get(&format!("/api/meetups/{club}"), "").await,
            api.get(&format!("/api/meetups/{club}/members"), &kim.token).await,
        ] {
            answer.problem(404, "not-found");
        }
        assert_eq!(api.get("/api/meetups", "").await.json()["items"], json!([]));
        assert_eq!(api.get("/api/me/meetups", &kim.token).await.json(), json!([]));
    })
    .await;
}

#[tokio::test]
async fn of_two_hundred_who_join_at_once_exactly_fifty_get_the_fifty_places() {
    with_api(async |api| {
        let seeded = api::seed::people_and_rooms(&api.pool, 201, 201, 1).await.unwrap();
        let (owner, others) = seeded.tokens.split_first().unwrap();
        let club = api.club(owner, 51).await;
        let answers = join_all(others.iter().map(|token| api.join(club, token))).await;
        let admitted = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(admitted, 50);
        for refused in answers.iter().filter(|answer| answer.status != 201) {
            refused.problem(409, "full");
        }
        let (count, rows): (i32, i64) = sqlx::query_as(
            "select member_count, (select count(*) from memberships where meetup_id = id and state = 'member')
             from meetups where id = $1",
        )
        .bind(club)
        .fetch_one(&api.pool)
        .await
        .unwrap();
        assert_eq!((count, rows), (51, 51));
    })
    .await;
}

#[tokio::test]
async fn one_person_who_joins_and_leaves_many_times_at_once_is_counted_once() {
    with_api(async |api| {
        let (kim, lee) = (api.person("kim").await, api.person("lee").await);
        let club = api.club(&kim.token, 10).await;
        let answers = join_all((0..20).map(|_| api.join(club, &lee.token))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        assert_eq!(api.get(&format!("/api/meetups/{club}"), "").await.json()["memberCount"], 2);
        let answers = join_all((0..20).map(|_| api.leave(club, &lee.token))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 1);
        assert_eq!(api.get(&format!("/api/meetups/{club}"), "").await.json()["memberCount"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_meetups_events_are_written_in_the_order_of_its_changes() {
    with_api(async |api| {
        let mut events = api.events();
        let seeded = api::seed::people_and_rooms(&api.pool, 21, 21, 1).await.unwrap();
        let (owner, others) = seeded.tokens.split_first().unwrap();
        let club = api.club(owner, 100).await;
        join_all(others.iter().map(|token| async move {
            api.join(club, token).await;
            api.leave(club, token).await;
            api.join(club, token).await;
        }))
        .await;
        // A consumer that counts never sees more or fewer than there ever were, and each person's versions
        // rise by one.
        let mut versions = std::collections::BTreeMap::new();
        let mut members = BTreeSet::new();
        for _ in 0..61 {
            let (user, version) = match events.next().await {
                MeetupEvent::MemberJoined { user, version, .. } => {
                    assert!(members.insert(user));
                    (user, version)
                }
                MeetupEvent::MemberLeft { user, version, .. } => {
                    assert!(members.remove(&user));
                    (user, version)
                }
                other => panic!("{other:?}"),
            };
            let before = versions.insert(user, version).unwrap_or(0);
            assert_eq!(version, before + 1);
        }
        assert_eq!(members.len(), 21);
    })
    .await;
}

#[tokio::test]
async fn members_see_who_is_and_was_there() {
    with_api(async |api| {
        let (kim, lee, park) = (api.person("kim").await, api.person("lee").await, api.person("park").await);
        let club = api.club(&kim.token, 5).await;
        api.join(club, &lee.token).await;
        let path = format!("/api/meetups/{club}/members");
        api.get(&path, &park.token).await.problem(403, "not-a-member");
        api.get(&path, "").await.problem(401, "unauthenticated");
        api.join(club, &park.token).await;
        api.leave(club, &lee.token).await;
        api.get(&path, &lee.token).await.problem(403, "not-a-member");
        let members = api.get(&path, &park.token).await.json();
        let members: Vec<_> = members.as_array().unwrap().iter().collect();
        let seen = |n: usize| {
            (members[n]["nickname"].as_str(), members[n]["role"].as_str(), members[n]["former"].as_bool())
        };
        assert_eq!(members.len(), 3);
        assert_eq!(seen(0), (Some("kim"), Some("owner"), Some(false)));
        assert_eq!(seen(1), (Some("lee"), Some("member"), Some(true)));
        assert_eq!(seen(2), (Some("park"), Some("member"), Some(false)));
        assert_eq!(members[2]["userId"], park.id);
    })
    .await;
}

#[tokio::test]
async fn the_list_is_paged_newest_first_without_gap_or_repeat() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        let mut opened = Vec::new();
        for _ in 0..5 {
            opened.push(api.club(&kim.token, 5).await);
        }
        opened.reverse();
        let mut seen = Vec::new();
        let mut path = "/api/meetups?limit=2".to_owned();
        loop {
            let page = api.get(&path, "").await.json();
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()));
            let Some(next) = page["next"].as_i64() else { break };
            path = format!("/api/meetups?limit=2&before={next}");
        }
        assert_eq!(seen, opened);
        assert_eq!(api.get("/api/meetups?kind=oneday", "").await.json(), json!({"items": [], "next": null}));
        assert_eq!(api.get("/api/meetups?kind=club", "").await.json()["items"].as_array().unwrap().len(), 5);
        // Exactly a page: there is no next one.
        assert_eq!(api.get("/api/meetups?limit=5", "").await.json()["next"], Value::Null);
        for (query, field, code) in [
            ("limit=0", "limit", "range"),
            ("limit=101", "limit", "range"),
            ("limit=x", "limit", "range"),
            ("before=0", "before", "format"),
            ("kind=both", "kind", "unknown"),
        ] {
            api.get(&format!("/api/meetups?{query}"), "").await.field_problem(422, field, code);
        }
    })
    .await;
}

#[tokio::test]
async fn there_are_nine_categories_in_two_languages() {
    with_api(async |api| {
        let categories = api.get("/api/categories", "").await.json();
        let categories = categories.as_array().unwrap();
        assert_eq!(categories.len(), 9);
        assert_eq!(
            categories[7],
            json!({"key": "self-development", "ko": "자기계발", "en": "Self-development"})
        );
    })
    .await;
}

#[tokio::test]
async fn its_owner_deletes_a_meetup_and_it_is_gone_from_everywhere() {
    with_api(async |api| {
        let mut events = api.events();
        let (kim, lee) = (api.person("kim").await, api.person("lee").await);
        let (club, other) = (api.club(&kim.token, 10).await, api.club(&kim.token, 10).await);
        assert_eq!(api.join(club, &lee.token).await.status, 201);
        let path = format!("/api/meetups/{club}");
        let delete = async |token: &str| api.call(Method::DELETE, &path, token, None).await;
        delete("").await.problem(401, "unauthenticated");
        delete(&lee.token).await.problem(403, "not-owner");
        assert_eq!(delete(&kim.token).await.status, 204);
        delete(&kim.token).await.problem(404, "not-found");
        api.join(club, &lee.token).await.problem(404, "not-found");
        api.leave(club, &lee.token).await.problem(404, "not-found");
        api.get(&path, &kim.token).await.problem(404, "not-found");
        api.get(&format!("{path}/members"), &kim.token).await.problem(404, "not-found");
        for list in ["/api/meetups", "/api/me/meetups"] {
            let text = api.get(list, &kim.token).await.text;
            assert!(
                !text.contains(&format!("\"id\":{club},")) && text.contains(&other.to_string()),
                "{text}"
            );
        }
        let closed: bool = sqlx::query_scalar("select closed_at is not null from chat_rooms where id = $1")
            .bind(club)
            .fetch_one(&api.pool)
            .await
            .unwrap();
        assert!(closed);
        // Behind every event of its members.
        let mut of_club = Vec::new();
        while of_club.len() < 3 {
            match events.next().await {
                MeetupEvent::MemberJoined { meetup, .. } if meetup.get() == club => of_club.push("joined"),
                MeetupEvent::MeetupDeleted { meetup } if meetup.get() == club => of_club.push("deleted"),
                _ => {}
            }
        }
        assert_eq!(of_club, ["joined", "joined", "deleted"]);
    })
    .await;
}
