//! Every exhibit, from ordinary and from extreme evidence.

use std::collections::BTreeSet;

use results::{Evidence, VerdictKind, invented};

use super::plots;

fn stems(jobs: &[Evidence]) -> Vec<String> {
    plots(jobs).into_iter().map(|exhibit| exhibit.name).collect()
}

#[test]
#[ignore]
fn dump() {
    let dir = std::path::Path::new("/tmp/plots");
    std::fs::create_dir_all(dir).unwrap();
    let start = std::time::Instant::now();
    for (name, clients) in [("one", &[1000][..]), ("sweep", &[100, 1000, 10_000])] {
        for exhibit in plots(&[invented::evidence(clients)]) {
            std::fs::write(dir.join(format!("{name}-{}.png", exhibit.name)), &exhibit.png).unwrap();
            std::fs::write(dir.join(format!("{name}-{}.svg", exhibit.name)), &exhibit.svg).unwrap();
            std::fs::write(dir.join(format!("{name}-{}.csv", exhibit.name)), &exhibit.csv).unwrap();
        }
    }
    println!("{:?}", start.elapsed());
    _ = (stems(&[]), VerdictKind::Sound, BTreeSet::<u8>::new());
}
