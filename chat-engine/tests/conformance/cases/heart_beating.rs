//! "Heart-beating". The engine's own header is short, and what is awaited here are beats and ends, not times.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{Client, Next},
    frame::Item,
    requirements::Version,
    stage::{HEART_BEAT_MS, Stage},
};

/// A client that says CONNECT with this `heart-beat`.
fn beating(stage: &Stage, heart_beat: &str) -> Client {
    stage.connect_with(stage.version, &format!("heart-beat:{heart_beat}\n"))
}

/// Waits for so many beats.
fn expect_beats(client: &mut Client, count: usize) {
    for _ in 0..count {
        let next = client.next();
        assert!(matches!(next, Next::Item(Item::LineEnd)), "a beat: {next:?}");
    }
}

/// What comes next to this client is the answer to what it says now: nothing was on its way.
fn expect_nothing_so_far(client: &mut Client) {
    client.say("BEGIN\ntransaction:t\nreceipt:alive\n\n^@");
    match client.next() {
        Next::Item(Item::Frame(frame)) => assert_eq!(frame.needs("receipt-id"), "alive", "{frame:?}"),
        other => panic!("{other:?}"),
    }
}

/// Waits for the server to give a silent client up, whatever it says then.
fn expect_end(client: &mut Client) {
    while !matches!(client.next(), Next::End) {}
}

pub(crate) fn connected_declares_both_directions(stage: &Stage) {
    let mut client = stage.open();
    client.say(&format!(
        "CONNECT\naccept-version:{}\nhost:test\nheart-beat:0,0\npasscode:{}\n\n^@",
        stage.version.name(),
        stage.token()
    ));
    let connected = client.expect("CONNECTED");
    let numbers = connected.needs("heart-beat").split_once(',').expect("a comma");
    let numbers = [numbers.0, numbers.1].map(|number| number.parse::<u64>().expect("an integer"));
    assert_eq!(numbers, [HEART_BEAT_MS, HEART_BEAT_MS]);
}

pub(crate) fn an_idle_server_sends_line_ends(stage: &Stage) {
    expect_beats(&mut beating(stage, &format!("0,{HEART_BEAT_MS}")), 5);
}

pub(crate) fn none_when_nobody_asked(stage: &Stage) {
    let mut silent = stage.connect();
    let mut zeros = beating(stage, "0,0");
    let mut sends_only = beating(stage, "60000,0");
    let mut listens = beating(stage, &format!("0,{HEART_BEAT_MS}"));
    let mut dies = beating(stage, "1,0");
    expect_beats(&mut listens, 5);
    expect_end(&mut dies);
    for client in [&mut silent, &mut zeros, &mut sends_only] {
        expect_nothing_so_far(client);
    }
}

/// As above, of a version that knows no heart-beats.
pub(crate) fn none_for_1_0(stage: &Stage) {
    let mut silent = stage.connect();
    let mut listens = stage.connect_with(Version::V12, &format!("heart-beat:0,{HEART_BEAT_MS}\n"));
    let mut dies = stage.connect_with(Version::V12, "heart-beat:1,0\n");
    expect_beats(&mut listens, 5);
    expect_end(&mut dies);
    expect_nothing_so_far(&mut silent);
}

pub(crate) fn the_client_wish_counts_when_it_is_longer(stage: &Stage) {
    let mut rarely = beating(stage, "0,60000");
    let mut often = beating(stage, &format!("0,{HEART_BEAT_MS}"));
    expect_beats(&mut often, 5);
    expect_nothing_so_far(&mut rarely);
}

pub(crate) fn a_silent_client_is_closed(stage: &Stage) {
    expect_end(&mut beating(stage, &format!("{HEART_BEAT_MS},0")));
}

pub(crate) fn the_server_wish_counts_when_it_is_longer(stage: &Stage) {
    let began = Instant::now();
    let mut client = beating(stage, "1,0");
    expect_end(&mut client);
    // Only a lower bound: a busy machine makes it longer.
    assert!(began.elapsed() > Duration::from_millis(HEART_BEAT_MS), "{:?}", began.elapsed());
}

pub(crate) fn the_server_allows_for_a_margin(stage: &Stage) {
    let began = Instant::now();
    let mut client = beating(stage, "400,0");
    expect_end(&mut client);
    assert!(began.elapsed() > Duration::from_millis(600), "{:?}", began.elapsed());
}

/// One that gives a sign of life at every beat of the server's outlives one that does not.
fn lives_by(stage: &Stage, sign: &str) {
    let mut lives = beating(stage, &format!("1000,{HEART_BEAT_MS}"));
    let mut dies = beating(stage, "1000,0");
    let dead = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            expect_end(&mut dies);
            dead.store(true, Ordering::Release);
        });
        while !dead.load(Ordering::Acquire) {
            expect_beats(&mut lives, 1);
            lives.say(sign);
        }
    });
    lives.say_and_wait("BEGIN\ntransaction:alive\nreceipt:done\n\n^@");
}

pub(crate) fn line_ends_keep_a_client_alive(stage: &Stage) {
    lives_by(stage, "\n");
}

pub(crate) fn frames_keep_a_client_alive(stage: &Stage) {
    lives_by(stage, &format!("SEND\ndestination:{}\n\nhello^@", stage.topic()));
}

pub(crate) fn parts_of_frames_keep_a_client_alive(stage: &Stage) {
    let mut client = beating(stage, &format!("1000,{HEART_BEAT_MS}"));
    let mut dies = beating(stage, "1000,0");
    let frame = format!("SEND\ndestination:{}\nreceipt:done\n\nhello\0", stage.topic());
    let (head, last) = frame.split_at(frame.len() - 1);
    let mut parts = head.chars();
    let dead = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            expect_end(&mut dies);
            dead.store(true, Ordering::Release);
        });
        while !dead.load(Ordering::Acquire) {
            expect_beats(&mut client, 1);
            client.say(&parts.next().expect("the frame is longer than a silent client's life").to_string());
        }
    });
    client.say(parts.as_str());
    client.say(last);
    client.receipt("done");
}

pub(crate) fn malformed_headers_are_refused(stage: &Stage) {
    for heart_beat in ["often", "1", "-1,0", "0,x", ",", "1.5,2", "1,2,3", ""] {
        let mut client = stage.open();
        client.say(&format!(
            "CONNECT\naccept-version:{}\nhost:test\nheart-beat:{heart_beat}\npasscode:{}\n\n^@",
            stage.version.name(),
            stage.token()
        ));
        client.error();
    }
}
