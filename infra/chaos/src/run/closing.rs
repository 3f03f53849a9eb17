//! The end: last words in each room, which everybody has to see who is still there, and which shows how many are not.

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::PgPool;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::{
    cluster::{Cluster, POLL},
    journal::Journal,
    person::{Acknowledged, Ask, Phase, Surroundings, TURNS},
    wire::{Connection, Ended},
    world::Account,
};

/// How long one try may take.
const TRY: Duration = Duration::from_secs(20);

/// Waits until so many have given their permit; who does not is the checker's to find.
pub(super) async fn wait_for(
    permits: &Semaphore,
    all: u32,
    what: &str,
    journal: &Journal,
    patience: Duration,
) -> Result<()> {
    match timeout(patience, permits.acquire_many(all)).await {
        Ok(permits) => permits?.forget(),
        Err(_) => journal.note(&format!("only {} of {all} {what}", permits.available_permits())),
    }
    Ok(())
}

/// Everybody sees a word in each room; then, turn after turn, some go and another word is said, until the last part is
/// left. Returns where the last words are, and what was acknowledged to whoever said them.
pub(super) async fn part(
    around: &Surroundings,
    account: &Account,
    rooms: &[i64],
    phase: &watch::Sender<Phase>,
    all: u32,
    patience: Duration,
) -> Result<(Vec<i64>, Vec<Vec<Acknowledged>>)> {
    let (cluster, journal) = (&around.cluster, around.cluster.journal());
    let (mut last, said) = say_last(cluster, account, rooms, "the last word", patience).await?;
    let mut others = vec![said];
    phase.send_replace(Phase::CatchUp(last.clone()));
    wait_for(&around.caught_up, all, "have caught up", journal, patience).await?;
    for turn in 0..TURNS - 1 {
        let going = (0..usize::try_from(all)?).filter(|number| number / rooms.len() % TURNS == turn).count();
        phase.send_replace(Phase::Apart(turn, last));
        wait_for(&around.went, u32::try_from(going)?, "have gone", journal, patience).await?;
        let word = format!("not for part {turn}");
        let said = say_last(cluster, account, rooms, &word, patience).await?;
        last = said.0;
        others.push(said.1);
    }
    journal.note("the last word is said in every room");
    Ok((last, others))
}

/// Says it in every room, and returns where, and what was acknowledged.
pub(super) async fn say_last(
    cluster: &Cluster,
    account: &Account,
    rooms: &[i64],
    word: &str,
    patience: Duration,
) -> Result<(Vec<i64>, Vec<Acknowledged>)> {
    let (mut places, mut acknowledged) = (Vec::new(), Vec::new());
    for (number, room) in rooms.iter().enumerate() {
        let client_id = format!("{word}-{room}");
        let insist = async {
            for engine in cluster.engines().iter().filter(|engine| engine.is_wanted()).cycle().skip(number) {
                let said = say(engine.addr(), account, *room, &client_id, word);
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
        acknowledged.push(Acknowledged { client_id, seq, ask: Ask::Say(word.to_owned()) });
    }
    Ok((places, acknowledged))
}

/// One message, and where it is.
async fn say(
    addr: std::net::SocketAddr,
    account: &Account,
    room: i64,
    client_id: &str,
    word: &str,
) -> Result<i64, Ended> {
    let mut connection = Connection::open(addr, &account.token).await?;
    let destination = format!("/app/chat/{room}");
    let headers = [("destination", &*destination), ("client-id", client_id), ("receipt", client_id)];
    connection.send("SEND", &headers, &serde_json::json!({ "content": word }).to_string()).await?;
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
