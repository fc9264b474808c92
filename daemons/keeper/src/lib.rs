#![doc = include_str!("../README.md")]

pub mod protocol;

pub mod child;
pub mod cli;
pub mod connection;
pub mod journal;
pub mod kernel;
pub mod proc;
pub mod server;
pub mod start;
pub mod tasks;
pub use cli::main;
