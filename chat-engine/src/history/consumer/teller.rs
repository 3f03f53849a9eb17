//! Telling the reading state what has become rows. It may be away for long; rows do not wait for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet};

use crate::{reading::Reading, record::Record};

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(200);

/// Rows that the reading state is to hear of.
pub(super) struct Tell {
    pub(super) partition: i32,
    pub(super) stay: u64,
    pub(super) to: u64,
    pub(super) records: Vec<Arc<Record>>,
}

/// It has heard of every offset of the partition before `to`.
pub(super) struct Told {
    pub(super) partition: i32,
    pub(super) stay: u64,
    pub(super) to: u64,
    pub(super) records: usize,
}

/// What the reading state's side has to say.
pub(super) enum News {
    Told(Told),
    /// It does not answer: what waits for it need not any longer.
    Away,
}

/// Takes rows to the reading state, in order.
pub(super) struct Teller {
    queue: mpsc::UnboundedSender<Tell>,
    news: mpsc::UnboundedReceiver<News>,
    away: Arc<AtomicBool>,
    /// Records that are on their way.
    waiting: usize,
    /// Ends with this.
    _task: JoinSet<()>,
}

impl Teller {
    pub(super) fn start(reading: Reading) -> Self {
        let (queue, mut tells) = mpsc::unbounded_channel::<Tell>();
        let (announce, news) = mpsc::unbounded_channel();
        let away = Arc::new(AtomicBool::new(false));
        let noted = away.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(Tell { partition, stay, to, records }) = tells.recv().await {
                loop {
                    // An attempt that was given up may reach Redis late: what is older than what it knows changes
                    // nothing.
                    match tokio::time::timeout(PATIENCE, reading.tell(&records)).await {
                        Ok(Ok(())) => break,
                        Ok(Err(error)) => {
                            tracing::warn!(%error, "the reading state was not told, trying again");
                        }
                        Err(_) => tracing::warn!("the reading state does not answer, trying again"),
                    }
                    if !noted.swap(true, Ordering::Relaxed) {
                        let _ = announce.send(News::Away);
                    }
                    tokio::time::sleep(RETRY).await;
                }
                noted.store(false, Ordering::Relaxed);
                let _ = announce.send(News::Told(Told { partition, stay, to, records: records.len() }));
            }
        });
        Self { queue, news, away, waiting: 0, _task: task }
    }

    /// Rows are there.
    pub(super) fn tell(&mut self, tell: Tell) {
        self.waiting += tell.records.len();
        // The task ends with this.
        let _ = self.queue.send(tell);
    }

    /// What comes next. Cancel-safe.
    pub(super) async fn news(&mut self) -> Option<News> {
        let news = self.news.recv().await?;
        if let News::Told(told) = &news {
            self.waiting -= told.records;
        }
        Some(news)
    }

    /// Records that it has not been told of yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether it did not answer the last time.
    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }
}
