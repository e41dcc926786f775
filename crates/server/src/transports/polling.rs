//! Polling: the new messages at once, or 204 when there are none.

use std::time::Duration;

use crate::http::{ReadEndpoint, ReadKind};

pub(super) static ENDPOINT: ReadEndpoint =
    ReadEndpoint { parameters: &["after", "token"], kind: ReadKind::Poll(|_, _| Ok(Duration::ZERO)) };
