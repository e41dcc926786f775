//! What one delivery costs the server: one room, N subscribers, every transport, beside a bare write loop.
//!
//! `cargo bench -p pushbench-server --bench fanout -- [--rounds 5] [--subscribers 500,5000] [--in-flight 1,8]
//! [--deliveries 100000] [--arms tcp,sse] [--against OTHER_BUILD_OF_THIS_BENCH]`
//!
//! The server is another process on another core; its CPU clock is read before and after. The machine's own mood changes by the
//! second: every arm is measured in short slices that alternate with slices of `tcp`, and compared with these alone.

#![expect(clippy::print_stdout, reason = "a bench tells its result")]

mod common;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use common::crowd::{Arm, Crowd};
use common::patient::{Patient, is_this_process};
use common::{Dice, Sample, argument, load, numbers};

/// Slices of a measurement; the first message of each is not measured, for it finds cold caches. The median slice counts: whoever
/// else uses the machine disturbs some of them.
const SLICES: usize = 16;

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
/// Of one round.
type Figures = BTreeMap<Key, Figure>;

/// µs per delivery, slice by slice.
struct Figure {
    cost: Vec<f64>,
    /// That of `tcp` in the slices between.
    tcp: Vec<f64>,
}

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
    // The clients' side never sleeps. Otherwise the server would pay for waking it, the more the slower the arm.
    tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let (mut dice, mut rounds) = (Dice::new(), Vec::new());
    for round in 1..=plan.rounds {
        println!("round {round} of {}, load {}", plan.rounds, load());
        let mut order: Vec<_> = plan.sizes.iter().flat_map(|n| plan.arms.iter().map(move |arm| (*n, *arm))).collect();
        dice.shuffle(&mut order);
        let mut figures = Figures::new();
        for (n, arm) in order {
            measure(plan, &patients, arm, n, &mut dice, &mut figures).await?;
        }
        rounds.push(figures);
    }
    Ok(rounds)
}

/// One arm on every build, each with a `tcp` crowd beside it.
async fn measure(
    plan: &Plan,
    patients: &[Patient],
    arm: Arm,
    n: usize,
    dice: &mut Dice,
    figures: &mut Figures,
) -> io::Result<()> {
    let mut crowds = Vec::new();
    for (build, patient) in patients.iter().enumerate() {
        for (is_tcp, arm) in [(false, arm), (true, Arm::Tcp)] {
            crowds.push((build, is_tcp, Crowd::join(patient, arm, n).await?));
        }
    }
    for &k in &plan.in_flight {
        // Several in flight share a write: more of them make a measurement of about the same time.
        let times = (plan.deliveries * if k > 1 { 4 } else { 1 } / (n * k * SLICES)).max(1);
        let mut spent: Vec<[Vec<f64>; 2]> = patients.iter().map(|_| Default::default()).collect();
        for _ in 0..SLICES {
            dice.shuffle(&mut crowds);
            for (build, is_tcp, crowd) in &mut crowds {
                crowd.fan_out(k).await?;
                let before = patients[*build].cpu()?;
                for _ in 0..times {
                    crowd.fan_out(k).await?;
                }
                let slice = patients[*build].cpu()? - before;
                spent[*build][usize::from(*is_tcp)].push(slice.as_secs_f64() * 1e6 / (times * n * k) as f64);
            }
        }
        for (build, [cost, tcp]) in spent.into_iter().enumerate() {
            figures.insert((n, k, arm, build), Figure { cost, tcp });
        }
    }
    for (.., crowd) in crowds {
        crowd.leave().await;
    }
    for patient in patients {
        patient.until_empty().await?;
    }
    Ok(())
}

fn report(plan: &Plan, rounds: &[Figures]) {
    println!("\nserver CPU per delivery, median of {} rounds (least–most); load {}", rounds.len(), load());
    for &n in &plan.sizes {
        for &k in &plan.in_flight {
            println!("\n{n} subscribers, {k} in flight");
            println!("{:<18}{:<7}{:>24}{:>24}{:>24}", "", "build", "µs", "× tcp", "× other build");
            for &arm in &plan.arms {
                for (build, (name, _)) in plan.builds.iter().enumerate() {
                    let of = |figure: fn(&Figure) -> f64| {
                        sample(rounds, |figures| figures.get(&(n, k, arm, build)).map(figure))
                    };
                    let (cost, tcp) = (of(|figure| median(&figure.cost)), of(|figure| over(&figure.cost, &figure.tcp)));
                    let other = sample(rounds, |figures| against(figures, (n, k, arm, build)));
                    println!("{:<18}{name:<7}{:>24}{:>24}{:>24}", arm.name(), show(&cost), show(&tcp), show(&other));
                }
            }
        }
        let key = |k, arm| (n, k, arm, 0);
        let bare = sample(rounds, |round| round.get(&key(1, Arm::Bare)).map(|figure| over(&figure.tcp, &figure.cost)));
        println!("\ntcp / bare write loop: {}", show(&bare));
        if [1, 8].iter().all(|k| plan.in_flight.contains(k)) {
            let batched = sample(rounds, |round| {
                let of = |k, arm: &Arm| Some(median(&round.get(&key(k, *arm))?.tcp));
                let tcp = |k| plan.arms.iter().filter_map(|arm| of(k, arm)).sum::<f64>();
                Some(tcp(8) / tcp(1))
            });
            println!("tcp, 8 in flight / 1 in flight: {}", show(&batched));
        }
    }
    if plan.builds.len() > 1 {
        let mut all = Sample::default();
        for figures in rounds {
            let mine = figures.keys().filter(|(_, _, arm, build)| *build == 0 && *arm != Arm::Bare);
            mine.filter_map(|key| against(figures, *key)).for_each(|ratio| all.push(ratio));
        }
        println!("\nthis build / other build, everything but the bare loop: {}", show(&all));
    }
}

fn sample(rounds: &[Figures], of: impl Fn(&Figures) -> Option<f64>) -> Sample {
    let mut sample = Sample::default();
    rounds.iter().filter_map(of).for_each(|value| sample.push(value));
    sample
}

/// A figure over that of the other build.
fn against(figures: &Figures, (n, k, arm, build): Key) -> Option<f64> {
    let other = figures.get(&(n, k, arm, 1 - build))?;
    Some(over(&figures.get(&(n, k, arm, build))?.cost, &other.cost))
}

/// What one costs in units of the other, slice by slice.
fn over(above: &[f64], below: &[f64]) -> f64 {
    median(&above.iter().zip(below).map(|(above, below)| above / below).collect::<Vec<_>>())
}

fn median(values: &[f64]) -> f64 {
    let mut sample = Sample::default();
    values.iter().for_each(|value| sample.push(*value));
    sample.median()
}

fn show(sample: &Sample) -> String {
    let (least, most) = sample.spread();
    if least.is_nan() { "–".to_owned() } else { format!("{:.3} ({least:.3}–{most:.3})", sample.median()) }
}
