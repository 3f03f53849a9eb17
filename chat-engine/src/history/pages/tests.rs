//! What a page gives, and what it costs.

use serde_json::Value;
use shared::testing;

use super::*;

const EPOCH: Epoch = Epoch { number: 1, partitions: 1 };
const ROWS: i64 = 120_000;
const LIMIT: u16 = 50;

/// Room 1: a message at every second place but in the middle third, where there are changes, all but every thousandth
/// overtaken. Room 2: messages at the places between.
async fn fill(pool: &PgPool) {
    sqlx::raw_sql(
        "insert into log_epochs (epoch, backend, partitions) values (1, 'embedded', 1); \
         insert into log_progress (epoch, partition, next_offset) values (1, 0, 1000000);",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into chat_messages (room_id, seq, kind, sender_id, target, sent_at, body) \
         select 1 + n % 2, n, case when change then 3 else 0 end, 1, case when change then 2 end, now(), \
                case when change and n % 1000 <> 0 then '' else '{}' end \
         from (select n, n % 2 = 0 and n between $1 / 3 and $1 * 2 / 3 as change \
               from generate_series(1, $1) as n) as numbers",
    )
    .bind(ROWS)
    .execute(pool)
    .await
    .unwrap();
}

/// Rows that index scans gave or threw away; panics over any other scan.
fn scanned(plan: &Value) -> f64 {
    let kind = plan["Node Type"].as_str().unwrap();
    let number = |key: &str| plan[key].as_f64().unwrap_or(0.0);
    let own = match kind {
        "Index Scan" | "Index Only Scan" if plan["Relation Name"] == "chat_messages" => {
            (number("Actual Rows") + number("Rows Removed by Filter")) * number("Actual Loops")
        }
        "Seq Scan" | "Bitmap Heap Scan" if plan["Relation Name"] == "chat_messages" => panic!("{plan:#}"),
        _ => 0.0,
    };
    own + plan["Plans"].as_array().into_iter().flatten().map(scanned).sum::<f64>()
}

async fn cost(pool: &PgPool, span: Span, events: bool) -> f64 {
    let plan = explain(pool, EPOCH, 1.try_into().unwrap(), span, LIMIT, events).await.unwrap();
    scanned(&plan[0]["Plan"])
}

#[tokio::test]
async fn a_page_reads_no_more_rows_than_it_gives() {
    testing::with_database(async |pool, _| {
        fill(pool).await;
        for analyzed in [false, true] {
            if analyzed {
                sqlx::raw_sql("vacuum analyze chat_messages").execute(pool).await.unwrap();
            }
            for place in [1, ROWS / 6, ROWS / 3, ROWS / 2, ROWS * 2 / 3, ROWS, i64::MAX] {
                let place = Seq::from_raw(place).unwrap();
                for (span, events) in [Span::Before(place), Span::After(place)]
                    .into_iter()
                    .flat_map(|span| [(span, false), (span, true)])
                {
                    let page =
                        page(pool, EPOCH, 0, 1.try_into().unwrap(), span, LIMIT, events).await.unwrap();
                    let (cost, given) = (cost(pool, span, events).await, page.records.len());
                    // A merge looks one row ahead in what it does not take.
                    #[expect(clippy::cast_precision_loss, reason = "at most a few hundred")]
                    let most = (given + usize::from(events)) as f64;
                    assert!(cost <= most, "{span:?}, events {events}: {cost} rows read for {given}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn pages_lead_through_a_room_from_both_ends() {
    testing::with_database(async |pool, _| {
        fill(pool).await;
        let expected = |changes: bool| {
            (1..=ROWS).filter(move |n| {
                let is_change = (ROWS / 3..=ROWS * 2 / 3).contains(n);
                n % 2 == 0 && (!is_change || (changes && n % 1000 == 0))
            })
        };
        for events in [false, true] {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            let read = async |span| {
                let page = page(pool, EPOCH, 0, 1.try_into().unwrap(), span, 10_000, events).await.unwrap();
                assert_eq!(page.stored, EPOCH.seq(1_000_000));
                page.records.iter().map(|record| record.seq.get()).collect::<Vec<_>>()
            };
            loop {
                let last = up.last().copied().unwrap_or(0);
                let rows = read(Span::After(Seq::from_raw(last).unwrap())).await;
                if rows.is_empty() {
                    break;
                }
                up.extend(rows);
            }
            loop {
                let first = down.first().copied().unwrap_or(i64::MAX);
                let mut rows = read(Span::Before(Seq::from_raw(first).unwrap())).await;
                if rows.is_empty() {
                    break;
                }
                rows.append(&mut down);
                down = rows;
            }
            assert!(up.iter().copied().eq(expected(events)), "upwards, events {events}");
            assert_eq!(up, down, "events {events}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_is_found_and_nothing_else() {
    testing::with_database(async |pool, _| {
        fill(pool).await;
        let find = async |seq| find(pool, 1.try_into().unwrap(), Seq::from_raw(seq).unwrap()).await.unwrap();
        let found = find(2).await.expect("a message");
        assert_eq!((found.record.seq.get(), found.deleted), (2, false));
        assert_eq!(find(3).await, None, "of another room");
        assert_eq!(find(ROWS / 2).await, None, "an edit");
        sqlx::query("update chat_messages set deleted = true where room_id = 1 and seq = 2")
            .execute(pool)
            .await
            .unwrap();
        assert!(find(2).await.unwrap().deleted);
    })
    .await;
}
