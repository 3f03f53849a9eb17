//! People coming, going, reloading and talking all at once: when it is quiet again, every open tab shows what
//! somebody sees who looks for the first time.

use std::collections::BTreeMap;

use crate::{
    client::Client,
    world::{Person, World},
};

const PEOPLE: usize = 6;
const STEPS: usize = 150;
const STORMS: u64 = 4;

pub(crate) async fn after_a_storm_every_tab_shows_the_same(world: &World) {
    for seed in 0..STORMS {
        storm(world, seed).await;
    }
}

async fn storm(world: &World, seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        people.push(world.person().await);
    }
    let room = world.room(&people.iter().collect::<Vec<_>>()).await;
    let mut tabs: Vec<(Person, Client)> = Vec::new();
    for step in 0..STEPS {
        let person = people[dice.usize(..PEOPLE)].clone();
        match dice.u32(..10) {
            0..=2 => {
                let mut tab = world.connect(&person).await;
                tab.follow_with_history(room, 200).await;
                tabs.push((person, tab));
            }
            // A tab that is closed says nothing.
            3 if !tabs.is_empty() => drop(tabs.swap_remove(dice.usize(..tabs.len()))),
            4 if !tabs.is_empty() => tabs.swap_remove(dice.usize(..tabs.len())).1.disconnect().await,
            // Reloaded: the old one is not waited for.
            5 if !tabs.is_empty() => {
                let (person, old) = tabs.swap_remove(dice.usize(..tabs.len()));
                let mut tab = world.connect(&person).await;
                drop(old);
                tab.follow_with_history(room, 200).await;
                tabs.push((person, tab));
            }
            6..=8 if !tabs.is_empty() => {
                let tab = dice.usize(..tabs.len());
                tabs[tab].1.post_only(room, &format!("{seed}/{step}"), "r").await;
            }
            // Without having opened the room.
            _ => {
                world.connect(&person).await.post(room, "지나가다").await;
            }
        }
    }
    for (_, tab) in &mut tabs {
        tab.drain().await;
    }
    let mut witness = world.connect(&people[0]).await;
    witness.listen(room, 200).await;
    let truth: BTreeMap<i64, i64> = witness.counts().clone();
    assert!(!truth.is_empty());
    // What came while others were waited for.
    for (_, tab) in &mut tabs {
        tab.drain().await;
    }
    witness.drain().await;
    assert_eq!(witness.counts(), &truth, "seed {seed}: it was not quiet");
    for (person, tab) in &tabs {
        assert_eq!(tab.counts(), &truth, "seed {seed}, {person:?}");
    }
    let readers = tabs.iter().map(|(person, _)| person.id).collect::<std::collections::BTreeSet<_>>();
    let last = *truth.last_key_value().expect("not empty").1;
    let others = i64::try_from(PEOPLE - readers.len()).unwrap();
    assert!((0..=others).contains(&last), "seed {seed}: {last} unread, {others} are not reading");
}

crate::world::on_both_backends!(after_a_storm_every_tab_shows_the_same);
