//! Which records of the log repeat an earlier one.
//!
//! A sender that got no RECEIPT sends again, with the same client-id, perhaps to another node; so a record may be in
//! the log twice. **A record is a repeat iff its partition holds an earlier one of the same [`Key`] whose log time is
//! less than [`WINDOW_MS`] before its own.** Log time is what the log's owner stamped on the record (Kafka: the leader
//! of the partition; embedded: the process), and never runs backwards: a leader whose clock is behind the last one's
//! does not count until it has caught up.
//!
//! Repeats count as earlier ones too: otherwise whether a record is a repeat would depend on a record long gone, and
//! so on where a reader began. As it is every reader says the same, if it begins at the first record whose log time is
//! at most [`WINDOW_MS`] before that of the first record it is asked about. Only which record was the *first* of a
//! chain that was repeated for longer than the window is known to those alone that were there.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest as _, Sha256};
use shared::{RoomId, Seq, UserId};

use crate::record::{Draft, RecordKind};

/// For how long a repeat is one, in milliseconds of log time.
pub const WINDOW_MS: i64 = 10 * 60 * 1000;
/// The log time that one generation covers.
const GENERATION_MS: i64 = WINDOW_MS / 4;

/// What two attempts at the same thing have in common: the sender, the room and the client-id, hashed. Senders choose
/// their client-ids, so the hash is one for which nobody finds two that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of a record; `None` for one that was sent without a client-id, which is never a repeat.
    pub fn of(draft: &Draft) -> Option<Self> {
        let client_id = draft.client_id.as_deref()?;
        // The engine's own `event-…` must not be anybody's to take: who could, would leave unseen.
        let of_system = matches!(draft.kind, RecordKind::Joined | RecordKind::Left);
        Some(Self::new(of_system, draft.room, draft.user, client_id))
    }

    /// The key of what a person sends.
    pub fn sent(room: RoomId, sender: UserId, client_id: &str) -> Self {
        Self::new(false, room, sender, client_id)
    }

    /// The key of a record whose row has to keep it: what an edit said, and with it the client-id in its body, goes
    /// with the next edit. Every other row says it itself.
    pub(crate) fn kept_beside(draft: &Draft) -> Option<[u8; 16]> {
        let changes = matches!(draft.kind, RecordKind::Edited | RecordKind::Deleted);
        Some(Self::of(draft).filter(|_| changes)?.0)
    }

    /// A key that was kept.
    pub(crate) fn from_kept(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn new(of_system: bool, room: RoomId, user: UserId, client_id: &str) -> Self {
        let hash = Sha256::new()
            .chain_update([u8::from(of_system)])
            .chain_update(user.get().to_le_bytes())
            .chain_update(room.get().to_le_bytes())
            .chain_update(client_id)
            .finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&hash[..16]);
        Self(key)
    }
}

/// The keys of the last ten minutes of one partition.
///
/// They are kept by generations of two and a half minutes, and forgotten by the generation: no queue beside the map
/// says what is due. An entry is 24 bytes, 29 to 57 with the map's free places; at 2,000 records a second that is 35
/// to 86 MB for the 10 to 12.5 minutes there are, over all partitions.
#[derive(Debug)]
pub struct Repeats {
    epoch: u16,
    /// The log time of the last record.
    now: i64,
    /// The oldest first.
    generations: VecDeque<Generation>,
}

#[derive(Debug)]
struct Generation {
    start: i64,
    /// The log time of its last key.
    last: i64,
    keys: HashMap<Key, Sighting>,
}

/// The offset of a key's first record, and when the key was last seen: 40 bits and 24 bits of milliseconds since its
/// generation's start.
#[derive(Clone, Copy, Debug)]
struct Sighting(u64);

impl Sighting {
    fn new(first: Seq, after_ms: i64) -> Self {
        // A generation's keys are less than `GENERATION_MS` after its start, which fits.
        Self(first.offset() << 24 | after_ms.cast_unsigned())
    }

    const fn offset(self) -> u64 {
        self.0 >> 24
    }

    const fn after_ms(self) -> i64 {
        (self.0 & 0xff_ffff).cast_signed()
    }
}

impl Repeats {
    /// Nothing of a partition in `epoch` has been seen yet.
    pub const fn new(epoch: u16) -> Self {
        Self { epoch, now: i64::MIN, generations: VecDeque::new() }
    }

    /// Takes the next record: its key, its place and its log time in milliseconds. If it is a repeat, says where the
    /// first one is.
    #[must_use = "a repeat is not to be shown"]
    pub fn take(&mut self, key: Option<Key>, seq: Seq, log_time_ms: i64) -> Option<Seq> {
        self.now = self.now.max(log_time_ms);
        let forgotten = self.now.saturating_sub(WINDOW_MS);
        while self.generations.front().is_some_and(|generation| generation.last <= forgotten) {
            self.generations.pop_front();
        }
        let key = key?;
        let first = self.first(key, self.now);
        let now = self.now;
        let generation = self.generation();
        generation.last = now;
        generation.keys.insert(key, Sighting::new(first.unwrap_or(seq), now - generation.start));
        first
    }

    /// Where the first record with this key is, if one that came at `now_ms` would be a repeat.
    pub fn first(&self, key: Key, now_ms: i64) -> Option<Seq> {
        let now = self.now.max(now_ms);
        // The newest sighting decides.
        let found = self.generations.iter().rev().find_map(|generation| {
            let sighting = generation.keys.get(&key)?;
            Some((generation.start + sighting.after_ms(), sighting.offset()))
        });
        let (last, offset) = found?;
        (now.saturating_sub(last) < WINDOW_MS).then(|| Seq::new(self.epoch, offset))
    }

    /// How many keys are kept.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.keys.len()).sum()
    }

    /// The generation of now.
    fn generation(&mut self) -> &mut Generation {
        let (now, last) = (self.now, self.generations.back());
        if last.is_none_or(|last| now - last.start >= GENERATION_MS) {
            // As many as last time: a map of some 100,000 keys that grows moves them all, while everybody waits.
            let keys = HashMap::with_capacity(last.map_or(0, |last| last.keys.len()));
            self.generations.push_back(Generation { start: now, last: now, keys });
        }
        // There is one: if there was none, it was pushed above.
        let newest = self.generations.len() - 1;
        &mut self.generations[newest]
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const EPOCH: u16 = 3;

    fn key(n: u8) -> Key {
        Key([n; 16])
    }

    fn seq(n: usize) -> Seq {
        Seq::new(EPOCH, n as u64)
    }

    fn draft(room: i64, user: i64, client_id: Option<&str>) -> Draft {
        let (room, user) = (room.try_into().unwrap(), user.try_into().unwrap());
        Draft::message(room, user, client_id.map(Into::into), None, "x")
    }

    #[test]
    fn a_key_is_of_one_sender_in_one_room() {
        let of = |room, user, id| Key::of(&draft(room, user, Some(id)));
        assert_eq!(of(1, 2, "a"), of(1, 2, "a"));
        assert_ne!(of(1, 2, "a"), of(1, 3, "a"));
        assert_ne!(of(1, 2, "a"), of(2, 2, "a"));
        assert_ne!(of(1, 2, "a"), of(1, 2, "b"));
        assert_eq!(Key::of(&draft(1, 2, None)), None);
    }

    #[test]
    fn nobody_takes_the_place_of_a_system_message() {
        let left = Draft::left(1.try_into().unwrap(), 2.try_into().unwrap(), 7);
        assert_eq!(left.client_id.as_deref(), Some("event-7"));
        assert_ne!(Key::of(&left), Key::of(&draft(1, 2, Some("event-7"))));
    }

    #[test]
    fn a_repeat_is_one_for_less_than_ten_minutes() {
        let mut repeats = Repeats::new(EPOCH);
        assert_eq!(repeats.take(Some(key(1)), seq(0), 1000), None);
        assert_eq!(repeats.take(Some(key(1)), seq(1), 1000 + WINDOW_MS - 1), Some(seq(0)));
        // The second counts as an earlier one too.
        assert_eq!(repeats.take(Some(key(1)), seq(2), 1000 + 2 * WINDOW_MS - 2), Some(seq(0)));
        assert_eq!(repeats.take(Some(key(1)), seq(3), 1000 + 3 * WINDOW_MS - 2), None);
        assert_eq!(repeats.take(None, seq(4), 1000 + 3 * WINDOW_MS), None);
    }

    #[test]
    fn in_a_quiet_partition_time_goes_on_all_the_same() {
        let mut repeats = Repeats::new(EPOCH);
        assert_eq!(repeats.take(Some(key(1)), seq(0), 1000), None);
        assert_eq!(repeats.first(key(1), 0), Some(seq(0)), "a clock that is behind counts as the log's");
        assert_eq!(repeats.first(key(1), 1000 + WINDOW_MS - 1), Some(seq(0)));
        assert_eq!(repeats.first(key(1), 1000 + WINDOW_MS), None);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut repeats = Repeats::new(EPOCH);
        for n in 0..100_000_usize {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&n.to_le_bytes());
            let at = i64::try_from(n).unwrap() * WINDOW_MS / 1000;
            assert_eq!(repeats.take(Some(Key(key)), seq(n), at), None);
            assert!(repeats.len() <= 1251, "{} keys of the last {n}", repeats.len());
        }
    }

    /// Keys and log times of a partition: mostly forwards, in steps up to two thirds of the window.
    fn partition() -> impl Strategy<Value = Vec<(Option<Key>, i64)>> {
        let key = prop_oneof![1 => Just(None), 9 => (0..6_u8).prop_map(|n| Some(key(n)))];
        vec((key, prop_oneof![-20_000..60_000_i64, 0..400_000_i64]), 1..80).prop_map(|steps| {
            let mut now = 1_800_000_000_000;
            let at = |(key, step)| {
                now += step;
                (key, now)
            };
            steps.into_iter().map(at).collect()
        })
    }

    /// The rule as it is written.
    fn is_repeat(partition: &[(Option<Key>, i64)], n: usize) -> bool {
        let log_time = |n: usize| partition[..=n].iter().map(|(_, at)| *at).max().unwrap();
        let earlier = (0..n).filter(|earlier| partition[*earlier].0 == partition[n].0);
        partition[n].0.is_some() && earlier.into_iter().any(|i| log_time(n) - log_time(i) < WINDOW_MS)
    }

    fn read_from(partition: &[(Option<Key>, i64)], begin: usize) -> Vec<Option<Seq>> {
        let mut repeats = Repeats::new(EPOCH);
        let take = |(n, (key, at)): (usize, &(Option<Key>, i64))| repeats.take(*key, seq(n), *at);
        partition.iter().enumerate().skip(begin).map(take).collect()
    }

    proptest! {
        #[test]
        fn the_answers_are_the_rules(partition in partition()) {
            let mut first_of = HashMap::new();
            for (n, found) in read_from(&partition, 0).into_iter().enumerate() {
                prop_assert_eq!(found.is_some(), is_repeat(&partition, n), "record {}", n);
                if found.is_none() {
                    first_of.insert(partition[n].0, seq(n));
                } else {
                    prop_assert_eq!(found, first_of.get(&partition[n].0).copied(), "record {}", n);
                }
            }
        }

        #[test]
        fn the_answer_does_not_depend_on_where_a_reader_began(partition in partition(), n in 0..80_usize) {
            let n = n % partition.len();
            // As Kafka finds it: the first record that is not more than ten minutes older.
            let begin = partition.iter().position(|(_, at)| *at >= partition[n].1 - WINDOW_MS).unwrap();
            let from_there = read_from(&partition, begin);
            for m in n..partition.len() {
                prop_assert_eq!(from_there[m - begin].is_some(), is_repeat(&partition, m), "record {}", m);
            }
        }
    }
}
