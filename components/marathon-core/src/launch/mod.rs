//! Where an instance may run, and the message that launches it there.
//!
//! [`fit`] is asked once for each instance and offer. It takes what the instance needs from a
//! [`RemainingOffer`] and returns the complete task, or says in a [`Refusal`] what was missing.
//! [`Placed`] knows where the other instances of the app are, [`Refusals`] keeps what was refused.

mod attribute;
mod checks;
mod constraint;
mod container;
mod discovery;
mod environment;
mod fit;
mod foresee;
mod offer;
mod placed;
mod ports;
mod reason;
mod refusals;
mod seed;
mod settings;
mod task;
mod victims;

#[cfg(test)]
mod task_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use attribute::{Attribute, AttributeKind};
pub use fit::{Launch, LaunchRequest, fit};
pub use foresee::{KnownAgent, could_ever_fit};
pub use offer::{Offer, Placement, RemainingOffer, Unavailability};
pub use placed::Placed;
pub use reason::{Detail, Reason, Reasons, Refusal};
pub use refusals::{FunnelStep, LastRefusal, Refusals, TopReason};
pub use settings::{GpuBehaviour, LaunchSettings};
pub use victims::victims;
