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
    brokers: Vec<(Child, u16)>,
}

impl Kafka {
    /// Starts `brokers` (1 or 3) brokers whose data is in `directory/kafka-{n}`.
    pub async fn start(store: &Store, directory: &Path, brokers: u8) -> Result<Self> {
        let installation = Installation::find(store).await?;
        let began = Instant::now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            match installation.start(directory, brokers, None).await {
                Ok(kafka) => {
                    tracing::info!(brokers, took = ?began.elapsed(), "Kafka is ready");
                    return Ok(kafka);
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
            self.brokers.iter().map(|(_, port)| format!("127.0.0.1:{port}")).collect();
        addresses.join(",")
    }

    /// The brokers' processes.
    pub fn children(&self) -> impl Iterator<Item = &Child> {
        self.brokers.iter().map(|(child, _)| child)
    }

    /// Stops them by `signal`: KILL where the data is thrown away, TERM elsewhere.
    pub async fn stop(self, signal: Signal) {
        // All at once: a broker that leaves in order waits for the others to take over.
        for (child, _) in &self.brokers {
            child.signal(signal);
        }
        for (child, _) in self.brokers {
            child.stop(signal, Duration::from_secs(30)).await;
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

    async fn start(&self, directory: &Path, brokers: u8, archive_at_exit: Option<&Path>) -> Result<Kafka> {
        let nodes = Node::plan(directory, brokers)?;
        let heap_mb = if brokers == 1 { 256 } else { 384 };
        let mut running = Vec::new();
        for node in &nodes {
            fs::create_dir_all(&node.data)?;
            fs::write(node.file(), properties::of(node, &nodes))?;
        }
        for node in &nodes {
            self.format(node, directory).await?;
            let mut program = self.java(&format!("Kafka broker {}", node.id), heap_mb, archive_at_exit)?;
            let log = fs::File::options().create(true).append(true).open(node.log())?;
            let command = program.command();
            command.current_dir(&node.data).stdout(log.try_clone()?).stderr(log);
            command.arg("kafka.Kafka").arg(node.file());
            running.push((program.start().await?, node.port));
        }
        for ((child, port), node) in running.iter().zip(&nodes) {
            tokio::select! {
                () = metadata::shows_brokers(*port, nodes.len()) => {}
                status = child.wait() => bail!("{} ended at start-up ({}): {}", child.name(), status?, node.last_words()),
                () = tokio::time::sleep(Duration::from_mins(2)) => {
                    bail!("{} was not ready in two minutes: see {}", child.name(), node.log().display())
                }
            }
        }
        Ok(Kafka { brokers: running })
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
