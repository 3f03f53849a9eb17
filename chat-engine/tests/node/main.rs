//! Whole nodes over real sockets: people connect, talk and read.

#![allow(clippy::unwrap_used, reason = "a test ends where its assumptions do")]

mod access;
mod acknowledging;
mod alerts;
mod attack;
mod changes;
mod client;
mod crash;
mod durable;
mod echo;
mod edits;
mod epochs;
mod events;
mod going_back;
mod history;
mod inboxes;
mod limits;
mod load;
mod membership;
mod outage;
mod pages;
mod peer;
#[path = "../harness/people.rs"]
mod people;
mod protocol;
#[path = "../harness/proxy.rs"]
mod proxy;
#[path = "../harness/questions.rs"]
mod questions;
mod reading;
#[path = "../harness/redis.rs"]
mod redis;
#[path = "../harness/redis_server.rs"]
mod redis_server;
mod repeats;
mod resume;
#[path = "../harness/rooms.rs"]
mod rooms;
#[path = "../harness/settings.rs"]
mod settings;
mod slow;
mod storm;
mod taken;
mod token;
mod topics;
mod ways;
mod world;
