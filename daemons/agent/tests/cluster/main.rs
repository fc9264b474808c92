//! Master and agent in one process, over mutual TLS on loopback, driven through the public Mesos v1 APIs only.

mod executor;
mod framework;
mod host;
mod scenarios;
