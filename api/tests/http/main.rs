//! The api over real HTTP: each test has an api on a free port with a database of its own.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod codes;
mod document;
mod kafka;
mod log_in;
mod meetups;
mod page;
mod problems;
mod refresh;
mod relay;
mod running;
mod seed;
mod sign_up;
mod support;
mod tokens;
