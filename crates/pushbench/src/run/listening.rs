//! Checks that the process of `--pid` is the one that listens on the target's address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{bail, ensure};

use crate::process_tree;

/// Code of the listening state in the kernel's socket tables.
const LISTENS: &str = "0A";

/// Fails unless `pid` and its descendants serve `address`, and no other process does.
pub(super) fn check(pid: u32, address: SocketAddr) -> anyhow::Result<()> {
    let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default());
    let sockets = sockets(&tables.concat(), address);
    ensure!(!sockets.is_empty(), "no process listens on {address}; start the server, or correct --target");
    let metered = [vec![pid], process_tree::descendants(pid)].concat();
    let (own, others): (Vec<_>, Vec<_>) = holders(&sockets).into_iter().partition(|holder| metered.contains(holder));
    if own.is_empty() && others.is_empty() {
        bail!(
            "process {} does not listen on {address}, and the process that does is not visible; run as the server's user",
            process_name(pid)
        );
    }
    let all = others.iter().map(|other| process_name(*other)).collect::<Vec<_>>().join(", ");
    if own.is_empty() {
        bail!("process {} does not listen on {address}; give the pid of the one that does: {all}", process_name(pid));
    }
    // A parent may have opened the socket and passed it on; any other process takes a share of the
    // connections.
    let beside = others.iter().any(|other| !process_tree::descendants(*other).contains(&pid));
    ensure!(
        !beside,
        "process {} shares {address} with {all}; give the pid of the one that started them",
        process_name(pid)
    );
    Ok(())
}

/// Inodes of the sockets that accept connections to `address`: those bound to it, or else those
/// bound to all addresses.
fn sockets(tables: &str, address: SocketAddr) -> Vec<u64> {
    let listening: Vec<_> =
        tables.lines().filter_map(row).filter(|(bound, _)| bound.port() == address.port()).collect();
    let of = |matches: &dyn Fn(IpAddr) -> bool| -> Vec<u64> {
        listening.iter().filter(|(bound, _)| matches(bound.ip())).map(|(_, inode)| *inode).collect()
    };
    match of(&|ip| ip == address.ip()) {
        none if none.is_empty() => of(&|ip| ip.is_unspecified() && (ip.is_ipv6() || address.is_ipv4())),
        exact => exact,
    }
}

/// Address and inode of a listening socket in a row of `/proc/net/tcp` or `tcp6`.
fn row(line: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<_> = line.split_whitespace().collect();
    if *fields.get(3)? != LISTENS {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    // Words of four bytes, each a number in the byte order of this machine.
    let words = ip.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes = words.collect::<Option<Vec<_>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect::<Vec<_>>();
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical(),
    };
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), fields.get(9)?.parse().ok()?))
}

/// Processes that have one of these sockets open; processes of other users may not be visible.
fn holders(sockets: &[u64]) -> Vec<u32> {
    let names: Vec<_> = sockets.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let holds = |pid: &u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        links.any(|link| link.to_str().is_some_and(|link| names.iter().any(|name| name == link)))
    };
    pids.filter(holds).collect()
}

/// Process id and name.
fn process_name(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{pid} ({})", name.trim())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::process::{Child, Command, Stdio};

    use nix::sys::signal::Signal;

    use super::*;

    /// A shell with a listening socket that only it and its children have inherited.
    struct Server {
        shell: Child,
        below: Vec<u32>,
        address: SocketAddr,
    }

    impl Server {
        fn start(below: usize) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            // A shell closes only the standard input of the programs that it starts.
            let script = format!("exec 3<&0; {} wait", "sleep 600 & ".repeat(below));
            let mut shell = Command::new("sh");
            let shell = shell.args(["-c", &script]).stdin(Stdio::from(OwnedFd::from(listener))).spawn().unwrap();
            let started =
                |pids: &Vec<u32>| pids.len() == below && pids.iter().all(|pid| process_name(*pid).ends_with("(sleep)"));
            let below = std::iter::repeat_with(|| process_tree::children(shell.id())).find(started).unwrap();
            Self { shell, below, address }
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let end = |pid: u32| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            self.below.iter().for_each(|pid| end(*pid).unwrap());
            self.shell.wait().unwrap();
        }
    }

    #[test]
    fn only_the_listening_process_may_be_metered() {
        let (single, several, other_server) = (Server::start(1), Server::start(2), Server::start(1));
        let pid = single.shell.id();
        check(pid, single.address).unwrap();
        check(std::process::id(), single.address).expect("a process is metered with its descendants");
        check(single.below[0], single.address).expect("the child has inherited the socket");
        let error = check(other_server.shell.id(), single.address).unwrap_err().to_string();
        let (other_server, address) = (other_server.shell.id(), single.address);
        let expected =
            format!("process {other_server} (sh) does not listen on {address}; give the pid of the one that does: ");
        assert!(error.starts_with(&expected) && error.contains(&process_name(pid)), "{error}");
        let (one, other, address) = (several.below[0], several.below[1], several.address);
        check(several.shell.id(), address).unwrap();
        let error = check(one, address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("process {one} (sleep) shares {address} with ")), "{error}");
        assert!(error.contains(&process_name(other)), "{error}");
        drop(several);
        let error = check(pid, address).unwrap_err().to_string();
        assert_eq!(error, format!("no process listens on {address}; start the server, or correct --target"));
    }

    #[test]
    fn a_connection_goes_to_the_address_before_all_addresses() {
        let ip = |bytes: &[u8]| -> String {
            bytes.chunks(4).map(|word| format!("{:08X}", u32::from_ne_bytes(word.try_into().unwrap()))).collect()
        };
        let row = |ip: String, state: &str, inode: u64| {
            format!("  0: {ip}:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  0  0 {inode} 1 0\n")
        };
        let (one, all) = (row(ip(&[127, 0, 0, 1]), "0A", 1), row(ip(&[0; 4]), "0A", 2));
        let (all_v6, connected) = (row(ip(&[0; 16]), "0A", 3), row(ip(&[127, 0, 0, 1]), "01", 4));
        let mapped = row(ip(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]), "0A", 5);
        let found = |table: &[&String], address: &str| -> Vec<u64> {
            sockets(&table.iter().map(|row| row.as_str()).collect::<String>(), address.parse().unwrap())
        };
        let table = [&one, &all, &all_v6, &connected];
        assert_eq!(found(&table, "127.0.0.1:8080"), [1]);
        assert_eq!(found(&table, "127.0.0.2:8080"), [2, 3], "two sockets listen on all addresses");
        assert_eq!(found(&table, "[::1]:8080"), [3]);
        assert_eq!(found(&[&mapped, &all], "127.0.0.1:8080"), [5]);
        assert!(found(&table, "127.0.0.1:8081").is_empty());
        assert!(found(&[&"no row".to_owned()], "127.0.0.1:8080").is_empty());
    }
}
