//! The cases, each a conversation that shows a requirement, in files named after the sections of the
//! specifications. A case that several versions share talks in the one that its stage has.

pub(crate) mod acknowledging;
pub(crate) mod body;
pub(crate) mod connecting;
pub(crate) mod disconnect;
pub(crate) mod error;
pub(crate) mod frames;
pub(crate) mod heart_beating;
pub(crate) mod limits;
pub(crate) mod message;
pub(crate) mod negotiation;
pub(crate) mod receipt;
pub(crate) mod rooms;
pub(crate) mod send;
pub(crate) mod subscribe;
pub(crate) mod transactions;
pub(crate) mod value_encoding;
pub(crate) mod websocket;
