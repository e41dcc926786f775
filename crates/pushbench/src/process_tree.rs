//! Child processes of a process, as the kernel lists them.

/// All descendants of `pid`, parents before their children.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut found = children(pid);
    let mut at = 0;
    while let Some(&next) = found.get(at) {
        let more = children(next).into_iter().filter(|pid| !found.contains(pid)).collect::<Vec<_>>();
        found.extend(more);
        at += 1;
    }
    found
}

/// Direct children of `pid`, started by any of its threads.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}
