//! Predictions for streaming transports, and the framing of Socket.IO.

use results::{ByteClass, Direction, MetricId, RunRecord, TrafficKind};
use wire::{Delivery, Endpoint, Framing, ws_header_len};

use super::formulas::{chunk_bytes, fan_out_ms};
use super::inputs::{Inputs, mean_half_ms};
use super::{PredictedRange, Predictions};

/// `data: `, two line ends, `id: ` and its line end, without the digits of the id.
const EVENT_BYTES: f64 = 13.0;
/// `42["`, `",` and `]` around the name of an event and its one argument.
const PACKET_BYTES: f64 = 7.0 + "message".len() as f64;
/// The placeholder of an attachment in a packet, and `51-` instead of `2`.
const ATTACHED_BYTES: f64 = r#"{"_placeholder":true,"num":0}"#.len() as f64 + 2.0;
/// A STOMP frame around its body, without the digits of the message's id.
const STOMP_BYTES: f64 =
    "MESSAGE\nsubscription:sub-0\nmessage-id:\ndestination:/messages\ncontent-type:application/json\n\n\0".len() as f64;
/// Variation of the size of an item around its mean, because numbers have different lengths.
const ITEM_SPREAD_BYTES: f64 = 12.0;

pub(super) fn push(table: &mut Predictions<'_>) {
    let inputs = table.inputs;
    if let Some((write_ms, queue)) = inputs.work(table.shown) {
        let (path, own) = (inputs.path_ms, fan_out_ms(inputs.members, write_ms));
        let mean = PredictedRange::between(path.low + own, path.value + own, path.high + own).queued(queue);
        let means = table.values(|run| MetricId::DeliveryMean.value(&run.record));
        table.add_values("mean latency, ms", "d + (n+1)c/2", Some(mean), &means, mean_half_ms(&table.shown.runs));
    }
    framing(table);
}

/// Framing bytes of a message.
pub(super) fn framing(table: &mut Predictions<'_>) {
    let inputs = table.inputs;
    let Some(record) = table.shown.runs.first().map(|run| &run.record) else { return };
    let info = record.transport.info();
    let (predicted, formula) = match (info.endpoint, info.delivery, record.transport.framing(record.encoding)) {
        // Some messages came before the upgrade and some after it.
        (Endpoint::SocketIo, Delivery::Streamed, _) if info.requests_are_mixed => return,
        (Endpoint::SocketIo, Delivery::Streamed, Framing::JsonLines) => {
            (frames(record, PACKET_BYTES, PACKET_BYTES), "len(event) + 7, and 2, 4 or 10 bytes per frame")
        }
        (Endpoint::SocketIo, Delivery::Streamed, _) => {
            let packet = PACKET_BYTES + ATTACHED_BYTES;
            let predicted =
                frames(record, 0.0, 0.0).map(|frame| frame.plus(packet + ws_header_len(packet as usize, false) as f64));
            (predicted, "len(event) + 38, and 2, 4 or 10 bytes for each of two frames")
        }
        // A separator follows every packet of a response but the last.
        (Endpoint::SocketIo, _, Framing::JsonLines) => {
            let between = PredictedRange::between(PACKET_BYTES, PACKET_BYTES + 0.5, PACKET_BYTES + 1.0);
            (Some(between), "len(event) + 7, and at most a separator")
        }
        // The length of base64 depends on the length of each item, not on the mean.
        (Endpoint::SocketIo, ..) => return,
        (_, _, Framing::WsText | Framing::WsBinary) => (frames(record, 0.0, 0.0), "2, 4 or 10 bytes per frame"),
        (_, _, Framing::Stomp) => {
            let (least, most) = match ids(record, inputs) {
                Some((least, most)) => (STOMP_BYTES + least, STOMP_BYTES + most),
                None => return,
            };
            (frames(record, least, most), "93 + digits of the id, and 2, 4 or 10 bytes per frame")
        }
        (_, _, Framing::ServerSentEvents) => {
            let events = ids(record, inputs).map(|(least, most)| (EVENT_BYTES + least, EVENT_BYTES + most));
            (chunked(record, events), "13 + digits of the id + (4 + hex digits) per chunk")
        }
        (_, _, Framing::JsonLines) => (chunked(record, Some((1.0, 1.0))), "1 + (4 + hex digits) per chunk"),
        (_, _, Framing::LengthPrefixed) => return,
    };
    let framing = table.values(|run| MetricId::FramingBytesPerMessage.value(&run.record));
    table.add_values("framing bytes per delivery", formula, predicted, &framing, 0.0);
}

/// Mean size of a message with its envelope.
fn item_bytes(record: &RunRecord) -> Option<f64> {
    let window = record.window();
    let of = |class| window.bytes(Direction::Down, TrafficKind::Delivery, class);
    (window.delivered > 0 && record.counts_all_bytes())
        .then(|| (of(ByteClass::Payload) + of(ByteClass::Envelope)) as f64 / window.delivered as f64)
}

/// `least` to `most` bytes within a frame, plus its header; `None` if the header size is ambiguous.
fn frames(record: &RunRecord, least: f64, most: f64) -> Option<PredictedRange> {
    let item = item_bytes(record)?;
    let header = |bytes: f64| ws_header_len(bytes.max(0.0) as usize, false);
    let (short, long) = (header(item - ITEM_SPREAD_BYTES + least), header(item + ITEM_SPREAD_BYTES + most));
    (short == long).then(|| PredictedRange::between(least, f64::midpoint(least, most), most).plus(short as f64))
}

/// Minimum and maximum number of digits of a message's id, the `seq`, in the window.
fn ids(record: &RunRecord, inputs: &Inputs) -> Option<(f64, f64)> {
    let warm_up_s = if record.planned.slices == 1 { inputs.number("phases.warm_up_s")? } else { 0.0 };
    let warm_up = warm_up_s * inputs.posts / inputs.window_s.max(1e-6) / inputs.rooms;
    let digits = |seq: f64| seq.max(1.0).log10().floor() + 1.0;
    let last = warm_up + record.planned.posts_in_window as f64 / inputs.rooms;
    // The number of posts varies randomly between rooms.
    let spread = |seq: f64| 3.0 * seq.sqrt() + 1.0;
    Some((digits(warm_up - spread(warm_up)), digits(last + spread(last))))
}

/// `framing` per message, and a chunk around each batch of the measured size.
fn chunked(record: &RunRecord, framing: Option<(f64, f64)>) -> Option<PredictedRange> {
    let (least, most) = framing?;
    let together = MetricId::MessagesPerBatch.value(record)?;
    let item = item_bytes(record)?;
    let (short, long) = (item - ITEM_SPREAD_BYTES + least, (item + ITEM_SPREAD_BYTES + most) * together.ceil());
    let low = least + chunk_bytes(short.max(1.0) as u64) as f64 / together;
    let high = most + chunk_bytes(long as u64) as f64 / together;
    Some(PredictedRange::between(low, f64::midpoint(low, high), high))
}
