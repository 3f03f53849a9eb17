//! What the database has of a room.

use shared::testing;
use sqlx::{Postgres, Transaction};

use super::World;
use crate::load::content;

impl World {
    /// The messages of a room in the database, once there are so many.
    pub(crate) async fn rows(&self, room: i64, count: usize) -> Vec<(i64, String)> {
        self.rows_once(room, |rows| rows.len() >= count).await
    }

    /// The messages of a room in the database, once the one at `last` is there.
    pub(crate) async fn rows_up_to(&self, room: i64, last: i64) -> Vec<(i64, String)> {
        self.rows_once(room, |rows| rows.last().is_some_and(|(seq, _)| *seq >= last)).await
    }

    async fn rows_once(&self, room: i64, there: impl Fn(&[(i64, String)]) -> bool) -> Vec<(i64, String)> {
        let query = "select seq, body from chat_messages where room_id = $1 and kind = 0 order by seq";
        let look = async || -> Vec<(i64, String)> {
            sqlx::query_as(query).bind(room).fetch_all(&self.pool).await.unwrap()
        };
        let rows = testing::becomes("the rows of a room", look, |rows| there(rows)).await;
        rows.into_iter().map(|(seq, body)| (seq, content(body.as_bytes()))).collect()
    }

    /// Waits for so many rows of a room that are like this.
    pub(crate) async fn rows_where(&self, room: i64, like: &str, count: i64) {
        let query = format!("select count(*) from chat_messages where room_id = $1 and {like}");
        let look = async || -> i64 {
            let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.clone()));
            query.bind(room).fetch_one(&self.pool).await.unwrap()
        };
        testing::becomes(&format!("{count} rows of {like}"), look, |found| *found >= count).await;
    }

    /// From now on the database takes no row that says "refuse me".
    pub(crate) async fn refuse_some_rows(&self) {
        let refuse = "alter table chat_messages add check (body not like '%refuse me%')";
        sqlx::raw_sql(refuse).execute(&self.pool).await.unwrap();
    }

    /// Nobody reads or writes a message until this is dropped.
    pub(crate) async fn lock_messages(&self) -> Transaction<'static, Postgres> {
        let mut lock = self.pool.begin().await.unwrap();
        sqlx::query("lock table chat_messages in access exclusive mode").execute(&mut *lock).await.unwrap();
        lock
    }
}
