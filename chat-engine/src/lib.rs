//! The chat engine: a STOMP broker over WebSocket whose rooms show, for every message, how many members have
//! not read it yet.

pub mod reading;
pub mod record;
pub mod room;
