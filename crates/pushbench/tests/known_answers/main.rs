//! Measurements with a known result: servers that freeze, slow down, lose or alter messages, refuse
//! clients or crash, and load generators without enough CPU or open files. `pushbench run` and
//! `pushbench load` must report exactly that.
//!
//! All tests use real processes. Tests that measure run one after the other, because each would
//! disturb the others.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod agents;
mod bad_answers;
mod bench;
mod broadcast_server;
mod bytes;
mod chat_server;
mod early_ends;
mod external_servers;
mod frozen;
mod http_clients;
mod joining;
mod machine_limits;
mod memory;
mod parallel_jobs;
mod polling;
mod processes;
mod protocols;
mod proxy;
mod reconnect;
#[path = "../common/redis.rs"]
mod redis;
mod remote_agents;
mod restart;
mod shared_log;
mod workers;
mod wrong_messages;
