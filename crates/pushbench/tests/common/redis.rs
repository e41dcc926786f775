//! A Redis for one test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const START_MAX: Duration = Duration::from_secs(30);

/// A Redis that listens on a socket in a folder of its own.
pub(crate) struct Redis {
    pub(crate) folder: PathBuf,
    pub(crate) child: Child,
}

impl Redis {
    /// `keeps`: whether it has its data again after it was killed.
    pub(crate) async fn start(keeps: bool) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let name = format!("pushbench-redis-{}-{}", std::process::id(), STARTED.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        let child = Self::process(&folder, keeps).await;
        Self { folder, child }
    }

    /// A process that listens.
    pub(crate) async fn process(folder: &Path, keeps: bool) -> Child {
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendfsync", "always"]);
        command.args(["--appendonly", if keeps { "yes" } else { "no" }]);
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("redis-server is installed");
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        let listens = async {
            while let Some(line) = log.next_line().await.unwrap() {
                if line.contains("ready to accept connections at") {
                    return;
                }
            }
            panic!("Redis ended before it listened");
        };
        tokio::time::timeout(START_MAX, listens).await.expect("Redis listens");
        // Redis writes on.
        child.stdout = Some(log.into_inner().into_inner());
        child
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.folder.join("redis.sock").display())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.start_kill().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
