//! What a newcomer sees on a first start.

use anyhow::{Context, Result};
use api::seed::Demo;
use shared::{RoomId, UserId};
use sqlx::PgPool;

/// Something that somebody says in a room.
pub type Saying = (RoomId, UserId, &'static str);

/// Plants the demo, if the instance has nobody yet, lets `say` post what its people have said so far, and prints how
/// to log in.
pub async fn plant(database: &PgPool, say: impl AsyncFnOnce([Saying; 6]) -> Result<()>) -> Result<()> {
    let Some(demo) = api::seed::demo(database).await? else { return Ok(()) };
    say(talk(&demo)).await.context("the demo's people cannot talk")?;
    println!("Three people live here already. Log in as:");
    for person in &demo.people {
        println!("  {}  {}  ({})", person.email, person.password, person.nickname);
    }
    Ok(())
}

/// What they have said so far. Each is a member of the room they speak in.
fn talk(demo: &Demo) -> [Saying; 6] {
    let [mina, junho, seoyeon] = [&demo.people[0], &demo.people[1], &demo.people[2]].map(|person| person.id);
    [
        (demo.club, mina, "어서 오세요! 목요일 아침 6시 30분, 여의나루역 2번 출구에서 만나요 🙌"),
        (demo.club, junho, "이번에 처음 나가요. 페이스는 어느 정도인가요?"),
        (demo.club, mina, "1km에 6분 30초쯤, 얘기하면서 달릴 수 있을 만큼이에요. 걱정 말고 오세요!"),
        (demo.club, seoyeon, "끝나고 커피는 제가 아는 집으로 가요 ☕"),
        (demo.oneday, junho, "서촌 산책, 필름은 두 롤쯤 챙겨 오세요 📷"),
        (demo.oneday, seoyeon, "통인시장에서 기름떡볶이 먹고 시작해요!"),
    ]
}
