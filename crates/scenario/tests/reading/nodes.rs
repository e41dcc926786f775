//! Several servers, the log that they share, and outages.

use super::{VALID, error, read, with};

#[test]
fn several_servers_need_a_log_that_they_share() {
    assert_eq!(
        error(VALID, &["nodes=3"]),
        "--set nodes=3: nodes is 3, but servers with messages in their own memory are not one chat; write log = \"redis\""
    );
    let target = format!("{VALID}[[target]]\nname = 'other'\ncommand = 'x {{port}}'\ntransports = ['sse']\n");
    assert_eq!(
        error(&target, &["nodes=3", "log=redis"]),
        "--set nodes=3: nodes is 3, but a [[target]] is one server, and would be compared with several; leave it out"
    );
    let outage = format!("{target}[[outage]]\nwhat = 'kill-node'\nat_s = 4");
    assert!(
        error(&outage, &["slices=1"]).ends_with("outages are of the servers of this program: leave [[target]] out")
    );
    let job = read(VALID, &["nodes=3", "log=redis"]).unwrap();
    assert_eq!((job.plans[0].nodes, job.plans[0].log), (3, scenario::Log::Redis));
}

#[test]
fn an_outage_that_cannot_happen_is_refused() {
    let outage = |lines: &str, sets: &[&str]| {
        let shared = ["slices=1", "nodes=3", "log=redis"];
        let text = format!("{VALID}[[outage]]\n{lines}");
        read(&text, &[&shared[..], sets].concat()).err().map(|error| error.to_string())
    };
    let refused = |lines: &str| outage(lines, &[]).unwrap();
    assert_eq!(outage("what = 'kill-node'\nat_s = 4\nnode = 3", &[]), None);
    assert_eq!(outage("what = 'kill-log'\nat_s = 4\nfor_s = 2", &[]), None);
    assert_eq!(outage("what = 'forget-log'\nat_s = 4\nfor_s = 2", &[]), None);
    assert_eq!(
        with("[[outage]]\nwhat = 'kill-node'\nat_s = 4"),
        "f.toml:9: outage[1].at_s is 4, but an outage needs one long window: write slices = 1"
    );
    assert_eq!(
        refused("what = 'kill-node'\nat_s = 11"),
        "f.toml:9: outage[1].at_s is 11, but it would end after phases.window_s = 10: write less"
    );
    assert_eq!(
        refused("what = 'kill-node'\nat_s = 4\nnode = 4"),
        "f.toml:10: outage[1].node is 4, but nodes is 3: write at most that"
    );
    assert_eq!(
        refused("what = 'kill-node'\nat_s = 4\nfor_s = 1"),
        "f.toml:10: outage[1].for_s is 1, but a server that was killed stays away: leave this out"
    );
    assert!(refused("what = 'stop-node'\nat_s = 4").ends_with("it has to end: write the time until it goes on"));
    let in_memory = outage("what = 'kill-log'\nat_s = 4\nfor_s = 1", &["log=memory", "nodes=1"]).unwrap();
    assert_eq!(in_memory, "f.toml:8: outage[1].what is kill-log, but there is no shared log: write log = \"redis\"");
}
