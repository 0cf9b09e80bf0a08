//! The server as clients meet it: over sockets, with a small model behind it.

mod chat;
mod client;
mod clients;
mod completions;
mod errors;
mod faults;
mod messages;
mod others;
mod reasoning;
mod responses;
mod server;
mod shutdown;
mod tools;
mod trace;
mod trust;
