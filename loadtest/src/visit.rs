//! People who open the app: they connect, ask for the list of their rooms, come to rooms and go from them, while others
//! speak there. Nothing of what they are sent is checked here; it is counted, with what it takes of the servers.

mod person;
mod redis;
mod report;

use std::{
    cell::RefCell,
    net::SocketAddr,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::{Args, value_parser};
use tokio::{
    task::LocalSet,
    time::{interval, sleep, sleep_until},
};

pub use self::report::Report;
use self::{
    person::Person,
    redis::{Redis, Usage},
    report::Counts,
};
use crate::{
    options::{Server, Target, duration},
    plan::lines,
    process::{Cpu, Memory, raise_open_files},
};

/// Who comes, and how often.
#[derive(Args, Clone, Debug)]
pub struct Visits {
    /// How many people there are, each with a connection.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..))]
    pub people: u32,
    /// Rooms that each of them comes to: person i to those from i times EACH on, modulo their number.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    pub each: u32,
    /// Ask for the list of rooms, too.
    #[arg(long)]
    pub inbox: bool,
    /// In how long all of them connect, evenly.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub arrive: Duration,
    /// How long a visit to the rooms lasts, on the average; 0: until the end.
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub stay: Duration,
    /// How long it is until the next one.
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub away: Duration,
    /// Messages a second in all, from whoever is connected, whether in a room or away.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    /// Bytes of each message's text.
    #[arg(long, default_value_t = 120)]
    pub size: usize,
    /// How long to wait, all connected, before anything is measured; what comes before, and the arrival, is measured by itself.
    #[arg(long, default_value = "3s", value_parser = duration)]
    pub settle: Duration,
    /// How long it is measured.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// A file with a token a line; person i has token i.
    #[arg(long)]
    pub tokens: PathBuf,
    /// A file with a room's name a line.
    #[arg(long)]
    pub room_names: PathBuf,
    /// Redis, for its own statistics, as `host:port`.
    #[arg(long)]
    pub redis: Option<SocketAddr>,
}

/// What all of them share.
struct Ground {
    visits: Visits,
    targets: Vec<Target>,
    tokens: Vec<String>,
    rooms: Vec<String>,
    counts: RefCell<Counts>,
}

/// What servers have used until a moment.
struct Used {
    at: Instant,
    cpu: Cpu,
    memory: Option<Memory>,
    redis: Option<Usage>,
}

/// Lets them come.
pub fn run(visits: &Visits, server: &Server) -> anyhow::Result<Report> {
    raise_open_files();
    let tokens = lines(&visits.tokens)?;
    let rooms = lines(&visits.room_names)?;
    ensure!(tokens.len() >= visits.people as usize, "only {} people have tokens", tokens.len());
    ensure!(rooms.len() >= visits.each as usize, "there are only {} rooms", rooms.len());
    ensure!(!server.urls.is_empty(), "there must be a --url");
    let targets = server.urls.iter().map(|url| Target::resolve(url)).collect::<Result<_, _>>()?;
    let ground =
        Rc::new(Ground { visits: visits.clone(), targets, tokens, rooms, counts: RefCell::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, visit(ground, server))
}

async fn visit(ground: Rc<Ground>, server: &Server) -> anyhow::Result<Report> {
    let visits = &ground.visits;
    let mut redis = match visits.redis {
        Some(addr) => {
            Some(Redis::connect(addr).await.with_context(|| format!("cannot reach Redis at {addr}"))?)
        }
        None => None,
    };
    let begin = Used::until_now(server, &mut redis).await?;
    let apart = visits.arrive.checked_div(visits.people).unwrap_or_default();
    let mut people = Vec::new();
    for index in 0..visits.people {
        sleep_until((begin.at + apart * index).into()).await;
        people.push(Person::arrive(&ground, index));
    }
    while !ground.counts.borrow().have_arrived(visits.people) {
        // Somebody who is let in tells nobody but the counts.
        sleep(Duration::from_millis(10)).await;
    }
    let arrived = Used::until_now(server, &mut redis).await?;
    let arrival = ground.counts.borrow_mut().take();
    sleep(visits.settle).await;
    ground.counts.borrow_mut().take();
    let before = Used::until_now(server, &mut redis).await?;
    speak(visits, &people).await;
    let after = Used::until_now(server, &mut redis).await?;
    let measured = ground.counts.borrow_mut().take();
    Ok(Report::new(visits, (&arrival, &begin, &arrived), (&measured, &before, &after)))
}

/// For as long as it is measured, now this one says something, now that one.
async fn speak(visits: &Visits, people: &[Person]) {
    let end = sleep(visits.duration);
    if visits.rate <= 0.0 {
        return end.await;
    }
    let mut turns = interval(Duration::from_secs_f64(1.0 / visits.rate));
    let speaking = async {
        loop {
            turns.tick().await;
            people[fastrand::usize(..people.len())].speak();
        }
    };
    tokio::select! {
        () = end => {}
        () = speaking => {}
    }
}

impl Used {
    async fn until_now(server: &Server, redis: &mut Option<Redis>) -> anyhow::Result<Self> {
        let memory = (!server.pids.is_empty()).then(|| Memory::of(&server.pids)).transpose()?;
        let redis = match redis {
            Some(redis) => Some(redis.usage().await?),
            None => None,
        };
        Ok(Self { at: Instant::now(), cpu: Cpu::of(&server.pids)?, memory, redis })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Visits;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        visits: Visits,
    }

    #[test]
    fn visits_of_nobody_and_to_no_room_are_refused() {
        let parse = |option: &str, value: &str| {
            Cli::try_parse_from(["visit", "--tokens", "t", "--room-names", "r", option, value])
        };
        for option in ["--people", "--each"] {
            let refused = parse(option, "0").unwrap_err().to_string();
            assert!(refused.contains(option), "{refused}");
            let visits = parse(option, "1").unwrap().visits;
            assert_eq!(visits.people.min(visits.each), 1);
        }
    }
}
