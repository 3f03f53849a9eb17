//! What is found out for one partition at a time, by a task for each: a partition that nobody answers for holds up no
//! other, and nobody who reads.

use std::{collections::BTreeMap, future::Future};

use tokio::task::{AbortHandle, JoinSet};

/// At most one errand for each partition.
pub(super) struct Errands<T> {
    out: BTreeMap<i32, (u64, AbortHandle)>,
    tasks: JoinSet<(i32, u64, T)>,
    so_far: u64,
}

impl<T: Send + 'static> Errands<T> {
    pub(super) fn new() -> Self {
        Self { out: BTreeMap::new(), tasks: JoinSet::new(), so_far: 0 }
    }

    /// Nobody waits for an earlier one of the partition any more.
    pub(super) fn send(&mut self, partition: i32, errand: impl Future<Output = T> + Send + 'static) {
        self.recall(partition);
        self.so_far += 1;
        let number = self.so_far;
        let task = self.tasks.spawn(async move { (partition, number, errand.await) });
        self.out.insert(partition, (number, task));
    }

    /// Nobody waits for its answer any more.
    pub(super) fn recall(&mut self, partition: i32) {
        if let Some((_, task)) = self.out.remove(&partition) {
            task.abort();
        }
    }

    pub(super) fn is_out(&self, partition: i32) -> bool {
        self.out.contains_key(&partition)
    }

    /// The next answer that somebody waits for; `None` when all have come. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(i32, T)> {
        loop {
            match self.tasks.join_next().await? {
                Ok((partition, number, answer)) => {
                    if self.out.get(&partition).is_some_and(|(waited_for, _)| *waited_for == number) {
                        self.out.remove(&partition);
                        return Some((partition, answer));
                    }
                }
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // It was recalled.
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_partition_that_nobody_answers_for_holds_up_no_other() {
        let mut errands = Errands::new();
        errands.send(0, pending());
        errands.send(1, ready("one"));
        errands.send(2, ready("two"));
        let mut answers = [errands.next().await.unwrap(), errands.next().await.unwrap()];
        answers.sort_unstable();
        assert_eq!(answers, [(1, "one"), (2, "two")]);
        assert!(errands.is_out(0) && !errands.is_out(1));
        errands.recall(0);
        assert_eq!(errands.next().await, None);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waits_for_is_not_heard() {
        let mut errands = Errands::new();
        errands.send(0, ready("old"));
        // It is there before the next is sent.
        tokio::task::yield_now().await;
        errands.send(0, ready("new"));
        assert_eq!(errands.next().await, Some((0, "new")));
        assert_eq!(errands.next().await, None);
    }
}
