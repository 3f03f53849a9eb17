//! The end: one last message in each room, which everybody has to see.

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::PgPool;
use tokio::time::timeout;

use crate::{
    cluster::{Cluster, POLL},
    person::{Acknowledged, Ask},
    wire::{Connection, Ended},
    world::Account,
};

/// How long one try may take.
const TRY: Duration = Duration::from_secs(20);

/// Says it in every room, and returns where, and what was acknowledged.
pub(super) async fn say_last(
    cluster: &Cluster,
    account: &Account,
    rooms: &[i64],
    patience: Duration,
) -> Result<(Vec<i64>, Vec<Acknowledged>)> {
    let (mut places, mut acknowledged) = (Vec::new(), Vec::new());
    for (number, room) in rooms.iter().enumerate() {
        let client_id = format!("last-{room}");
        let insist = async {
            for engine in cluster.engines().iter().filter(|engine| engine.is_wanted()).cycle().skip(number) {
                let said = say(engine.addr(), account, *room, &client_id);
                match timeout(TRY, said).await.unwrap_or(Err(Ended::Silent)) {
                    Ok(seq) => return Some(seq),
                    Err(ended) => {
                        cluster.journal().happened("the last word", "connection ended", &ended.to_string());
                        tokio::time::sleep(POLL).await;
                    }
                }
            }
            None
        };
        let seq = timeout(patience, insist).await.ok().flatten();
        let seq = seq.context("nobody could say anything after all was healed")?;
        places.push(seq);
        acknowledged.push(Acknowledged { client_id, seq, ask: Ask::Say("the last word".to_owned()) });
    }
    Ok((places, acknowledged))
}

/// One message, and where it is.
async fn say(
    addr: std::net::SocketAddr,
    account: &Account,
    room: i64,
    client_id: &str,
) -> Result<i64, Ended> {
    let mut connection = Connection::open(addr, &account.token).await?;
    let destination = format!("/app/chat/{room}");
    let headers = [("destination", &*destination), ("client-id", client_id), ("receipt", client_id)];
    connection.send("SEND", &headers, r#"{"content":"the last word"}"#).await?;
    let receipt = connection.next().await?;
    receipt.number("seq").ok_or_else(|| Ended::Nonsense(format!("{receipt:?} in answer to SEND")))
}

/// Waits until each room has its last row.
pub(super) async fn stored(pool: &PgPool, rooms: &[i64], last: &[i64]) {
    for (room, last) in rooms.iter().zip(last) {
        loop {
            let row = sqlx::query("select 1 from chat_messages where room_id = $1 and seq >= $2 limit 1")
                .bind(room)
                .bind(last)
                .fetch_optional(pool)
                .await;
            // The pool may still hold connections of a server that was killed.
            if matches!(row, Ok(Some(_))) {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
