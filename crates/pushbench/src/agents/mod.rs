//! Load generators on other machines: an agent on each, and the Redis over which a job leads them.

pub(crate) mod agent;
pub(crate) mod crew;
mod exchange;
