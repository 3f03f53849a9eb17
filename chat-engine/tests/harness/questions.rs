//! Questions to a Redis from outside: asked once, or until the answer is as wanted.

use shared::testing::PATIENCE;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Where Redis says that a key has changed.
const CHANGES: &str = "__redis__:invalidate";

/// What the Redis at `authority` says to a command, which is a line of words.
pub(crate) async fn ask(authority: &str, command: &str) -> String {
    let answer = async {
        let mut redis = TcpStream::connect(authority).await?;
        redis.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
        let mut answer = String::new();
        redis.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    timeout(PATIENCE, answer).await.expect("Redis answers").unwrap()
}

/// Waits until the answer to a question about keys is as wanted. Redis announces it when one of them changes: it keeps in
/// mind what a connection has asked about (`CLIENT TRACKING`), and tells another one, which in its first protocol it must.
pub(crate) async fn answer_becomes(authority: &str, question: &str, wanted: impl Fn(&str) -> bool) {
    let mut answer = String::new();
    let answered = async {
        let mut changes = Connection::open(authority).await;
        changes.say("CLIENT ID").await;
        let id = changes.line().await;
        changes.say(&format!("SUBSCRIBE {CHANGES}")).await;
        changes.up_to(":1").await;
        let mut asking = Connection::open(authority).await;
        asking.say(&format!("CLIENT TRACKING ON REDIRECT {}", id.trim_start_matches(':'))).await;
        assert_eq!(asking.line().await, "+OK");
        loop {
            asking.say(&format!("{question}\r\nPING")).await;
            answer = asking.up_to("+PONG").await;
            assert!(!answer.starts_with('-'), "{question}: {answer}");
            if wanted(&answer) {
                return;
            }
            changes.up_to(CHANGES).await;
        }
    };
    let in_time = timeout(PATIENCE, answered).await.is_ok();
    assert!(in_time, "{question} is never answered as it should be: {answer}");
}

/// A connection that asks again.
struct Connection(BufReader<TcpStream>);

impl Connection {
    async fn open(authority: &str) -> Self {
        Self(BufReader::new(TcpStream::connect(authority).await.unwrap()))
    }

    async fn say(&mut self, commands: &str) {
        self.0.write_all(format!("{commands}\r\n").as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).await.unwrap() > 0, "Redis goes on");
        line.trim_end().to_owned()
    }

    /// The lines before such a one.
    async fn up_to(&mut self, last: &str) -> String {
        let mut lines = String::new();
        loop {
            let line = self.line().await;
            if line == last {
                return lines;
            }
            lines = lines + &line + "\r\n";
        }
    }
}
