//! What may never come to its end is dropped on a thread of its own.

use std::{ops::Deref, thread};

use tokio::sync::watch;

/// A value whose drop nobody has to wait for. librdkafka's consumer hangs for ever if it is closed at the wrong moment of a
/// rebalance (confluentinc/librdkafka#4884): with it the node would not stop, and not even be able to say so.
#[derive(Debug)]
pub(crate) struct Aside<T: Send + 'static> {
    /// Taken only when this is dropped.
    value: Option<T>,
    gone: watch::Sender<()>,
}

/// Knows when the value is gone.
#[derive(Debug)]
pub(crate) struct Gone(watch::Receiver<()>);

impl<T: Send + 'static> Aside<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), gone: watch::Sender::new(()) }
    }

    pub(crate) fn gone(&self) -> Gone {
        Gone(self.gone.subscribe())
    }
}

impl Gone {
    /// Waits until it is.
    pub(crate) async fn wait(mut self) {
        // Nothing is ever sent: the sender goes, behind the value.
        while self.0.changed().await.is_ok() {}
    }
}

impl<T: Send + 'static> Deref for Aside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("taken only when this is dropped")
    }
}

impl<T: Send + 'static> Drop for Aside<T> {
    fn drop(&mut self) {
        let (value, gone) = (self.value.take(), self.gone.clone());
        // Without a thread it is dropped here.
        let _ = thread::Builder::new().name("leaving".to_owned()).spawn(move || {
            drop(value);
            drop(gone);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;

    use super::*;

    /// Its drop lasts until it is let go.
    struct Stuck(mpsc::Receiver<()>);

    impl Drop for Stuck {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_drop_that_hangs_and_its_end_is_told() {
        let (let_go, stuck) = mpsc::channel();
        let aside = Aside::new(Stuck(stuck));
        let gone = aside.gone();
        drop(aside);
        let mut gone = std::pin::pin!(gone.wait());
        assert_eq!(gone.as_mut().now_or_never(), None, "it hangs");
        let_go.send(()).unwrap();
        gone.await;
    }
}
