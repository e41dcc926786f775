//! The instrument: a crowd of simulated clients that follow a plan, and what they saw.
//!
//! One worker thread a core, each with its own runtime, clients and recorder; nothing is shared per message but a few
//! relaxed stores. The crate does not know the server: it speaks to whatever listens at the target.

#[doc(hidden)]
pub mod bench;
mod client;
mod clock;
mod collect;
mod conduct;
mod crowd;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod joining;
mod ledger;
mod link;
mod live;
mod lockstep;
mod pacer;
mod posting;
mod posts;
mod protocol;
mod receiving;
mod recorder;
mod recording;
mod repeated;
mod target;
mod tcp_info;
mod transports;
mod worker;

pub use conduct::{Checkpoint, RunConfig, execute};
pub use joining::{JoinError, try_join};
pub use live::{Phase, Progress};
pub use lockstep::{LockStepError, StepCounts, Until, lock_step};
pub use recording::RunMeasurements;
pub use target::Target;
pub use tcp_info::SocketCounts;
