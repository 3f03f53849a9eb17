//! `moyiza seed`: people and meetups in the running instance.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{cli::Seed, instance};

/// Makes them, and writes `tokens.txt` and `rooms.txt`, a line each.
pub async fn run(seed: Seed) -> Result<()> {
    let record = instance::running(&seed.launcher.dir)?;
    if !record.development {
        bail!("the running instance is not in development mode (MOYIZA_DEVELOPMENT): nothing was made");
    }
    let out = &seed.out;
    // Before the work: nobody wants people whose tokens cannot be written.
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let database = shared::database::connect(&record.database_url, 4).await?;
    let seeded = api::seed::people_and_rooms(&database, seed.users, seed.rooms, seed.each).await?;
    database.close().await;
    let lines = |items: Vec<String>| items.join("\n") + "\n";
    let rooms = seeded.rooms.iter().map(ToString::to_string).collect();
    for (name, text) in [("tokens.txt", lines(seeded.tokens)), ("rooms.txt", lines(rooms))] {
        let file = out.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    println!("{} people in {} rooms: {}/tokens.txt, rooms.txt", seed.users, seed.rooms, out.display());
    Ok(())
}
