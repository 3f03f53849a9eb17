//! What a newcomer sees on a first start.

use anyhow::Result;
use sqlx::PgPool;

/// Plants the demo, if the instance has nobody yet, and prints how to log in.
pub async fn plant(database: &PgPool) -> Result<()> {
    let Some(demo) = api::seed::demo(database).await? else { return Ok(()) };
    println!("Three people live here already. Log in as:");
    for person in &demo.people {
        println!("  {}  {}  ({})", person.email, person.password, person.nickname);
    }
    Ok(())
}
