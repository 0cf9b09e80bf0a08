//! Connections: who may come in, what a request may be, and how answers go out.
//!
//! Reading order: [`Server`] (a listener, then a model, then the end) · [`Trust`] (whose requests are read) · [`Limits`] (how
//! large, how long, how many) · `routes` (what there is) · `stream` (answers as they grow).

mod connection;
mod guard;
mod limits;
mod metrics;
mod respond;
mod routes;
mod server;
mod slow;
mod stream;
mod trust;

pub use limits::Limits;
pub(crate) use respond::JSON;
pub use server::{ListenError, Server};
pub use trust::{KeyError, Keys, Trust};
