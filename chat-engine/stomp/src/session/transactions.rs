//! What waits for COMMIT.

use bytes::Bytes;
use bytestring::ByteString;

use super::{SessionSettings, Violation};
use crate::{Acknowledgement, Request, Send};

/// A connection's transactions.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: Vec<Transaction>,
}

#[derive(Debug)]
struct Transaction {
    name: ByteString,
    sends: Vec<Send>,
    acknowledgements: Vec<Acknowledgement>,
    bytes: usize,
}

/// What a frame costs besides its bytes: its place in a list, and its headers'.
const FRAME_OVERHEAD: usize = 256;

impl Transactions {
    pub(super) fn begin(&mut self, name: ByteString, limit: usize) -> Result<(), Violation> {
        if self.open.iter().any(|transaction| transaction.name == name) {
            return Err(Violation::TransactionTaken(name));
        }
        if self.open.len() >= limit {
            return Err(Violation::TooManyTransactions(limit));
        }
        self.open.push(Transaction { name, sends: Vec::new(), acknowledgements: Vec::new(), bytes: 0 });
        Ok(())
    }

    /// Holds a SEND, ACK or NACK of so many bytes until its transaction ends.
    pub(super) fn hold(
        &mut self,
        request: Request,
        bytes: usize,
        settings: &SessionSettings,
    ) -> Result<(), Violation> {
        let name = match &request {
            Request::Send(send) => send.transaction.clone(),
            Request::Acknowledge(acknowledgement) => acknowledgement.transaction.clone(),
            _ => None,
        };
        let name = name.unwrap_or_default();
        let frames: usize = self.open.iter().map(Transaction::frames).sum();
        let bytes = bytes + FRAME_OVERHEAD;
        let held: usize = self.open.iter().map(|transaction| transaction.bytes).sum();
        let transaction = self.open.iter_mut().find(|transaction| transaction.name == name);
        let Some(transaction) = transaction else { return Err(Violation::NoTransaction(name)) };
        if frames >= settings.transaction_frames {
            return Err(Violation::TransactionFrames(settings.transaction_frames));
        }
        if held + bytes > settings.transaction_bytes {
            return Err(Violation::TransactionBytes(settings.transaction_bytes));
        }
        transaction.bytes += bytes;
        match request {
            Request::Send(mut send) => {
                // A slice would keep the whole piece of the stream that it came in, which nobody has counted.
                send.body = Bytes::copy_from_slice(&send.body);
                transaction.sends.push(send);
            }
            Request::Acknowledge(acknowledgement) => transaction.acknowledgements.push(acknowledgement),
            _ => {}
        }
        Ok(())
    }

    /// What a transaction held; it is over.
    pub(super) fn end(&mut self, name: &ByteString) -> Result<(Vec<Send>, Vec<Acknowledgement>), Violation> {
        let at = self.open.iter().position(|transaction| transaction.name == *name);
        let at = at.ok_or_else(|| Violation::NoTransaction(name.clone()))?;
        let Transaction { sends, acknowledgements, .. } = self.open.remove(at);
        Ok((sends, acknowledgements))
    }
}

impl Transaction {
    fn frames(&self) -> usize {
        self.sends.len() + self.acknowledgements.len()
    }
}
