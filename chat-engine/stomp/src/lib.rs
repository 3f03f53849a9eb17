//! The STOMP protocol without IO.
