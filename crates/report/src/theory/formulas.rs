//! The formulas of the predictions. Times are in milliseconds, rates per second; `METHODOLOGY.md`
//! explains them.

/// Mean wait in a fan-out to a room of `members` clients, with `write_ms` per client.
pub(super) fn fan_out_ms(members: f64, write_ms: f64) -> f64 {
    (members + 1.0) * write_ms / 2.0
}

/// Mean queueing time with a service time of `work_ms` and a utilisation of `busy`; `None` in
/// saturation.
pub(super) fn queue_ms(busy: f64, work_ms: f64) -> Option<f64> {
    (busy < 1.0).then(|| busy * work_ms / (2.0 * (1.0 - busy)))
}

/// Share of polls that find no message, with random arrivals.
pub(super) fn empty_share(per_s: f64, interval_s: f64) -> f64 {
    (-per_s * interval_s).exp()
}

/// Mean number of messages in a response that has any.
pub(super) fn polled_together(per_s: f64, interval_s: f64) -> f64 {
    per_s * interval_s / (1.0 - empty_share(per_s, interval_s))
}

/// Header bytes of polls and responses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PollBytes {
    /// Headers of the request.
    pub(super) question: f64,
    /// Headers of a response with messages.
    pub(super) answer: f64,
    /// Headers of a response without messages.
    pub(super) empty: f64,
}

/// Bytes per message with polling: headers shared by the messages of an interval, and `message`
/// itself.
pub(super) fn polled_bytes(bytes: PollBytes, per_s: f64, interval_s: f64, message: f64) -> f64 {
    let empty = empty_share(per_s, interval_s);
    (bytes.question + (1.0 - empty) * bytes.answer + empty * bytes.empty) / (per_s * interval_s) + message
}

/// Messages per long poll, including empty ones: `per_s` random messages per second, `gap_s`
/// between two polls, held for `hold_s`.
pub(super) fn held_together(per_s: f64, gap_s: f64, hold_s: f64) -> f64 {
    let none_in_gap = (-per_s * gap_s).exp();
    per_s * gap_s + none_in_gap * (1.0 - (-per_s * hold_s).exp())
}

/// Share of messages that arrive between two polls, and the mean wait that this adds to all
/// messages.
pub(super) fn gap_wait_ms(per_s: f64, gap_s: f64, hold_s: f64) -> (f64, f64) {
    let in_gap = per_s * gap_s / held_together(per_s, gap_s, hold_s);
    (in_gap, in_gap * gap_s * 1e3 / 2.0)
}

/// Size line and line ends of an HTTP chunk.
pub(super) const fn chunk_bytes(content: u64) -> u64 {
    let mut digits = 1;
    while content >> (4 * digits) > 0 {
        digits += 1;
    }
    digits + 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-4 * expected.abs().max(1.0), "{found} instead of {expected}");
    }

    #[test]
    fn fan_out_to_ten_clients_at_4_us_each() {
        near(fan_out_ms(10.0, 0.004), 0.022);
        near(queue_ms(0.5, 0.04).unwrap(), 0.02);
        assert_eq!((queue_ms(0.0, 0.04), queue_ms(1.0, 0.04)), (Some(0.0), None));
    }

    #[test]
    fn polling_two_messages_per_second_once_per_second() {
        // e^-2 = 0.135335; 2 / 0.864665 = 2.313
        near(empty_share(2.0, 1.0), 0.135_335);
        near(polled_together(2.0, 1.0), 2.313);
        // (100 + 0.864665 · 150 + 0.135335 · 90) / 2 + 160 = 280.94
        near(polled_bytes(PollBytes { question: 100.0, answer: 150.0, empty: 90.0 }, 2.0, 1.0, 160.0), 280.940);
    }

    #[test]
    fn long_polls_return_one_message_unless_messages_arrive_within_a_round_trip() {
        // λG = 0.01: 0.01 + e^-0.01 = 1.00005; p_gap = 0.009999
        near(held_together(10.0, 0.001, 25.0), 1.000_05);
        near(gap_wait_ms(10.0, 0.001, 25.0).0, 0.009_999_5);
        // λG = 5: 5 + e^-5 = 5.006738; p_gap = 0.998654; half a gap of 1 ms
        near(held_together(5_000.0, 0.001, 25.0), 5.006_738);
        near(gap_wait_ms(5_000.0, 0.001, 25.0).1, 0.499_327);
        // Few messages: λ = 0.1, hold 1 s: 1 - e^-0.1 = 0.095163
        near(held_together(0.1, 0.0, 1.0), 0.095_163);
    }

    #[test]
    fn chunks_have_the_size_of_the_standard() {
        // RFC 9112: hex digits, CRLF, data, CRLF.
        assert_eq!([1, 15, 16, 255, 256, 4_096].map(chunk_bytes), [5, 5, 6, 6, 7, 8]);
    }
}
