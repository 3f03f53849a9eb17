//! Where some members of many rooms stand: one call for each room, in one pipeline.

use fred::{interfaces::FunctionInterface as _, types::Value};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use shared::{RoomId, UserId};
use tokio::sync::oneshot;

use super::{RedisError, RedisReading, Rooms, feeds::Order};
use crate::reading::{Life, MemberPositions, Question};

impl RedisReading {
    pub(in crate::reading) async fn positions(
        &self,
        questions: Vec<Question>,
        tell: impl Fn(RoomId, Option<MemberPositions>),
    ) {
        let follow = |question: Question| {
            let (done, followed) = oneshot::channel();
            if question.follow {
                // The feeds end with the last sender, which is this.
                let _ = self.feeds.send(Order::Follow(question.room, question.needed.clone(), done));
            } else {
                let _ = done.send(());
            }
            (question, followed)
        };
        let following: Vec<_> = questions.into_iter().map(follow).collect();
        let mut questions = Vec::new();
        for (question, followed) in following {
            // Only what is followed is asked about: no change may fall in between.
            match followed.await {
                Ok(()) => questions.push(question),
                Err(_) => tell(question.room, None),
            }
        }
        let answers = match self.rooms.all_positions(&questions).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::warn!(%error, rooms = questions.len(), "positions cannot be fetched");
                for question in questions {
                    tell(question.room, None);
                }
                return;
            }
        };
        let mut refused = Vec::new();
        for (question, answer) in questions.into_iter().zip(answers) {
            match parse(&answer, &question.users) {
                Some(positions) => tell(question.room, Some(positions)),
                None => refused.push((question, answer)),
            }
        }
        let ask = async |(Question { room, users, .. }, refusal)| {
            (room, self.rooms.positions_of(room, &users, refusal).await)
        };
        let mut answers: FuturesUnordered<_> = refused.into_iter().map(ask).collect();
        while let Some((room, answer)) = answers.next().await {
            if let Err(error) = &answer {
                tracing::warn!(%error, %room, "positions cannot be fetched");
            }
            tell(room, answer.ok());
        }
    }
}

impl Rooms {
    async fn all_positions(&self, questions: &[Question]) -> Result<Vec<Value>, RedisError> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let pipeline = self.client.pipeline();
        for Question { room, users, .. } in questions {
            let arguments = self.arguments(*room, users.iter().map(ToString::to_string));
            pipeline.fcall::<(), _, _, _>("moyiza_positions", self.keys(*room), arguments).await?;
        }
        Ok(pipeline.all().await?)
    }

    /// The same for a room that has been refused.
    async fn positions_of(
        &self,
        room: RoomId,
        users: &[UserId],
        mut refusal: Value,
    ) -> Result<MemberPositions, RedisError> {
        loop {
            self.make_way(room, &refusal).await?;
            let answer = self.call("moyiza_positions", room, users.iter().map(ToString::to_string)).await?;
            match parse(&answer, users) {
                Some(positions) => return Ok(positions),
                None => refusal = answer,
            }
        }
    }
}

/// `None` for a refusal.
fn parse(answer: &Value, users: &[UserId]) -> Option<MemberPositions> {
    let Value::Array(words) = answer else { return None };
    let [life, version, positions @ ..] = &words[..] else { return None };
    let position = |(user, word): (&UserId, &Value)| {
        let word = word.as_str()?;
        let position = if word == "-" { None } else { Some(word.parse().ok()?) };
        Some((*user, position))
    };
    let life = Life(life.as_str()?.parse().ok()?);
    let version = version.as_str()?.parse().ok()?;
    let positions = users.iter().zip(positions).map(position).collect::<Option<_>>()?;
    Some(MemberPositions { life, version, positions })
}
