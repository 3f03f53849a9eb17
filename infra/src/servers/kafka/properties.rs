//! A broker's settings.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::Listener;
use crate::servers::port;

/// One broker.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: u8,
    pub(super) data: PathBuf,
    pub(super) port: u16,
    controller_port: u16,
    pub(super) extra: Vec<Way>,
}

/// One listener more of one broker.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) name: String,
    pub(super) port: u16,
    advertised: u16,
}

impl Node {
    /// `count` nodes with ports of their own.
    pub(super) fn plan(directory: &Path, count: u8, listeners: &[Listener]) -> Result<Vec<Self>> {
        (1..=count)
            .map(|id| {
                let [port, controller_port] = port::free()?;
                let way = |listener: &Listener| {
                    let [port] = port::free()?;
                    let advertised = listener.advertised.get(usize::from(id) - 1).copied();
                    let advertised = advertised.context("a listener without an address for every broker")?;
                    Ok(Way { name: listener.name.clone(), port, advertised })
                };
                let extra = listeners.iter().map(way).collect::<Result<_>>()?;
                Ok(Self { id, data: directory.join(format!("kafka-{id}")), port, controller_port, extra })
            })
            .collect()
    }

    pub(super) fn file(&self) -> PathBuf {
        self.data.join("server.properties")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.data.join("server.log")
    }

    /// What it said last about something that went wrong.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let bad = log.lines().rfind(|line| line.contains("ERROR") || line.contains("Error"));
        bad.unwrap_or("nothing in its log").to_owned()
    }
}

/// The properties file of `node` among `nodes`.
///
/// The voters are listed here and not kept in the log (`controller.quorum.bootstrap.servers`), because the
/// ports are others at every start.
pub(super) fn of(node: &Node, nodes: &[Node]) -> String {
    let voters: Vec<String> =
        nodes.iter().map(|node| format!("{}@127.0.0.1:{}", node.id, node.controller_port)).collect();
    let replication = nodes.len();
    let least_in_sync = if replication == 1 { 1 } else { 2 };
    let Node { id, data, port, controller_port, extra } = node;
    let each = |text: fn(&Way) -> String| extra.iter().map(text).collect::<String>();
    let listeners = each(|way| format!(",{}://127.0.0.1:{}", way.name, way.port));
    let advertised = each(|way| format!(",{}://127.0.0.1:{}", way.name, way.advertised));
    let protocols = each(|way| format!(",{}:PLAINTEXT", way.name));
    let mut text = format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={data}/data
auto.create.topics.enable=false
default.replication.factor={replication}
min.insync.replicas={least_in_sync}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={replication}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={replication}
transaction.state.log.min.isr={least_in_sync}
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor={replication}
share.coordinator.state.topic.min.isr={least_in_sync}
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
",
        voters = voters.join(","),
        data = data.display(),
    );
    if replication > 1 {
        // A dead broker is noticed in seconds; the defaults are made for data centres.
        text.push_str(
            "broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\nreplica.lag.time.max.ms=5000\n",
        );
    }
    text
}

/// 16 random bytes, base64 for URLs, without padding: 22 characters.
pub(super) fn random_cluster_id() -> Result<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let random = u128::from(getrandom::u64()?) << 64 | u128::from(getrandom::u64()?);
    let digit = |position: u32| {
        // The first 21 digits hold six bits each, the last one two, in its high bits.
        let bits = if position < 21 { random >> (122 - 6 * position) } else { random << 4 };
        char::from(ALPHABET[usize::try_from(bits & 63).unwrap_or_default()])
    };
    // Kafka refuses an id that begins with `-`: its tool takes it for an option.
    let id: String = (0..22).map(digit).collect();
    Ok(id.replacen('-', "A", usize::from(id.starts_with('-'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_sixteen_bytes_of_url_base64() {
        for _ in 0..200 {
            let id = random_cluster_id().unwrap();
            assert_eq!(id.len(), 22);
            assert!(!id.starts_with('-'));
            // The last digit carries two bits only.
            assert!(id.ends_with(['A', 'Q', 'g', 'w']), "{id}");
        }
    }

    #[test]
    fn three_brokers_replicate_and_one_does_not() {
        let nodes = Node::plan(Path::new("/d"), 3, &[]).unwrap();
        let three = of(&nodes[2], &nodes);
        assert!(three.contains("node.id=3\n") && three.contains("offsets.topic.replication.factor=3\n"));
        assert!(three.contains("min.insync.replicas=2\n") && three.contains("log.dirs=/d/kafka-3/data\n"));
        let one = of(&nodes[0], &nodes[..1]);
        assert!(one.contains("\noffsets.topic.replication.factor=1\n"));
        assert!(!one.contains("broker.session.timeout.ms"));
    }

    #[test]
    fn who_comes_by_another_way_is_told_that_way_s_address() {
        let way = Listener { name: "ENGINE1".into(), advertised: vec![11, 12, 13] };
        let nodes = Node::plan(Path::new("/d"), 3, &[way]).unwrap();
        let second = of(&nodes[1], &nodes);
        assert!(second.contains(&format!(",ENGINE1://127.0.0.1:{}\n", nodes[1].extra[0].port)));
        assert!(second.contains(",ENGINE1://127.0.0.1:12\n") && second.contains(",ENGINE1:PLAINTEXT\n"));
    }
}
