//! The messages of `mesos.v1` that both APIs share. Nested message names are joined (`Offer.Operation` is
//! [`Operation`], `Value.Scalar` is [`Scalar`]).

mod command;
mod container;
mod framework;
mod ids;
mod resource;
mod task;
mod volume;

pub use command::*;
pub use container::*;
pub use framework::*;
pub use ids::*;
pub use resource::*;
pub use task::*;
pub use volume::*;
