//! Tests of the role: the core against a simulated cluster, and the whole against a scripted master.

mod faults;
mod network;
mod random;
mod scenarios;
mod sim;
mod stored;
mod versions;
