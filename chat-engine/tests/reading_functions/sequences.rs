//! Random sequences of everything that is done to a room: every answer, every change and every snapshot of Redis is that
//! of the memory's rules.

use std::collections::{BTreeMap, BTreeSet};

use chat_engine::reading::{
    Change, Effect, Incarnation, Life, Snapshot,
    state::{Checkpoint, RoomState},
};
use shared::testing;

use crate::{GENERATION, Room, connect, seq, user};

const SEQUENCES: u64 = 80;
const OPERATIONS: usize = 80;

#[tokio::test]
async fn the_functions_do_what_the_model_does() {
    let client = connect().await;
    let tag = testing::unique("functions");
    for seed in 0..SEQUENCES {
        let room = Room { client: client.clone(), tag: format!("{tag}.{seed}") };
        compare(&room, seed).await;
        room.forget().await;
    }
}

/// One random sequence on both.
struct Pair<'a> {
    dice: fastrand::Rng,
    room: &'a Room,
    model: RoomState,
    generation: u64,
    /// The last record of the log.
    head: i64,
    /// Attempts and checkpoints of nodes.
    number: u64,
    /// Nodes that have made calls.
    called: BTreeSet<u64>,
    /// A copy that is brought up to date now and then.
    copy: Snapshot,
}

/// Runs one random sequence on both: every answer, every change and every snapshot is the same.
async fn compare(room: &Room, seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    // Members 1 to 3 are stored; 4 and 5 come later.
    let stored: Vec<_> = (1..=3).map(|id| (user(id), seq(dice.i64(0..5)))).collect();
    let (life, told) = (Life(u64::MAX - seed), seq(5));
    assert_eq!(room.refusal(GENERATION, "moyiza_enter", &["1".into(), "1".into()]).await, "COLD");
    room.load(life, told, &stored).await;
    let model = RoomState::load(life, stored, told);
    let copy = model.snapshot();
    let mut pair =
        Pair { dice, room, model, generation: GENERATION, head: 5, number: 1, called: BTreeSet::new(), copy };
    for step in 0..OPERATIONS {
        let at = format!("seed {seed}, step {step}");
        let before = pair.model.snapshot();
        let mut expected = pair.step(&at).await;
        let (life, version, positions) = pair.room.snapshot_of(pair.generation).await;
        let after = pair.model.snapshot();
        assert_eq!((life, version), (after.life, after.version), "{at}");
        assert_eq!(positions, after.positions.into_iter().collect(), "{at}");
        let some = [user(pair.dice.i64(1..=5)), user(pair.dice.i64(1..=6))];
        assert_eq!(pair.room.positions_of(pair.generation, &some).await, pair.model.positions(&some), "{at}");
        if life == before.life {
            let mut changes =
                pair.room.changes_of(pair.generation, life, before.version).await.expect("so many are kept");
            // Who of a dead node's readers comes first makes no difference.
            changes.sort_unstable_by_key(|change| change.user);
            expected.sort_unstable_by_key(|change| change.user);
            let plain = |changes: &[Change]| {
                changes.iter().map(|change| (change.user, change.to)).collect::<Vec<_>>()
            };
            assert_eq!(plain(&changes), plain(&expected), "{at}");
        }
        pair.catch_up(&at).await;
    }
}

impl Pair<'_> {
    /// Does something on both. What it changed.
    async fn step(&mut self, at: &str) -> Vec<Change> {
        let (room, generation) = (self.room, self.generation);
        let (who, node) = (user(self.dice.i64(1..=5)), self.dice.u64(1..=3));
        let place = seq(self.dice.i64(0..=self.head));
        self.number += 1;
        let words = [node.to_string(), self.number.to_string(), who.to_string(), place.to_string()];
        let kind = self.dice.u8(0..30);
        if matches!(kind, 0..=13 | 16..=19) {
            self.called.insert(node);
        }
        match kind {
            0..=6 => {
                let expected = self.model.enter(who, Incarnation(node));
                let life = self.model.snapshot().life.0.to_string();
                let own = [&words[..3], &[life]].concat();
                assert_eq!(room.change_of(generation, "moyiza_enter", &own).await, expected, "{at}");
                expected.ok().flatten().into_iter().collect()
            }
            7..=13 => {
                let expected = self.model.leave(who, Incarnation(node), place);
                assert_eq!(room.change_of(generation, "moyiza_leave", &words).await, Ok(expected), "{at}");
                expected.into_iter().collect()
            }
            14..=15 => {
                let expected = self.model.advance(who, place);
                let own = [who.to_string(), place.to_string()];
                assert_eq!(room.change_of(generation, "moyiza_read", &own).await, Ok(expected), "{at}");
                expected.into_iter().collect()
            }
            16..=19 => {
                let head = self.head;
                let mut lagging = || (user(self.dice.i64(1..=5)), seq(self.dice.i64(0..=head)));
                let own = [lagging(), lagging()][..usize::from(self.dice.u8(0..=2))].to_vec();
                let lagging: Vec<_> = own.iter().map(|(who, seq)| format!(" {who}:{seq}")).collect();
                let nothing = self.dice.u8(0..5) == 0;
                let checkpoint = (!nothing).then_some(Checkpoint { all: place, own });
                let line = if nothing { String::new() } else { format!("{place}{}", lagging.concat()) };
                // Some are repeated.
                let number = self.number - self.dice.u64(0..9).min(self.number);
                let expected = self.model.checkpoint(Incarnation(node), number, checkpoint);
                let own = [words[0].clone(), words[1].clone(), number.to_string(), line];
                let done = room.change_of(generation, "moyiza_checkpoint", &own).await;
                assert_eq!(done, expected.map(|()| None), "{at}");
                Vec::new()
            }
            // A node dies seldom, for it stays dead.
            20 => {
                self.called.remove(&node);
                room.call_of(generation, "moyiza_bury", &[node.to_string()]).await;
                self.model.bury(Incarnation(node))
            }
            // So does Redis.
            21 => self.begin_anew(at).await,
            // A call of a node that has made others since: only what they have taken is heard.
            22..=23 if self.called.contains(&node) => {
                let own = [words[0].clone(), "1".to_owned(), words[2].clone(), words[3].clone()];
                for function in ["moyiza_enter", "moyiza_checkpoint"] {
                    assert_eq!(room.refusal(generation, function, &own).await, "LATE", "{at}");
                }
                let expected = self.model.advance(who, place);
                assert_eq!(room.change_of(generation, "moyiza_leave", &own).await, Ok(expected), "{at}");
                expected.into_iter().collect()
            }
            _ => self.tell().await,
        }
    }

    /// Records are told, some of them again, as after a crash.
    async fn tell(&mut self) -> Vec<Change> {
        let effects = [(Effect::Sent, "sent"), (Effect::Joined, "joined"), (Effect::Left, "left")];
        let (mut changes, mut arguments) = (Vec::new(), Vec::new());
        let mut at = self.head + 1 - self.dice.i64(0..2);
        for _ in 0..=self.dice.u8(0..2) {
            let (who, (effect, name)) = (user(self.dice.i64(1..=5)), effects[self.dice.usize(0..3)]);
            changes.extend(self.model.tell(seq(at), who, effect));
            arguments.extend([seq(at).to_string(), who.to_string(), name.to_owned()]);
            at += 1;
        }
        self.head = self.head.max(at - 1);
        self.room.call_of(self.generation, "moyiza_tell", &arguments).await;
        changes
    }

    /// Redis is another one: the room is loaded with what is stored, and whoever knows only the one before is refused.
    async fn begin_anew(&mut self, at: &str) -> Vec<Change> {
        let (old, life) = (self.generation, Life(self.model.snapshot().life.0 / 2));
        self.generation += 1;
        self.called.clear();
        let stored: Vec<_> = (1..=5).map(|id| (user(id), seq(self.dice.i64(0..=self.head)))).collect();
        let told = seq(self.head);
        self.room.load_of(self.generation, life, told, &stored).await;
        self.model = RoomState::load(life, stored, told);
        for function in
            ["moyiza_snapshot", "moyiza_enter", "moyiza_begin_load", "moyiza_tell", "moyiza_version"]
        {
            assert_eq!(
                self.room.refusal(old, function, &["1".into(), "1".into()]).await,
                format!("STALE {}", self.generation),
                "{at}, {function}"
            );
        }
        Vec::new()
    }

    /// What was missed since some earlier step brings a copy up to date, unless that was in another life.
    async fn catch_up(&mut self, at: &str) {
        if self.dice.u8(0..8) > 0 {
            return;
        }
        let snapshot = self.model.snapshot();
        let copy = std::mem::replace(&mut self.copy, snapshot.clone());
        let missed = self.room.changes_of(self.generation, copy.life, copy.version).await;
        assert_eq!(missed.is_some(), copy.life == snapshot.life, "{at}");
        let Some(missed) = missed else { return };
        let mut positions: BTreeMap<_, _> = copy.positions.into_iter().collect();
        for change in missed {
            match change.to {
                Some(to) => drop(positions.insert(change.user, to)),
                None => drop(positions.remove(&change.user)),
            }
        }
        assert_eq!(positions, snapshot.positions.into_iter().collect(), "{at}");
    }
}
