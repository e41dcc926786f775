//! Interval logs read back, by the public format: a line an interval, its histogram as HdrHistogram
//! V2, deflated, in base64.
//!
//! The `hdrhistogram` crate writes them and a test holds this reader against it. It does not read
//! them here: it takes the length of a payload on trust (4 GB for a line of 60 bytes), and builds a
//! table of 18,000 counts for each second of each series.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;

use crate::{Distribution, Interval, Series};

/// Most bytes one histogram may have when it is inflated; all buckets of ours filled with large
/// counts are half of it.
const PAYLOAD_BYTES_MAX: u64 = 1 << 18;
/// Latest second a run may have: an hour, and its drains.
const SECOND_MAX: i64 = 7_200;

const COMPRESSED: [u8; 4] = [0x1c, 0x84, 0x93, 0x14];
const PLAIN: [u8; 4] = [0x1c, 0x84, 0x93, 0x13];
const HEADER_BYTES: usize = 40;

/// What a log holds, or the line that is no log, and why.
pub fn read(text: &str) -> Result<BTreeMap<Series, Vec<Interval>>, (usize, String)> {
    let mut found: BTreeMap<Series, BTreeMap<i64, Distribution>> = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        // The line with the names of the columns is the only one in quotes.
        if line.is_empty() || line.starts_with(['#', '"']) {
            continue;
        }
        let (series, second, distribution) = interval(line).map_err(|why| (at + 1, why))?;
        found.entry(series).or_default().entry(second).or_default().merge(&distribution);
    }
    let interval = |(second, distribution)| Interval { second, distribution };
    Ok(found.into_iter().map(|(series, seconds)| (series, seconds.into_iter().map(interval).collect())).collect())
}

/// `Tag=delivery_latency,3.000,1.000,0.123,HIST…`
fn interval(line: &str) -> Result<(Series, i64, Distribution), String> {
    let parts: Vec<_> = line.splitn(6, ',').collect();
    let [tag, start, length, _max, histogram] = parts[..] else {
        return Err(format!("{} fields instead of 5", parts.len()));
    };
    let name = tag.strip_prefix("Tag=").unwrap_or(tag);
    let series = Series::ALL.into_iter().find(|series| series.name() == name);
    let series = series.ok_or_else(|| format!("the tag {} of no series", shortened(tag)))?;
    let whole = |text: &str| text.strip_suffix(".000").and_then(|whole| whole.parse::<i64>().ok());
    let start = whole(start).filter(|start| (0..=SECOND_MAX).contains(start));
    let start = start.ok_or_else(|| format!("a start that is no second from 0 to {SECOND_MAX}"))?;
    if whole(length) != Some(1) {
        return Err(format!("an interval of {} s instead of 1", shortened(length)));
    }
    let bytes = STANDARD.decode(histogram).map_err(|error| format!("a histogram that is no base64 ({error})"))?;
    Ok((series, start - 1, histogram_of(&bytes)?))
}

fn shortened(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

/// The buckets of a compressed histogram.
fn histogram_of(bytes: &[u8]) -> Result<Distribution, String> {
    let (head, deflated) = bytes.split_at_checked(8).ok_or("a histogram that is cut short")?;
    if head[..4] != COMPRESSED {
        return Err("a histogram that is no compressed HdrHistogram V2".to_owned());
    }
    let mut plain = Vec::new();
    let inflated = ZlibDecoder::new(deflated).take(PAYLOAD_BYTES_MAX).read_to_end(&mut plain);
    inflated.map_err(|error| format!("a histogram that cannot be inflated ({error})"))?;
    let (head, counts) = plain.split_at_checked(HEADER_BYTES).ok_or("a histogram that is cut short")?;
    let word = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let long = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    if head[..4] != PLAIN || word(4) as usize != counts.len() {
        return Err("a histogram that is cut short or longer than it says".to_owned());
    }
    let (offset, digits, low, ratio) = (word(8), word(12), long(16), f64::from_bits(long(32)));
    if offset != 0 || !(1..=5).contains(&digits) || low != 1 || ratio != 1.0 {
        return Err(format!("a histogram from {low} with {digits} digits instead of one from 1 with up to 5"));
    }
    buckets(counts, digits).ok_or_else(|| "a histogram with counts that make no sense".to_owned())
}

/// Counts in the order of their buckets, a negative number for so many empty ones.
fn buckets(mut counts: &[u8], digits: u32) -> Option<Distribution> {
    let half_bits = (2 * 10_u64.pow(digits)).next_power_of_two().trailing_zeros() - 1;
    let (mut at, mut found) = (0_u64, Vec::new());
    while !counts.is_empty() {
        let number = zig_zag(&mut counts)?;
        match u64::try_from(number) {
            Ok(count) => {
                found.push((bucket_end(at, half_bits)?, count));
                at += 1;
            }
            Err(_) => at = at.checked_add(number.unsigned_abs())?,
        }
    }
    found.iter().try_fold(0_u64, |sum, (_, count)| sum.checked_add(*count))?;
    Some(Distribution::new(found))
}

/// Largest value of a bucket: the first `2 << half_bits` hold one value each, every further `1 <<
/// half_bits` twice as many as those before.
fn bucket_end(at: u64, half_bits: u32) -> Option<u64> {
    let half = 1 << half_bits;
    let doubled = u32::try_from((at / half).saturating_sub(1)).ok()?;
    let within = if at < 2 * half { at } else { at % half + half };
    let width = 1_u64.checked_shl(doubled)?;
    within.checked_mul(width)?.checked_add(width - 1)
}

/// A whole number of up to nine bytes, seven bits in each but the ninth, least first.
fn zig_zag(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for place in 0..9 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let (bits, last) = if place < 8 { (byte & 0x7f, byte & 0x80 == 0) } else { (*byte, true) };
        number |= u64::from(bits) << (7 * place);
        if last {
            break;
        }
    }
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::V2DeflateSerializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
    use proptest::prelude::*;

    use super::*;

    /// A log as the load generator writes it, with the first of these values in second 0.
    fn log(values: &[Vec<(u64, u64)>], digits: u8) -> (String, Vec<Distribution>) {
        let (mut text, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
        let mut builder = IntervalLogWriterBuilder::new();
        builder.with_start_time(SystemTime::UNIX_EPOCH).with_max_value_divisor(1000.0);
        let mut log = builder.begin_log_with(&mut text, &mut serializer).unwrap();
        let mut expected = Vec::new();
        for (start, values) in (1..).zip(values) {
            let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, digits).unwrap();
            values.iter().for_each(|(value, count)| histogram.saturating_record_n(*value, *count));
            let (start, second) = (Duration::from_secs(start), Duration::from_secs(1));
            log.write_histogram(&histogram, start, second, Tag::new("delivery_latency")).unwrap();
            let recorded = histogram.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value()));
            expected.push(Distribution::new(recorded.collect()));
        }
        (String::from_utf8(text).unwrap(), expected)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn logs_of_the_public_writer_are_read(
            values in proptest::collection::vec(proptest::collection::vec((0_u64..70_000_000, 1_u64..1 << 40), 1..30), 1..5),
            small in proptest::collection::vec((0_u64..5_000, 1_u64..3), 1..200),
            digits in 1_u8..=4,
        ) {
            let values = [values, vec![small]].concat();
            let (text, expected) = log(&values, digits);
            let read = read(&text).unwrap();
            let intervals = (0..).zip(expected).map(|(second, distribution)| Interval { second, distribution });
            prop_assert_eq!(read, BTreeMap::from([(Series::DeliveryLatency, intervals.collect())]));
        }

        #[test]
        fn invalid_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), cut in 0_usize..200, flip in any::<u8>()) {
            read(&format!("Tag=delivery_latency,1.000,1.000,0.1,{}", STANDARD.encode(&bytes))).unwrap_err();
            let mut plain = [&PLAIN[..], &0_u32.to_be_bytes()[..], &[0; 32][..], &bytes[..]].concat();
            plain[4..8].copy_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
            plain[15] = 3;
            plain[23] = 1;
            plain[24] = flip;
            plain[32..40].copy_from_slice(&1.0_f64.to_be_bytes());
            let mut encoder = flate2::write::ZlibEncoder::new([&COMPRESSED[..], &[0; 4]].concat(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &plain).unwrap();
            histogram_of(&encoder.finish().unwrap()).ok();
            let (text, _) = log(&[vec![(100, 3)]], 3);
            let end = text.len() - 1 - cut.min(text.len() - 1);
            crate::fuzz::interval_log(&text.as_bytes()[..end]);
        }
    }

    #[test]
    fn a_bad_line_is_reported_with_its_number() {
        let (good, _) = log(&[vec![(100, 3)]], 3);
        let error_of = |line: &str| read(&format!("{good}{line}\n")).unwrap_err();
        let last = good.lines().count() + 1;
        assert_eq!(error_of("hello"), (last, "1 fields instead of 5".to_owned()));
        assert_eq!(error_of("Tag=x\u{1b},1.000,1.000,1,AA=="), (last, "the tag Tag=x\\u{1b} of no series".to_owned()));
        assert_eq!(
            error_of("Tag=delivery_latency,-1.000,1.000,1,AA=="),
            (last, "a start that is no second from 0 to 7200".to_owned())
        );
        assert_eq!(
            error_of("Tag=delivery_latency,1.000,9.000,1,AA=="),
            (last, "an interval of 9.000 s instead of 1".to_owned())
        );
        assert_eq!(
            error_of("Tag=delivery_latency,1.000,1.000,1,AA=="),
            (last, "a histogram that is cut short".to_owned())
        );
        assert!(error_of("Tag=delivery_latency,1.000,1.000,1,?").1.starts_with("a histogram that is no base64"));
    }
}
