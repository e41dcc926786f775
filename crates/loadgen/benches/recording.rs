//! The cost of a delivered message in histograms and ledger.
//!
//! `cargo bench -p pushbench-loadgen --bench recording`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::sync::Arc;

use loadgen::bench::{Received, receive_all};

const ROUNDS: usize = 9;

fn main() {
    let text = "name = \"b\"\nquestion = \"?\"\nclients = 1000\nrooms = 20\n[posts]\nper_client_per_s = 2.0\npayload_bytes = 200\n[phases]\nwarm_up_s = 0.0\nwindow_s = 20.0\n";
    let job = scenario::parse("bench", text, &[]).expect("a valid scenario");
    let plan = Arc::new(job.plans[0].clone());
    for (name, received) in [
        ("clock, ledger, histograms (and a copy of the text)", Received::Message),
        ("the same from JSON of the built-in server", Received::Json),
        ("the same from JSON of another server, 280 bytes", Received::Foreign),
    ] {
        let mut each: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let (took, deliveries) = receive_all(&plan, received);
                took.as_nanos() as f64 / deliveries as f64
            })
            .collect();
        each.sort_by(f64::total_cmp);
        println!(
            "{name}: {:.0} ns a message ({:.0}–{:.0}, {ROUNDS} rounds)",
            each[ROUNDS / 2],
            each[0],
            each[ROUNDS - 1]
        );
    }
}
