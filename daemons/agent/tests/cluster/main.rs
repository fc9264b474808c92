//! Master and agent in one process, over mutual TLS on loopback, driven through the public Mesos v1 APIs only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of a test fail as the test does"
)]

mod executor;
mod framework;
mod host;
mod scenarios;
