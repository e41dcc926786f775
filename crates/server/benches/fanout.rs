//! CPU time of the server per delivery: one room, N subscribers, every transport, and a bare write
//! loop.
//!
//! `cargo bench -p pushbench-server --bench fanout -- [--rounds 5] [--subscribers 500,5000]
//! [--in-flight 1,8] [--deliveries 100000] [--variants tcp,sse] [--against
//! OTHER_BUILD_OF_THIS_BENCH]`
//!
//! The server is another process on another core; its CPU clock is read before and after. The speed
//! of a machine changes from second to second, so each variant is measured in short slices that
//! alternate with slices of `tcp`, and is compared with these only.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

mod common;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use common::bench_server::{BenchServer, ran_as_server};
use common::clients::{Clients, Variant};
use common::machine::{argument, load, median, number, numbers, pin_and_raise_limits, shown};

/// Slices of a measurement. The first message of each is not measured, because the caches are cold.
/// The result is the median slice, because other processes disturb some of them.
const SLICES: usize = 16;

struct Plan {
    rounds: usize,
    sizes: Vec<usize>,
    in_flight: Vec<usize>,
    deliveries: usize,
    variants: Vec<Variant>,
    builds: Vec<(&'static str, Option<PathBuf>)>,
}

/// Identifies a figure: subscribers, messages in flight, variant, build.
type Key = (usize, usize, Variant, usize);
/// The figures of one round.
type Figures = BTreeMap<Key, Figure>;

/// CPU time per delivery in µs, for each slice.
struct Figure {
    cost: Vec<f64>,
    /// The same for `tcp` in the slices between.
    tcp: Vec<f64>,
}

fn main() -> io::Result<()> {
    if ran_as_server()? {
        return Ok(());
    }
    let mut builds = vec![("this", None)];
    builds.extend(argument("--against").map(|path| ("other", Some(PathBuf::from(path)))));
    let plan = Plan {
        rounds: number("--rounds", 5),
        sizes: numbers("--subscribers", &[500, 5000]),
        in_flight: numbers("--in-flight", &[1, 8]),
        deliveries: number("--deliveries", 100_000),
        variants: Variant::chosen().into_iter().filter(|variant| *variant != Variant::Polling).collect(),
        builds,
    };
    pin_and_raise_limits()?;
    let rounds = common::runtime()?.block_on(run(&plan))?;
    report(&plan, &rounds);
    Ok(())
}

async fn run(plan: &Plan) -> io::Result<Vec<Figures>> {
    let starts = plan.builds.iter().map(|(_, build)| BenchServer::start(build.as_deref()));
    let servers = starts.collect::<io::Result<Vec<_>>>()?;
    // The thread of the clients never sleeps. Otherwise the server would spend CPU time on waking
    // it, and more of it for slower variants.
    tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let (mut rng, mut rounds) = (Rng::new(), Vec::new());
    for round in 1..=plan.rounds {
        println!("round {round} of {}, load {}", plan.rounds, load());
        let mut order: Vec<_> =
            plan.sizes.iter().flat_map(|n| plan.variants.iter().map(move |variant| (*n, *variant))).collect();
        rng.shuffle(&mut order);
        let mut figures = Figures::new();
        for (n, variant) in order {
            measure(plan, &servers, variant, n, &mut rng, &mut figures).await?;
        }
        rounds.push(figures);
    }
    Ok(rounds)
}

/// Measures one variant on every build, each beside a room of `tcp` clients.
async fn measure(
    plan: &Plan,
    servers: &[BenchServer],
    variant: Variant,
    n: usize,
    rng: &mut Rng,
    figures: &mut Figures,
) -> io::Result<()> {
    let mut rooms = Vec::new();
    for (build, server) in servers.iter().enumerate() {
        for (is_tcp, variant) in [(false, variant), (true, Variant::Tcp)] {
            rooms.push((build, is_tcp, Clients::join(server, variant, n).await?));
        }
    }
    for &k in &plan.in_flight {
        // Messages in flight share a write, so more of them take about the same time.
        let times = (plan.deliveries * if k > 1 { 4 } else { 1 } / (n * k * SLICES)).max(1);
        let mut spent: Vec<[Vec<f64>; 2]> = servers.iter().map(|_| Default::default()).collect();
        for _ in 0..SLICES {
            rng.shuffle(&mut rooms);
            for (build, is_tcp, room) in &mut rooms {
                room.fan_out(k).await?;
                let before = servers[*build].cpu()?;
                for _ in 0..times {
                    room.fan_out(k).await?;
                }
                let slice = servers[*build].cpu()? - before;
                spent[*build][usize::from(*is_tcp)].push(slice.as_secs_f64() * 1e6 / (times * n * k) as f64);
            }
        }
        for (build, [cost, tcp]) in spent.into_iter().enumerate() {
            figures.insert((n, k, variant, build), Figure { cost, tcp });
        }
    }
    for (.., room) in rooms {
        room.leave().await;
    }
    for server in servers {
        server.until_empty().await?;
    }
    Ok(())
}

fn report(plan: &Plan, rounds: &[Figures]) {
    println!("\nserver CPU per delivery, median of {} rounds (least–most); load {}", rounds.len(), load());
    for &n in &plan.sizes {
        for &k in &plan.in_flight {
            println!("\n{n} subscribers, {k} in flight");
            println!("{:<18}{:<7}{:>24}{:>24}{:>24}", "", "build", "µs", "× tcp", "× other build");
            for &variant in &plan.variants {
                for (build, (name, _)) in plan.builds.iter().enumerate() {
                    let of = |figure: fn(&Figure) -> f64| {
                        sample(rounds, |figures| figures.get(&(n, k, variant, build)).map(figure))
                    };
                    let (cost, tcp) = (of(|figure| median(&figure.cost)), of(|figure| over(&figure.cost, &figure.tcp)));
                    let other = sample(rounds, |figures| against(figures, (n, k, variant, build)));
                    println!(
                        "{:<18}{name:<7}{:>24}{:>24}{:>24}",
                        variant.name(),
                        shown(&cost, 3),
                        shown(&tcp, 3),
                        shown(&other, 3)
                    );
                }
            }
        }
        let key = |k, variant| (n, k, variant, 0);
        let (Some(&least), Some(&most)) = (plan.in_flight.iter().min(), plan.in_flight.iter().max()) else { continue };
        let bare =
            sample(rounds, |round| round.get(&key(least, Variant::Bare)).map(|figure| over(&figure.tcp, &figure.cost)));
        println!("\ntcp / bare write loop, {least} in flight: {}", shown(&bare, 3));
        if least < most {
            let batched = sample(rounds, |round| {
                let tcp = |k| {
                    plan.variants
                        .iter()
                        .filter_map(|variant| Some(median(&round.get(&key(k, *variant))?.tcp)))
                        .sum::<f64>()
                };
                Some(tcp(most) / tcp(least))
            });
            println!("tcp, {most} in flight / {least} in flight: {}", shown(&batched, 3));
        }
    }
    if plan.builds.len() > 1 {
        let mut all = Vec::new();
        for figures in rounds {
            let mine = figures.keys().filter(|(_, _, variant, build)| *build == 0 && *variant != Variant::Bare);
            all.extend(mine.filter_map(|key| against(figures, *key)));
        }
        println!("\nthis build / other build, everything but the bare loop: {}", shown(&all, 3));
    }
}

fn sample(rounds: &[Figures], of: impl Fn(&Figures) -> Option<f64>) -> Vec<f64> {
    rounds.iter().filter_map(of).collect()
}

/// The ratio of a figure to that of the other build.
fn against(figures: &Figures, (n, k, variant, build): Key) -> Option<f64> {
    let other = figures.get(&(n, k, variant, 1 - build))?;
    Some(over(&figures.get(&(n, k, variant, build))?.cost, &other.cost))
}

/// The median ratio of two series of slices.
fn over(above: &[f64], below: &[f64]) -> f64 {
    median(&above.iter().zip(below).map(|(above, below)| above / below).collect::<Vec<_>>())
}

/// A small random number generator for the order of measurements (xorshift64*).
struct Rng(u64);

impl Rng {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(u64::from(now.subsec_nanos()) | 1)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let any = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
            items.swap(last, usize::try_from(any).unwrap_or(0) % (last + 1));
        }
    }
}
