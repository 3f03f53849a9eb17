//! Apache Kafka: one broker, or three, each its own controller.

mod archive;
mod metadata;
mod properties;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use self::properties::Node;
use super::{
    Store,
    child::{Child, Program},
    store,
    store::which,
    user::RunAs,
};

const VERSION: &str = "4.4.0";

/// Why Java is asked for, where it is missing.
const MISSING_JAVA: &str =
    "install Java 17 or newer for Kafka, as in `apt-get install openjdk-17-jre-headless`";

/// Running brokers.
#[derive(Debug)]
pub struct Kafka {
    installation: Installation,
    brokers: Vec<Broker>,
}

/// One of them.
#[derive(Debug)]
struct Broker {
    node: Node,
    child: Child,
}

/// One more way into every broker, for clients who come by way of somebody else.
#[derive(Clone, Debug)]
pub struct Listener {
    /// As in the brokers' settings: letters and digits.
    pub name: String,
    /// The port of 127.0.0.1 that each broker tells who came this way, in the brokers' order.
    pub advertised: Vec<u16>,
}

impl Kafka {
    /// Starts `brokers` (1 or 3) brokers whose data is in `directory/kafka-{n}`.
    pub async fn start(store: &Store, directory: &Path, brokers: u8) -> Result<Self> {
        Self::start_with(store, directory, brokers, &[]).await
    }

    /// The same with more listeners than the brokers' own.
    pub async fn start_with(
        store: &Store,
        directory: &Path,
        brokers: u8,
        listeners: &[Listener],
    ) -> Result<Self> {
        let installation = Installation::find(store).await?;
        let began = Instant::now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            match installation.start(directory, brokers, listeners, None).await {
                Ok(running) => {
                    tracing::info!(brokers, took = ?began.elapsed(), "Kafka is ready");
                    return Ok(Self { installation, brokers: running });
                }
                // The ports were free a moment ago: others may be.
                Err(error) if attempts < 3 && format!("{error:#}").contains("in use") => {
                    tracing::debug!(%error, "starting Kafka again");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The brokers' addresses, as clients want them.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> =
            self.brokers.iter().map(|broker| format!("127.0.0.1:{}", broker.node.port)).collect();
        addresses.join(",")
    }

    /// The brokers' processes.
    pub fn children(&self) -> impl Iterator<Item = &Child> {
        self.brokers.iter().map(|broker| &broker.child)
    }

    /// The process of the broker at `index`, from 0 on.
    ///
    /// # Panics
    /// If there is no such broker.
    pub fn broker(&self, index: usize) -> &Child {
        &self.brokers[index].child
    }

    /// Where each broker listens for those who come by way of `listener`.
    pub fn ports(&self, listener: &str) -> Vec<u16> {
        let port =
            |broker: &Broker| broker.node.extra.iter().find(|way| way.name == listener).map(|way| way.port);
        self.brokers.iter().filter_map(port).collect()
    }

    /// Starts the broker at `index` again on the same data and ports, after its process was killed. It is not waited
    /// for: while too few others are there, it cannot become ready.
    ///
    /// # Panics
    /// If there is no such broker.
    pub async fn restart(&mut self, index: usize) -> Result<()> {
        let several = self.brokers.len() > 1;
        let broker = &mut self.brokers[index];
        broker.child = self.installation.launch(&broker.node, several, None).await?;
        Ok(())
    }

    /// Waits until the broker at `index` answers and knows all the others.
    ///
    /// # Panics
    /// If there is no such broker.
    pub async fn ready(&self, index: usize) {
        metadata::shows_brokers(self.brokers[index].node.port, self.brokers.len()).await;
    }

    /// Stops them by `signal`: KILL where the data is thrown away, TERM elsewhere.
    pub async fn stop(self, signal: Signal) {
        // All at once: a broker that leaves in order waits for the others to take over.
        for broker in &self.brokers {
            broker.child.signal(signal);
        }
        for broker in self.brokers {
            broker.child.stop(signal, Duration::from_secs(30)).await;
        }
    }
}

/// Java and Kafka's jars.
#[derive(Debug)]
struct Installation {
    java: PathBuf,
    root: PathBuf,
}

impl Installation {
    async fn find(store: &Store) -> Result<Self> {
        let java = which("java").with_context(|| format!("`java` is missing: {MISSING_JAVA}"))?;
        let root = store.obtain(&format!("kafka-{VERSION}"), fetch).await?;
        let installation = Self { java, root };
        archive::make(store, &installation).await?;
        Ok(installation)
    }

    /// `java` with every option but the program; `archive_at_exit` for the run that makes the archive.
    fn java(&self, name: &str, heap_mb: u16, archive_at_exit: Option<&Path>) -> Result<Program> {
        // KILL: what was acknowledged is with the system by then, and the next start finds the data free at once.
        let mut program = Program::new(name, &self.java, &RunAs::same(), Signal::KILL).in_own_process_group();
        let command = program.command();
        command.args(["-Xms64m", &format!("-Xmx{heap_mb}m"), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        match archive_at_exit {
            Some(file) => command.arg(format!("-XX:ArchiveClassesAtExit={}", file.display())),
            // Without a word, and slower, where the archive is another Java's.
            None => command
                .arg(format!("-XX:SharedArchiveFile={}", archive::file(&self.root).display()))
                .args(["-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]),
        };
        command.arg(format!("-Dlog4j2.configurationFile={}", self.root.join("log4j2.properties").display()));
        command.arg("-cp").arg(self.class_path()?);
        Ok(program)
    }

    /// Every jar by name, always in the same order: an archive is good for one class path only.
    fn class_path(&self) -> Result<String> {
        let mut jars = Vec::new();
        for entry in fs::read_dir(self.root.join("libs"))? {
            jars.push(entry?.path().to_string_lossy().into_owned());
        }
        jars.sort();
        Ok(jars.join(":"))
    }

    async fn start(
        &self,
        directory: &Path,
        brokers: u8,
        listeners: &[Listener],
        archive_at_exit: Option<&Path>,
    ) -> Result<Vec<Broker>> {
        let nodes = Node::plan(directory, brokers, listeners)?;
        for node in &nodes {
            fs::create_dir_all(&node.data)?;
            fs::write(node.file(), properties::of(node, &nodes))?;
        }
        let count = nodes.len();
        let mut running = Vec::new();
        for node in nodes {
            self.format(&node, directory).await?;
            let child = self.launch(&node, count > 1, archive_at_exit).await?;
            running.push(Broker { node, child });
        }
        for Broker { child, node } in &running {
            tokio::select! {
                () = metadata::shows_brokers(node.port, count) => {}
                status = child.wait() => bail!("{} ended at start-up ({}): {}", child.name(), status?, node.last_words()),
                () = tokio::time::sleep(Duration::from_mins(2)) => {
                    bail!("{} was not ready in two minutes: see {}", child.name(), node.log().display())
                }
            }
        }
        Ok(running)
    }

    async fn launch(&self, node: &Node, several: bool, archive_at_exit: Option<&Path>) -> Result<Child> {
        let heap_mb = if several { 384 } else { 256 };
        let mut program = self.java(&format!("Kafka broker {}", node.id), heap_mb, archive_at_exit)?;
        let log = fs::File::options().create(true).append(true).open(node.log())?;
        let command = program.command();
        command.current_dir(&node.data).stdout(log.try_clone()?).stderr(log);
        command.arg("kafka.Kafka").arg(node.file());
        program.start().await
    }

    /// Makes the node's storage, unless it is there. All nodes of a directory get one cluster id.
    async fn format(&self, node: &Node, directory: &Path) -> Result<()> {
        if node.data.join("data/meta.properties").exists() {
            return Ok(());
        }
        let id_file = directory.join("kafka-cluster-id");
        if !id_file.exists() {
            fs::write(&id_file, properties::random_cluster_id()?)?;
        }
        let id = fs::read_to_string(id_file)?;
        let mut program = self.java("Kafka's storage tool", 256, None)?;
        let command = program.command();
        command.current_dir(&node.data).args(["kafka.tools.StorageTool", "format", "-t", &id, "-c"]);
        command.arg(node.file());
        program.output().await.map(drop)
    }
}

const POM: &str = include_str!("kafka/pom.xml");
const LOGGING: &str = include_str!("kafka/log4j2.properties");

async fn fetch(directory: PathBuf) -> Result<()> {
    fs::write(directory.join("pom.xml"), POM)?;
    fs::write(directory.join("log4j2.properties"), LOGGING)?;
    let arguments =
        ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs", "-DincludeScope=runtime"];
    let missing = "install Maven, as in `apt-get install maven`; it is needed once, to fetch Kafka";
    store::run(&directory, "mvn", &arguments, missing).await.context("cannot fetch Kafka")?;
    // Fails here rather than in Java, if Maven wrote nothing.
    fs::metadata(directory.join("libs")).map(drop).context("Maven fetched nothing")
}
