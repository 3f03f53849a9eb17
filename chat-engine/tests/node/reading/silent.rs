//! Changes that never came: found at the next one, or by asking, and what was missed is fetched, not everything.

use super::ground::{Ground, with_ground};
use crate::{client::Client, world::Person};

/// Everybody in it, and three messages that Bo and Cho have not read.
struct Scene {
    people: [Person; 3],
    room: i64,
    a: Client,
    seqs: [i64; 3],
}

async fn scene(ground: &Ground<'_>) -> Scene {
    let world = ground.world;
    let people = [world.person().await, world.person().await, world.person().await];
    let room = world.room(&[&people[0], &people[1], &people[2]]).await;
    let mut a = ground.follow(0, &people[0], room).await;
    let seqs = [a.post(room, "하나").await, a.post(room, "둘").await, a.post(room, "셋").await];
    for seq in seqs {
        a.expect_count(seq, 2).await;
    }
    let members: Vec<_> = people.iter().collect();
    ground.agree(room, &members, &mut [(&people[0], &mut a)]).await;
    Scene { people, room, a, seqs }
}

/// Bo has read the second message, which no node hears of.
async fn read_unheard(ground: &Ground<'_>, scene: &Scene) {
    let Scene { room, people: [_, bo, _], seqs, .. } = scene;
    let keys: Vec<_> =
        ["positions", "active", "meta", "changes", "checkpoints"].map(|name| ground.key(*room, name)).into();
    let generation = ground.redis.ask(&format!("HGET {} generation", keys[2])).await;
    let generation = generation.lines().nth(1).unwrap();
    let call = format!("FCALL moyiza_read 5 {} nowhere {generation} {} {}", keys.join(" "), bo.id, seqs[1]);
    let done = ground.redis.ask(&call).await;
    assert!(done.contains(&format!("{} {}", bo.id, seqs[1])), "{done}");
}

async fn expect_repaired(ground: &Ground<'_>, mut scene: Scene, cho_has_read: bool) {
    let others = i64::from(!cho_has_read);
    for (seq, bo_has_not) in scene.seqs.into_iter().zip([0, 0, 1]) {
        scene.a.expect_count(seq, bo_has_not + others).await;
    }
    let members: Vec<_> = scene.people.iter().collect();
    ground.agree(scene.room, &members, &mut [(&scene.people[0], &mut scene.a)]).await;
    assert_eq!(scene.a.resets(), 0, "what was missed is told as it would have been");
}

#[tokio::test]
async fn a_change_that_a_cluster_missed_in_a_silent_room_is_found_by_asking() {
    with_ground(&["--reading-check-ms", "1000"], async |ground| {
        let scene = scene(ground).await;
        read_unheard(ground, &scene).await;
        expect_repaired(ground, scene, false).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_that_a_cluster_missed_is_found_at_the_next() {
    with_ground(&[], async |ground| {
        let scene = scene(ground).await;
        read_unheard(ground, &scene).await;
        // Cho answers without having opened the room.
        let mut c = Client::connect(ground.addr(1), &scene.people[2].token).await;
        c.post(scene.room, "넷").await;
        expect_repaired(ground, scene, true).await;
    })
    .await;
}

#[tokio::test]
async fn a_room_that_nobody_reads_on_a_cluster_is_found_to_be_another_by_asking() {
    with_ground(&["--reading-check-ms", "1000"], async |ground| {
        let scene = scene(ground).await;
        let seq = scene.seqs[2];
        // Anna only listens, so that nobody is to be asserted again.
        let mut listener = Client::connect(ground.addr(1), &scene.people[0].token).await;
        listener.listen(scene.room, 10).await;
        listener.expect_count(seq, 2).await;
        scene.a.disconnect().await;
        ground.reads(scene.room, &scene.people[0], false).await;
        // Bo has read everything, which PostgreSQL knows and this Redis does not.
        sqlx::query("update read_positions set seq = $3 where room_id = $1 and user_id = $2")
            .bind(scene.room)
            .bind(scene.people[1].id)
            .bind(seq)
            .execute(&ground.world.pool)
            .await
            .unwrap();
        ground.redis.ask("FLUSHALL").await;
        listener.expect_count(seq, 1).await;
    })
    .await;
}
