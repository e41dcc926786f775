//! What one delivery costs the server: one room, N subscribers, every transport, beside a bare write loop.
//!
//! `cargo bench -p pushbench-server --bench fanout -- [--rounds 5] [--subscribers 500,5000] [--in-flight 1,8]
//! [--deliveries 100000] [--arms tcp,sse] [--against OTHER_BUILD_OF_THIS_BENCH]`
//!
//! The server is another process on another core; its CPU clock is read before and after. Rounds are interleaved, arms in random
//! order within one, and ratios are taken inside a round: the machine's own mood changes by the minute.

#![expect(clippy::print_stdout, reason = "a bench tells its result")]

mod common;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use common::crowd::{Arm, Crowd};
use common::patient::{Patient, is_this_process};
use common::{Dice, Sample, argument, load, numbers};

/// Not measured: caches, buffers and the branch predictor find their places.
const WARM_UP: usize = 4;

struct Plan {
    rounds: usize,
    sizes: Vec<usize>,
    in_flight: Vec<usize>,
    deliveries: usize,
    arms: Vec<Arm>,
    builds: Vec<(&'static str, Option<PathBuf>)>,
}

/// Which figure: subscribers, in flight, arm, build.
type Key = (usize, usize, Arm, usize);
type Figures = BTreeMap<Key, f64>;

fn main() -> io::Result<()> {
    if is_this_process()? {
        return Ok(());
    }
    let mut builds = vec![("this", None)];
    builds.extend(argument("--against").map(|path| ("other", Some(PathBuf::from(path)))));
    let plan = Plan {
        rounds: numbers("--rounds", &[5])[0],
        sizes: numbers("--subscribers", &[500, 5000]),
        in_flight: numbers("--in-flight", &[1, 8]),
        deliveries: numbers("--deliveries", &[100_000])[0],
        arms: Arm::chosen(),
        builds,
    };
    common::raise_open_files()?;
    common::pin(common::CROWD_CORE)?;
    let rounds = common::runtime()?.block_on(run(&plan))?;
    report(&plan, &rounds);
    Ok(())
}

async fn run(plan: &Plan) -> io::Result<Vec<Figures>> {
    let starts = plan.builds.iter().map(|(_, build)| Patient::start(build.as_deref()));
    let patients = starts.collect::<io::Result<Vec<_>>>()?;
    let (mut dice, mut rounds) = (Dice::new(), Vec::new());
    for round in 1..=plan.rounds {
        println!("round {round} of {}, load {}", plan.rounds, load());
        let mut order: Vec<_> = plan.sizes.iter().flat_map(|n| plan.arms.iter().map(move |arm| (*n, *arm))).collect();
        dice.shuffle(&mut order);
        let mut figures = Figures::new();
        for (n, arm) in order {
            let mut builds: Vec<_> = patients.iter().enumerate().collect();
            dice.shuffle(&mut builds);
            for (build, patient) in builds {
                for (k, cost) in measure(plan, patient, arm, n).await? {
                    figures.insert((n, k, arm, build), cost);
                }
            }
        }
        rounds.push(figures);
    }
    Ok(rounds)
}

/// Server CPU per delivery in µs, for every number in flight.
async fn measure(plan: &Plan, patient: &Patient, arm: Arm, n: usize) -> io::Result<Vec<(usize, f64)>> {
    let mut crowd = Crowd::join(patient, arm, n).await?;
    let mut costs = Vec::new();
    for &k in &plan.in_flight {
        for _ in 0..WARM_UP {
            crowd.fan_out(n, k).await?;
        }
        // Several in flight share a write: more of them make a measurement of about the same time.
        let times = (plan.deliveries * if k > 1 { 4 } else { 1 } / (n * k)).max(1);
        let before = patient.cpu()?;
        for _ in 0..times {
            crowd.fan_out(n, k).await?;
        }
        let spent = patient.cpu()? - before;
        costs.push((k, spent.as_secs_f64() * 1e6 / (times * n * k) as f64));
    }
    crowd.leave(patient).await?;
    Ok(costs)
}

fn report(plan: &Plan, rounds: &[Figures]) {
    println!("\nserver CPU per delivery, median of {} rounds (least–most); load {}", rounds.len(), load());
    for &n in &plan.sizes {
        for &k in &plan.in_flight {
            println!("\n{n} subscribers, {k} in flight");
            println!("{:<18}{:<7}{:>26}{:>26}{:>26}", "", "build", "µs", "× tcp", "× other build");
            for &arm in &plan.arms {
                for (build, (name, _)) in plan.builds.iter().enumerate() {
                    let cost = sample(rounds, |figures| figures.get(&(n, k, arm, build)).copied());
                    let tcp = ratio(rounds, (n, k, arm, build), (n, k, Arm::Tcp, build));
                    let other = ratio(rounds, (n, k, arm, build), (n, k, arm, 1 - build.min(1)));
                    println!("{:<18}{name:<7}{:>26}{:>26}{:>26}", arm.name(), show(&cost), show(&tcp), show(&other));
                }
            }
        }
    }
    println!();
    for &n in &plan.sizes {
        let bare = ratio(rounds, (n, 1, Arm::Tcp, 0), (n, 1, Arm::Bare, 0));
        let batched = ratio(rounds, (n, 8, Arm::Tcp, 0), (n, 1, Arm::Tcp, 0));
        println!(
            "{n} subscribers: tcp / bare write loop {}; tcp 8 in flight / 1 in flight {}",
            show(&bare),
            show(&batched)
        );
    }
    if plan.builds.len() > 1 {
        let all = rounds.iter().flat_map(|figures| {
            let mine = figures.iter().filter(|((_, _, arm, build), _)| *build == 0 && *arm != Arm::Bare);
            mine.filter_map(|(key, cost)| Some(cost / figures.get(&(key.0, key.1, key.2, 1))?))
        });
        let mut overall = Sample::default();
        all.for_each(|ratio| overall.push(ratio));
        println!("this build / other build, all pairs: {}", show(&overall));
    }
}

fn sample(rounds: &[Figures], of: impl Fn(&Figures) -> Option<f64>) -> Sample {
    let mut sample = Sample::default();
    rounds.iter().filter_map(of).for_each(|value| sample.push(value));
    sample
}

/// Of two figures of the same round.
fn ratio(rounds: &[Figures], above: Key, below: Key) -> Sample {
    sample(rounds, |figures| Some(figures.get(&above)? / figures.get(&below)?))
}

fn show(sample: &Sample) -> String {
    let (least, most) = sample.spread();
    if least.is_nan() { "–".to_owned() } else { format!("{:.3} ({least:.3}–{most:.3})", sample.median()) }
}
