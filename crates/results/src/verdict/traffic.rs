//! Checks of the traffic: useless answers, and bytes that the load generator did not count.

use wire::{Delivery, Endpoint};

use crate::{Direction, FaultKind, RunEnd, RunRecord};

/// Share of the server's answers that may be useless. An answer is a response to an HTTP request
/// or, where messages are pushed, a read that carried messages. Useless are a status other than the
/// expected one and bytes that cannot be decoded, but not a request to try again later (429, or 503
/// with `Retry-After`).
pub const USELESS_SHARE_MAX: f64 = 0.01;
/// Allowed difference between the bytes that the load generator and the kernel counted, as a share
/// and, in short runs, in bytes: data in flight at the end of a run, and data of broken
/// connections.
pub const BYTES_APART_SHARE_MAX: f64 = 0.01;
const BYTES_APART_MAX: u64 = 4 << 10;

pub(super) fn useless_answers(record: &RunRecord) -> Option<String> {
    let of = |kind: FaultKind| record.faults.counts.get(&kind).copied().unwrap_or(0);
    let kinds = [FaultKind::ServerError, FaultKind::BadStatus, FaultKind::BadBytes];
    let useless: u64 = kinds.into_iter().map(of).sum();
    let answers = answers(record).max(useless);
    if useless as f64 <= USELESS_SHARE_MAX * answers as f64 {
        return None;
    }
    let most = kinds.into_iter().max_by_key(|kind| of(*kind))?;
    let first = record.faults.texts.get(&most).and_then(|texts| texts.first());
    Some(format!(
        "{useless} of {answers} answers ({:.1} %) had a wrong status or could not be decoded (limit {:.0} %); first: {}",
        100.0 * useless as f64 / answers as f64,
        100.0 * USELESS_SHARE_MAX,
        first.map_or("", String::as_str)
    ))
}

/// Differences between the byte counts of a complete run; data in flight in an interrupted run is
/// not known.
pub(super) fn bytes_apart(record: &RunRecord) -> Vec<String> {
    let Some(kernel) = record.tcp.filter(|_| record.ended == RunEnd::Complete) else { return Vec::new() };
    let ways = [(Direction::Up, "sent", kernel.bytes_up), (Direction::Down, "received", kernel.bytes_down)];
    let apart = ways.into_iter().filter_map(|(direction, verb, kernel)| {
        let counted = record.total.total(direction);
        let allowed = BYTES_APART_MAX.max((kernel as f64 * BYTES_APART_SHARE_MAX) as u64);
        (kernel.abs_diff(counted) > allowed).then(|| {
            format!(
                "the kernel {verb} {kernel} bytes, the load generator counted {counted} (difference limit {allowed})"
            )
        })
    });
    apart.collect()
}

/// Number of answers in the whole run.
fn answers(record: &RunRecord) -> u64 {
    let tally = &record.total;
    let info = record.transport.info();
    match (info.endpoint, info.delivery) {
        // Here a batch is a response.
        (_, Delivery::Polled | Delivery::HeldRequest) => tally.requests,
        (Endpoint::Tcp, Delivery::Streamed) => tally.connections.saturating_add(tally.batches),
        (Endpoint::RoomUrl | Endpoint::SocketIo, Delivery::Streamed) => tally.requests.saturating_add(tally.batches),
    }
}

#[cfg(test)]
mod tests {
    use wire::Transport;

    use super::super::VerdictKind;
    use super::super::tests::{expect, valid_run};
    use super::*;
    use crate::{ByteClass, TcpUsage, TrafficKind};

    #[test]
    fn bytes_that_were_not_counted_make_a_run_invalid() {
        let differing = |up: i64, down: i64| {
            move |record: &mut RunRecord| {
                record.total.add(Direction::Up, TrafficKind::Posting, ByteClass::Headers, 50_000);
                record.total.add(Direction::Down, TrafficKind::Delivery, ByteClass::Payload, 1_000_000);
                let bytes = |counted: u64, difference| counted.saturating_add_signed(difference);
                record.tcp = Some(TcpUsage {
                    bytes_up: bytes(50_000, up),
                    bytes_down: bytes(1_000_000, down),
                    ..TcpUsage::default()
                });
            }
        };
        let (up, down) = (
            "the kernel sent 54097 bytes, the load generator counted 50000 (difference limit 4096)",
            "the kernel received 1010203 bytes, the load generator counted 1000000 (difference limit 10102)",
        );
        expect(VerdictKind::Valid, &[], differing(0, 0));
        expect(VerdictKind::Valid, &[], differing(4_096, 10_101));
        expect(VerdictKind::Valid, &[], differing(-4_096, -9_900));
        expect(VerdictKind::Invalid, &[up], differing(4_097, 0));
        expect(VerdictKind::Invalid, &[down], differing(0, 10_203));
        expect(VerdictKind::Invalid, &[up, down], differing(4_097, 10_203));
        let too_many = "the kernel received 980000 bytes, the load generator counted 1000000 (difference limit 9800)";
        expect(VerdictKind::Invalid, &[too_many], differing(0, -20_000));
        // Bytes in flight at the end of an interrupted run are not known, and the sockets of reqwest are
        // not counted.
        expect(VerdictKind::Invalid, &["interrupted"], |record| {
            differing(0, 500_000)(record);
            record.ended = RunEnd::Interrupted;
        });
        expect(VerdictKind::Valid, &[], |record| {
            differing(0, 500_000)(record);
            record.tcp = None;
        });
    }

    /// A run with this number of answers, and with these faults.
    fn with(requests: u64, faults: &[(FaultKind, u64, &str)]) -> impl Fn(&mut RunRecord) {
        let faults: Vec<_> = faults.iter().map(|(kind, count, text)| (*kind, *count, (*text).to_owned())).collect();
        move |record| {
            (record.transport, record.total.requests) = (Transport::Polling, requests);
            for (kind, count, text) in &faults {
                (0..*count).for_each(|_| record.faults.note(*kind, text.clone()));
            }
        }
    }

    #[test]
    fn many_bad_answers_are_wrong() {
        use FaultKind::{BadBytes, BadStatus, CutShort, Reset, RetryLater, ServerError};
        let reason =
            "11 of 1000 answers (1.1 %) had a wrong status or could not be decoded (limit 1 %); first: status 500";
        expect(VerdictKind::Wrong, &[reason], with(1_000, &[(ServerError, 11, "status 500")]));
        expect(VerdictKind::Valid, &[], with(1_000, &[(ServerError, 10, "status 500")]));
        let reason = "12 of 1000 answers (1.2 %) had a wrong status or could not be decoded (limit 1 %); first: zzz";
        let all = [(ServerError, 3, "status 500"), (BadStatus, 3, "status 101"), (BadBytes, 6, "zzz")];
        expect(VerdictKind::Wrong, &[reason], with(1_000, &all));
        // Refusals and ends of connections are no bad answers.
        let others = [(RetryLater, 500, "status 503"), (Reset, 90, ""), (CutShort, 90, "")];
        expect(VerdictKind::Valid, &[], with(1_000, &others));
        // A failed run has this reason too, and so has a run with bad answers only.
        let reason = "3 of 3 answers (100.0 %) had a wrong status or could not be decoded (limit 1 %); first: zzz";
        expect(VerdictKind::Wrong, &[reason], |record| {
            with(0, &[(BadBytes, 3, "zzz")])(record);
            record.ended = RunEnd::Failed("only 0 of 20 clients joined".to_owned());
        });
    }

    #[test]
    fn the_number_of_answers_depends_on_the_transport() {
        let count = |transport| {
            let mut record = valid_run();
            record.transport = transport;
            (record.total.requests, record.total.batches, record.total.connections) = (100, 30, 7);
            answers(&record)
        };
        for transport in Transport::ALL {
            let expected = match transport {
                Transport::Polling | Transport::LongPolling | Transport::SocketioPolling => 100,
                Transport::Tcp => 37,
                _ => 130,
            };
            assert_eq!(count(transport), expected, "{transport}");
        }
    }
}
