//! The server's side of a connection, in simulated time: nothing here waits for a clock.

mod acknowledgements;
mod connecting;
mod conversation;
mod deadlines;
mod ending;
mod heart_beats;
mod subscriptions;
mod transactions;
mod versions;
