//! "Connecting": CONNECT, STOMP, CONNECTED.

use crate::{client::Client, requirements::Version, stage::Stage};

/// The headers that say which version is wanted.
fn accept(stage: &Stage) -> &'static str {
    match stage.version {
        Version::V10 => "",
        Version::V11 => "accept-version:1.1\nhost:test\n",
        Version::V12 => "accept-version:1.2\nhost:test\n",
    }
}

fn connected(stage: &Stage) -> (Client, crate::frame::Frame) {
    let mut client = stage.open();
    client.say(&format!("CONNECT\n{}Authorization:Bearer {}\n\n^@", accept(stage), stage.token()));
    let connected = client.expect("CONNECTED");
    (client, connected)
}

pub(crate) fn connect_is_answered_by_connected(stage: &Stage) {
    connected(stage);
}

pub(crate) fn connected_names_the_version(stage: &Stage) {
    assert_eq!(connected(stage).1.needs("version"), stage.version.name());
}

/// Who says `accept-version` knows `version`, whatever comes of it.
pub(crate) fn connected_names_1_0_to_who_asked(stage: &Stage) {
    for versions in ["1.0", "1.0,9.9"] {
        let mut client = Client::open(stage.addr(), None);
        client
            .say(&format!("CONNECT\naccept-version:{versions}\nhost:test\npasscode:{}\n\n^@", stage.token()));
        assert_eq!(client.expect("CONNECTED").header("version"), Some("1.0"), "{versions}");
    }
}

pub(crate) fn sessions_are_unique(stage: &Stage) {
    let (one, other) = (connected(stage), connected(stage));
    assert!(!one.1.needs("session").is_empty());
    assert_ne!(one.1.needs("session"), other.1.needs("session"));
}

pub(crate) fn the_server_names_itself(stage: &Stage) {
    let (_, connected) = connected(stage);
    let name = connected.needs("server").split(' ').next().unwrap_or_default();
    let (name, version) = name.split_once('/').unwrap_or((name, "0"));
    assert!(!name.is_empty() && !version.is_empty(), "{connected:?}");
}

pub(crate) fn stomp_is_connect(stage: &Stage) {
    let mut client = stage.open();
    client.say(&format!("STOMP\n{}Authorization:Bearer {}\n\n^@", accept(stage), stage.token()));
    assert_eq!(client.expect("CONNECTED").needs("version"), stage.version.name());
}

pub(crate) fn stomp_is_not_unescaped_either(stage: &Stage) {
    let mut client = stage.open();
    client.say(&format!("STOMP\n{}passcode:{}\nx:a:b\n\n^@", accept(stage), stage.token()));
    client.expect("CONNECTED");
}

pub(crate) fn a_passcode_lets_in(stage: &Stage) {
    let mut client = stage.open();
    client.say(&format!("CONNECT\n{}login:somebody\npasscode:{}\n\n^@", accept(stage), stage.token()));
    client.expect("CONNECTED");
}

pub(crate) fn a_rejection_says_why(stage: &Stage) {
    for credentials in ["", "passcode:guess\n", "Authorization:Bearer a.b.c\n"] {
        let mut client = stage.open();
        client.say(&format!("CONNECT\n{}{credentials}\n^@", accept(stage)));
        let error = client.error();
        assert!(!error.needs("message").is_empty() && !error.body.is_empty(), "{error:?}");
    }
}

pub(crate) fn any_host_is_served(stage: &Stage) {
    for host in ["host:stomp.github.org\n", "host:/\n", "host:\n"] {
        let mut client = stage.open();
        let accept = accept(stage).replace("host:test\n", host);
        client.say(&format!("CONNECT\n{accept}Authorization:Bearer {}\n\n^@", stage.token()));
        client.expect("CONNECTED");
    }
}

pub(crate) fn no_host_is_the_default_host(stage: &Stage) {
    let mut client = stage.open();
    let accept = accept(stage).replace("host:test\n", "");
    client.say(&format!("CONNECT\n{accept}passcode:{}\n\n^@", stage.token()));
    client.expect("CONNECTED");
}

pub(crate) fn connect_comes_first(stage: &Stage) {
    for frame in [
        "SEND\ndestination:/topic/x\n\n^@",
        "SUBSCRIBE\nid:s\ndestination:/topic/x\n\n^@",
        "DISCONNECT\n\n^@",
    ] {
        let mut client = stage.open();
        client.say(frame);
        client.error();
    }
}

pub(crate) fn connect_comes_once(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("CONNECT\n{}Authorization:Bearer {}\n\n^@", accept(stage), stage.token()));
    client.error();
}
