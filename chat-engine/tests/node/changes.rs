//! Edits and deletions by a client, and what is refused.

use stomp::{Command, Frame};

use crate::client::{Client, PATIENCE};

impl Client {
    /// Changes a message: the event's seq, or the refusal's title.
    pub(crate) async fn change(
        &mut self,
        verb: &str,
        room: i64,
        target: i64,
        body: &str,
    ) -> Result<i64, String> {
        self.change_as(verb, room, target, body, None).await
    }

    /// The same under a `client-id`.
    pub(crate) async fn change_as(
        &mut self,
        verb: &str,
        room: i64,
        target: i64,
        body: &str,
        client_id: Option<&str>,
    ) -> Result<i64, String> {
        let (destination, target) = (format!("/app/{verb}/{room}"), target.to_string());
        let mut headers = vec![("destination", &*destination), ("seq", &*target), ("receipt", "change")];
        headers.extend(client_id.map(|id| ("client-id", id)));
        self.send(Command::Send, &headers, body).await;
        let is_answer =
            |frame: &Frame| frame.headers.first("receipt-id").is_some_and(|receipt| receipt == "change");
        let answer = self.try_expect(is_answer).await.expect("the server goes on");
        match answer.command {
            Command::Receipt => Ok(answer.headers.first("seq").expect("a seq").parse().unwrap()),
            _ => Err(answer.headers.first("message").expect("a title").to_string()),
        }
    }

    /// The next refusal: its title, and the receipt of what was refused.
    pub(crate) async fn expect_refusal(&mut self) -> (String, Option<String>) {
        let is_it = |frame: &Frame| frame.headers.first("message").is_some();
        let frame = tokio::time::timeout(PATIENCE, self.try_expect(is_it)).await.unwrap();
        let frame = frame.expect("the server goes on");
        let header = |name| frame.headers.first(name).map(ToString::to_string);
        (header("message").unwrap(), header("receipt-id"))
    }
}
