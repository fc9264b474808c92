#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod detect;
mod files;
mod group;
mod kill;

pub use detect::{Controller, Home, Layout};
pub use files::Error;
pub use group::{Applied, Group, Limits, Report, Usage};
