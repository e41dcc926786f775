//! Keeps the cores of the load generator awake while it measures. To wake the core of a client that
//! sleeps is charged to the server that sends to it; clients on other machines cost no server that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use crate::machine;

/// Looks at the flag once in so many turns of the loop, a few microseconds.
const TURNS: u32 = 100;

/// Threads that run while nothing else does, one on each core. They end with this value.
pub(crate) struct AwakeCores {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The cores that are kept awake: those of the generator alone, because a server's core sleeps in
/// production too. None with a CPU quota, which the threads would use up.
pub(crate) fn awake_cores(server_cores: &[usize], generator_cores: &[usize]) -> Vec<usize> {
    let alone = generator_cores.iter().filter(|core| !server_cores.contains(core)).copied();
    if machine::quota_cpus().is_some() { Vec::new() } else { alone.collect() }
}

impl AwakeCores {
    /// Starts the threads.
    pub(crate) fn keep(cores: &[usize]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = |core: &usize| {
            let (core, stop) = (*core, Arc::clone(&stop));
            std::thread::Builder::new().name(format!("awake-{core}")).spawn(move || keep_awake(core, &stop))
        };
        // Without the threads the core sleeps, as it would without this program.
        let threads = cores.iter().filter_map(|core| thread(core).ok()).collect();
        Self { stop, threads }
    }
}

impl Drop for AwakeCores {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

fn keep_awake(core: usize, stop: &AtomicBool) {
    if machine::pin(&[core]).is_err() || machine::run_when_idle().is_err() {
        return;
    }
    while !stop.load(Relaxed) {
        for _ in 0..TURNS {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cores_without_a_server_are_kept_awake() {
        let expected = if machine::quota_cpus().is_some() { vec![] } else { vec![1, 2] };
        assert_eq!(awake_cores(&[0], &[1, 2]), expected);
        assert_eq!(awake_cores(&[0], &[0]), Vec::<usize>::new());
    }

    #[test]
    fn the_threads_run_and_end() {
        let core = machine::cores()[0];
        let awake = AwakeCores::keep(&[core]);
        assert_eq!(awake.threads.len(), 1);
        drop(awake);
    }
}
