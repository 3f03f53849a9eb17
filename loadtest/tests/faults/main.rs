//! A load generator that overlooks a fault is worse than none: here the floor is faultless, and then something
//! between it and the clients is not.

mod meddler;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use clap::Parser;
use loadtest::{
    fault::FaultKind,
    floor::{self, Bare, Options},
    options::{Scenario, Server},
    report::Report,
};
use meddler::{Meddler, Mischief};

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[derive(Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    scenario: Scenario,
}

fn scenario(line: &str) -> Scenario {
    let short = ["test", "--connections=12", "--rooms=3", "--warm-up=0", "--duration=300ms", "--settle=0"];
    Cli::parse_from(short.into_iter().chain(line.split_whitespace())).scenario
}

fn floor() -> Bare {
    let listener = floor::listen(ANY).expect("a port is free");
    Bare::start(listener, Options::default()).expect("threads can be started")
}

fn run(floor: &Bare, line: &str) -> Report {
    let server = Server { urls: vec![format!("ws://{}/ws", floor.address())], pids: Vec::new() };
    loadtest::run(&scenario(line), &server).expect("the plan is good")
}

/// With the tenth message to each subscriber meddled with.
fn run_meddled(mischief: Mischief) -> Report {
    let floor = floor();
    let meddler = Meddler::start(floor.address(), mischief).expect("a port is free");
    let server = Server { urls: vec![format!("ws://{}/ws", meddler.address())], pids: Vec::new() };
    // One sender, or what is swapped would rarely be of the same one; a fixed rate, or what is lost would hold up
    // the rest.
    loadtest::run(&scenario("--rate 400 --senders one --drain 200ms"), &server).expect("the plan is good")
}

fn only(report: &Report, kind: FaultKind) -> bool {
    report.faults.count(kind) > 0 && report.faults.counts.len() == 1
}

#[test]
fn the_floor_is_faultless() {
    let floor = floor();
    for line in ["", "--in-flight 8 --threads 2", "--rate 500", "--pace sender --senders one --in-flight 4"] {
        let report = run(&floor, line);
        assert!(report.faults.is_empty(), "{line}: {report}");
        assert_eq!(report.connections, 12);
        assert!(report.messages > 0 && report.deliveries > 0, "{line}: {report}");
        // Each message comes to the four of its room, whenever the last of them did.
        assert_eq!(report.checked % 4, 0, "{line}: {report}");
    }
}

#[test]
fn templates_lead_to_the_same_room() {
    let line = "--subscribe /chat/{room} --send /app/chat/{room} --send-header client-id:{conn}-{seq} \
                --body {\"content\":\"{text}\"} --connect-header Authorization:Bearer-{token}";
    let report = run(&floor(), line);
    assert!(report.faults.is_empty() && report.deliveries > 0, "{report}");
}

#[test]
fn connections_come_and_go() {
    let report = run(&floor(), "--churn 50 --slow 2 --duration 0");
    assert!(report.faults.is_empty(), "{report}");
    assert_eq!(report.churn.map(|churn| churn.cycles), Some(50));
    assert_eq!(report.slow.get("still open"), Some(&2));
}

#[test]
fn a_lost_message_is_found() {
    let report = run_meddled(Mischief::Drop);
    assert!(only(&report, FaultKind::Lost), "{report}");
    assert!(report.faults.first[0].contains("did not get message"), "{report}");
}

#[test]
fn a_repeated_message_is_found() {
    let report = run_meddled(Mischief::Repeat);
    assert!(only(&report, FaultKind::Repeated), "{report}");
}

#[test]
fn a_swapped_pair_is_found() {
    let report = run_meddled(Mischief::Swap);
    assert!(only(&report, FaultKind::Reordered), "{report}");
}

#[test]
fn a_changed_byte_is_found() {
    let report = run_meddled(Mischief::Alter);
    // The right message never came.
    assert!(report.faults.count(FaultKind::Altered) > 0, "{report}");
    assert_eq!(report.faults.count(FaultKind::Altered), report.faults.count(FaultKind::Lost), "{report}");
}

#[test]
fn a_closed_connection_is_found() {
    let report = run_meddled(Mischief::Close);
    // What was on its way from one that was closed is lost, too.
    assert_eq!(report.faults.count(FaultKind::Closed), 12, "{report}");
}

#[test]
fn nobody_there_is_a_fault() {
    let address = floor::listen(ANY).unwrap().local_addr().unwrap();
    let server = Server { urls: vec![format!("ws://{address}/ws")], pids: Vec::new() };
    let report = loadtest::run(&scenario("--duration 0"), &server).unwrap();
    assert_eq!(report.faults.count(FaultKind::NotConnected), 12, "{report}");
}

#[test]
fn a_body_without_its_text_is_refused() {
    let server = Server { urls: vec!["ws://127.0.0.1:1/".to_owned()], pids: Vec::new() };
    assert!(loadtest::run(&scenario("--body nothing"), &server).is_err());
    assert!(loadtest::run(&scenario("--size 10"), &server).is_err());
    assert!(
        loadtest::run(&scenario(""), &Server { urls: vec!["wss://127.0.0.1/".to_owned()], ..server })
            .is_err()
    );
    assert_eq!(scenario("").duration, Duration::from_millis(300));
}
