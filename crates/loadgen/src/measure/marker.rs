//! Finds the posts of a run in what a server sends, whatever is around them: each text begins with a
//! marker that names its post.

use memchr::memmem::Finder;
use scenario::Plan;

use crate::measure::probe::{PROBE_AUTHOR, PROBE_TEXT};

/// Most digits of an ordinal.
const DIGITS_MAX: usize = 20;

/// The markers of a run.
pub(crate) struct Markers {
    start: String,
    finder: Finder<'static>,
}

/// A text that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MarkedPost {
    pub(crate) author: u32,
    pub(crate) ordinal: u64,
    /// Bytes of marker and text; of the marker alone if the text was altered.
    pub(crate) bytes: usize,
    pub(crate) is_intact: bool,
}

/// What begins at a marker.
enum Reading {
    Post(MarkedPost),
    /// The bytes end within a marker, or within the text of this post.
    Cut(Option<MarkedPost>),
    /// It only looks like a marker.
    Other,
}

impl Markers {
    pub(crate) fn new(plan: &Plan) -> Self {
        let start = plan.marker();
        let finder = Finder::new(&start).into_owned();
        Self { start, finder }
    }

    /// The text of a post.
    pub(crate) fn text(&self, plan: &Plan, author: u32, ordinal: u64) -> String {
        let mut text = format!("{}{author}.{ordinal}.", self.start);
        let rest = rest_of(plan, author, ordinal, text.len());
        text.push_str(rest);
        text
    }

    /// Passes each text to `on_post` and returns how many bytes were read: all of them, or where
    /// more may follow, those before an incomplete text.
    pub(crate) fn scan<E>(
        &self,
        plan: &Plan,
        bytes: &[u8],
        more_follows: bool,
        mut on_post: impl FnMut(MarkedPost) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut at = 0;
        while let Some(found) = self.finder.find(&bytes[at..]) {
            at += found;
            match self.read(plan, &bytes[at..]) {
                Reading::Cut(_) if more_follows => return Ok(at),
                Reading::Post(post) | Reading::Cut(Some(post)) => {
                    at += post.bytes;
                    on_post(post)?;
                }
                Reading::Cut(None) | Reading::Other => at += self.start.len(),
            }
        }
        let start = self.start.as_bytes();
        let cut = (1..start.len()).rev().find(|n| more_follows && bytes[at..].ends_with(&start[..*n]));
        Ok(bytes.len() - cut.unwrap_or(0))
    }

    fn read(&self, plan: &Plan, bytes: &[u8]) -> Reading {
        let after = &bytes[self.start.len()..];
        let (author, after) = match number(after) {
            Ok((author, after)) => (author, after),
            Err(reading) => return reading,
        };
        let (ordinal, after) = match number(after) {
            Ok((ordinal, after)) => (ordinal, after),
            Err(reading) => return reading,
        };
        let Ok(author) = u32::try_from(author) else { return Reading::Other };
        let marker = bytes.len() - after.len();
        let rest = rest_of(plan, author, ordinal, marker).as_bytes();
        let altered = MarkedPost { author, ordinal, bytes: marker, is_intact: false };
        if after.len() < rest.len() {
            return Reading::Cut(Some(altered));
        }
        if after.starts_with(rest) {
            Reading::Post(MarkedPost { bytes: marker + rest.len(), is_intact: true, ..altered })
        } else {
            Reading::Post(altered)
        }
    }
}

/// What follows the marker of a post.
fn rest_of(plan: &Plan, author: u32, ordinal: u64, marker: usize) -> &str {
    if author == PROBE_AUTHOR { PROBE_TEXT } else { plan.text_after_marker(author, ordinal, marker) }
}

/// A number and the bytes after its dot.
fn number(bytes: &[u8]) -> Result<(u64, &[u8]), Reading> {
    let digits = bytes.iter().take(DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&bytes[..digits]).ok().and_then(|digits| digits.parse().ok());
    match (number, bytes.get(digits)) {
        (_, None) if digits <= DIGITS_MAX => Err(Reading::Cut(None)),
        (Some(number), Some(b'.')) => Ok((number, &bytes[digits + 1..])),
        _ => Err(Reading::Other),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::plan;

    fn scan(markers: &Markers, plan: &Plan, bytes: &[u8], more_follows: bool) -> (usize, Vec<MarkedPost>) {
        let mut found = Vec::new();
        let Ok(read) = markers.scan(plan, bytes, more_follows, |post| {
            found.push(post);
            Ok::<_, Infallible>(())
        });
        (read, found)
    }

    #[test]
    fn posts_are_found_in_any_envelope() {
        let plan = plan(2, 1, "payload_bytes = 100");
        let markers = Markers::new(&plan);
        let (one, other) = (markers.text(&plan, 0, 1), markers.text(&plan, 1, 12));
        assert_eq!((one.len(), other.len()), (100, 100));
        let bytes = format!("data: {{\"text\":\"{one}\"}}\n<p>{other}</p> pb. pb.other.0.1.x {}", markers.start);
        let (read, found) = scan(&markers, &plan, bytes.as_bytes(), false);
        let post = |author, ordinal| MarkedPost { author, ordinal, bytes: 100, is_intact: true };
        assert_eq!((read, found), (bytes.len(), vec![post(0, 1), post(1, 12)]));
    }

    #[test]
    fn a_text_that_was_altered_or_cut_short_is_not_intact() {
        let plan = plan(2, 1, "payload_bytes = 100");
        let markers = Markers::new(&plan);
        let text = markers.text(&plan, 1, 3);
        let altered = format!("{}!{}", &text[..60], &text[61..]);
        for bytes in [&altered, &text[..99].to_owned()] {
            let (read, found) = scan(&markers, &plan, bytes.as_bytes(), false);
            assert_eq!((read, found.len()), (bytes.len(), 1));
            assert!(found[0].author == 1 && found[0].ordinal == 3 && !found[0].is_intact, "{found:?}");
        }
        let probe = markers.text(&plan, PROBE_AUTHOR, 0);
        assert!(probe.ends_with(".4294967295.0.probe"), "{probe}");
        assert!(scan(&markers, &plan, probe.as_bytes(), false).1[0].is_intact);
    }

    proptest! {
        /// However a stream is cut, every text in it is found once.
        #[test]
        fn cuts_hide_nothing(cuts in proptest::collection::vec(1_usize..40, 1..40), noise in "[pb.0-9\n]{0,20}") {
            let plan = plan(2, 1, "payload_bytes = 64");
            let markers = Markers::new(&plan);
            let mut stream = noise.clone();
            for ordinal in 1..=4 {
                stream += &format!("{}{noise}", markers.text(&plan, (ordinal % 2) as u32, ordinal));
            }
            let (mut rest, mut kept, mut found, mut sizes) = (stream.as_bytes(), Vec::new(), Vec::new(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                rest = after;
                kept.extend_from_slice(chunk);
                let (read, posts) = scan(&markers, &plan, &kept, !rest.is_empty());
                kept.drain(..read);
                found.extend(posts);
            }
            prop_assert_eq!(found.iter().map(|post| post.ordinal).collect::<Vec<_>>(), [1, 2, 3, 4]);
            prop_assert!(found.iter().all(|post| post.is_intact) && kept.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
            let plan = plan(2, 1, "payload_bytes = 64");
            let markers = Markers::new(&plan);
            let mut bytes = bytes;
            bytes.splice(at.min(bytes.len())..at.min(bytes.len()), markers.start.bytes());
            for more_follows in [false, true] {
                prop_assert!(scan(&markers, &plan, &bytes, more_follows).0 <= bytes.len());
            }
        }
    }
}
