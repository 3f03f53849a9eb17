//! What a batch of records does to the stored positions. A statement may touch a row once, so everything
//! that happens to one member in the batch is folded into one change first.

use std::{collections::HashMap, sync::Arc};

use shared::{RoomId, Seq, UserId};
use sqlx::PgExecutor;

use crate::record::{Record, RecordKind};

/// Columns of (room, user, seq).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) rooms: Vec<i64>,
    pub(super) users: Vec<i64>,
    pub(super) seqs: Vec<i64>,
}

impl Columns {
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    fn push(&mut self, (room, user): (RoomId, UserId), seq: Seq) {
        self.rooms.push(room.get());
        self.users.push(user.get());
        self.seqs.push(seq.get());
    }
}

/// The changes, each member in one of the three.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PositionChanges {
    /// Members from here on.
    pub(super) joined: Columns,
    /// Members who sent something.
    pub(super) advanced: Columns,
    /// Members no longer.
    pub(super) left: Columns,
}

enum Change {
    Joined(Seq),
    Advanced(Seq),
    Left,
}

impl PositionChanges {
    pub(super) fn of(records: &[Arc<Record>]) -> Self {
        let mut folded = HashMap::new();
        for record in records {
            let member = (record.draft.room, record.draft.user);
            let change = match (record.draft.kind, folded.get(&member)) {
                (RecordKind::Left, _) | (RecordKind::Message, Some(Change::Left)) => Change::Left,
                (RecordKind::Joined, _) | (RecordKind::Message, Some(Change::Joined(_))) => {
                    Change::Joined(record.seq)
                }
                (RecordKind::Message, _) => Change::Advanced(record.seq),
                // They move nobody.
                (RecordKind::Edited | RecordKind::Deleted, _) => continue,
            };
            folded.insert(member, change);
        }
        // In the order of the key: two writers that lock the same rows lock them in the same order.
        let mut folded: Vec<_> = folded.into_iter().collect();
        folded.sort_unstable_by_key(|(member, _)| *member);
        let mut changes = Self::default();
        for (member, change) in folded {
            match change {
                Change::Joined(seq) => changes.joined.push(member, seq),
                Change::Advanced(seq) => changes.advanced.push(member, seq),
                Change::Left => changes.left.push(member, Seq::ZERO),
            }
        }
        changes
    }
}

/// Moves members' positions forwards. Whoever is no member has none, and gets none.
pub(super) async fn advance(executor: impl PgExecutor<'_>, to: &Columns) -> sqlx::Result<()> {
    if to.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update read_positions as position set seq = new.seq \
         from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as new (room_id, user_id, seq) \
         where position.room_id = new.room_id and position.user_id = new.user_id and position.seq < new.seq",
    )
    .bind(&to.rooms)
    .bind(&to.users)
    .bind(&to.seqs)
    .execute(executor)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Draft;

    #[test]
    fn each_member_is_changed_once() {
        let (room, [anna, bo, cy]) =
            (1.try_into().unwrap(), [1, 2, 3].map(|id| UserId::try_from(id).unwrap()));
        let drafts = [
            Draft::message(room, anna, None, None, "a"),
            Draft::joined(room, bo, 1),
            Draft::message(room, bo, None, None, "b"),
            Draft::message(room, cy, None, None, "c"),
            Draft::left(room, cy, 2),
            Draft::message(room, anna, None, None, "a"),
        ];
        let record = |(n, draft)| Arc::new(Record { seq: Seq::from_raw(n).unwrap(), draft });
        let records: Vec<_> = (1..).zip(drafts).map(record).collect();
        let changes = PositionChanges::of(&records);
        assert_eq!((changes.joined.users, changes.joined.seqs), (vec![2], vec![3]));
        assert_eq!((changes.advanced.users, changes.advanced.seqs), (vec![1], vec![6]));
        assert_eq!(changes.left.users, vec![3]);
    }
}
