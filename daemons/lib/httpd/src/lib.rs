//! HTTP between daemons and toward people: listeners, mutual TLS with an identity for each role and
//! host, bounds in size and time, orderly drain, the v4 envelope, the client, the certificate
//! authority, and the operations routes that every daemon has.
//!
//! It knows no role's routes. Nobody is trusted by address: a peer is who its certificate says,
//! or, on a unix socket, who the kernel says.

pub mod always_ok;
pub mod client;
pub mod endpoint;
pub mod envelope;
pub mod identity;
pub mod listen;
pub mod ops;
pub mod pki;
pub mod server;
pub mod tls;

pub use client::Client;
pub use endpoint::{Endpoint, Listen};
pub use envelope::{Envelope, Failure};
pub use identity::{Identity, Peer, require_role};
pub use listen::Listener;
pub use ops::ops_router;
pub use server::{Limits, serve};
pub use tls::{ClientAuth, ServerTls, TlsFiles};
