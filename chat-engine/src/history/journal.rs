//! Positions on their way into PostgreSQL, from which a lost reading state is rebuilt. Batched, so that
//! ten thousand people closing the app are a few statements; only ever forwards, so that order does not matter.

use std::{collections::HashMap, time::Duration};

use shared::{RoomId, Seq, UserId};
use sqlx::PgPool;
use tokio::{sync::mpsc, task::JoinHandle};

/// How long positions are collected.
const INTERVAL: Duration = Duration::from_secs(1);
/// Positions of one statement.
const BATCH: usize = 4096;

/// Takes positions to be written.
#[derive(Clone, Debug)]
pub struct Journal(mpsc::UnboundedSender<(RoomId, UserId, Seq)>);

impl Journal {
    /// Starts the writer. It ends, everything written, when the last `Journal` is dropped.
    pub fn start(pool: PgPool) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), tokio::spawn(write_all(pool, receiver)))
    }

    /// `user` has read up to `seq`.
    pub fn note(&self, room: RoomId, user: UserId, seq: Seq) {
        // The writer ends only after the last sender is gone.
        let _ = self.0.send((room, user, seq));
    }
}

async fn write_all(pool: PgPool, mut notes: mpsc::UnboundedReceiver<(RoomId, UserId, Seq)>) {
    let mut latest: HashMap<(RoomId, UserId), Seq> = HashMap::new();
    let mut open = true;
    while open {
        let due = tokio::time::sleep(INTERVAL);
        tokio::pin!(due);
        loop {
            tokio::select! {
                // Cancel-safe: `recv` takes nothing when it is dropped, and the timer has no state to lose.
                note = notes.recv() => {
                    let Some((room, user, seq)) = note else {
                        open = false;
                        break;
                    };
                    let position = latest.entry((room, user)).or_default();
                    *position = seq.max(*position);
                }
                () = &mut due, if !latest.is_empty() => break,
            }
        }
        if let Err(error) = write(&pool, &latest).await {
            tracing::warn!(%error, waiting = latest.len(), "positions not written, trying again");
            continue;
        }
        latest.clear();
    }
}

async fn write(pool: &PgPool, latest: &HashMap<(RoomId, UserId), Seq>) -> sqlx::Result<()> {
    let mut rows: Vec<_> =
        latest.iter().map(|((room, user), seq)| (room.get(), user.get(), seq.get())).collect();
    // In the order of the key: two writers that lock the same rows lock them in the same order.
    rows.sort_unstable();
    for rows in rows.chunks(BATCH) {
        sqlx::query(
            "update read_positions as position set seq = greatest(position.seq, note.seq) \
             from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as note (room_id, user_id, seq) \
             where position.room_id = note.room_id and position.user_id = note.user_id",
        )
        .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.2).collect::<Vec<_>>())
        .execute(pool)
        .await?;
    }
    Ok(())
}
