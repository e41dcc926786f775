//! Those who are told: HTTP streaming, SSE and WebSocket.

use results::{Class, Direction, Purpose, RunRecord};
use scenario::Figure;
use wire::Transport;

use super::formulas::{chunk_bytes, fan_out_ms, frame_bytes};
use super::inputs::{Inputs, mean_half_ms};
use super::{Predicted, Table};

/// `data: `, two line ends, `id: ` and its line end; the digits of the id come to it.
const EVENT_BYTES: f64 = 13.0;
/// Numbers in an item have more or fewer digits: so far an item may be from their mean size.
const ITEM_SPREAD_BYTES: f64 = 12.0;

pub(super) fn pushes(table: &mut Table<'_>) {
    let inputs = table.inputs;
    if let Some((write_ms, queue)) = inputs.work(table.shown) {
        let (path, own) = (inputs.path_ms, fan_out_ms(inputs.members, write_ms));
        let mean = Predicted::between(path.low + own, path.value + own, path.high + own).queued(queue);
        let means = table.values(|run| crate::measure::measure(Figure::DeliveryMeanMs, run));
        table.other("mean delivery, ms", "d + (n+1)c/2", Some(mean), &means, mean_half_ms(&table.shown.runs));
    }
    let Some(record) = table.shown.runs.first().map(|run| &run.record) else { return };
    let (predicted, formula) = match table.shown.subject.transport {
        Transport::Websocket => (frames(record), "2, 4 or 10 bytes a frame"),
        Transport::Sse => (chunked(record, events(record, inputs)), "13 + digits of the id + (4 + hex digits) a chunk"),
        _ => (chunked(record, Some((1.0, 1.0))), "1 + (4 + hex digits) a chunk"),
    };
    let framing = table.values(|run| crate::measure::measure(Figure::FramingBytesPerMessage, run));
    table.other("framing bytes per delivery", formula, predicted, &framing, 0.0);
}

/// Mean size of a message with its envelope.
fn item_bytes(record: &RunRecord) -> Option<f64> {
    let window = &record.window;
    let of = |class| window.bytes(Direction::Down, Purpose::Delivery, class);
    (window.delivered > 0 && record.client == "lean")
        .then(|| (of(Class::Payload) + of(Class::Envelope)) as f64 / window.delivered as f64)
}

/// Nothing is said of items that stand where the header grows.
fn frames(record: &RunRecord) -> Option<Predicted> {
    let item = item_bytes(record)?;
    let header = |bytes: f64| frame_bytes(bytes.max(0.0) as u64);
    let (least, most) = (header(item - ITEM_SPREAD_BYTES), header(item + ITEM_SPREAD_BYTES));
    (least == most).then(|| Predicted::exactly(least as f64))
}

/// An event's own framing: its id is the seq, whose digits grow over the window.
fn events(record: &RunRecord, inputs: &Inputs) -> Option<(f64, f64)> {
    let warm_up = inputs.number("phases.warm_up_s")? * inputs.posts / inputs.window_s.max(1e-6) / inputs.rooms;
    let digits = |seq: f64| seq.max(1.0).log10().floor() + 1.0;
    let last = warm_up + record.planned.posts_in_window as f64 / inputs.rooms;
    // Rooms are spoken in by chance: some are ahead of the mean, some behind.
    let spread = |seq: f64| 3.0 * seq.sqrt() + 1.0;
    Some((EVENT_BYTES + digits(warm_up - spread(warm_up)), EVENT_BYTES + digits(last + spread(last))))
}

/// `framing` a message, and a chunk around each batch; what is in a batch is the server's to say.
fn chunked(record: &RunRecord, framing: Option<(f64, f64)>) -> Option<Predicted> {
    let (least, most) = framing?;
    let together = results::Figures::of(record).messages_per_batch?;
    let item = item_bytes(record)?;
    let (short, long) = (item - ITEM_SPREAD_BYTES + least, (item + ITEM_SPREAD_BYTES + most) * together.ceil());
    let low = least + chunk_bytes(short.max(1.0) as u64) as f64 / together;
    let high = most + chunk_bytes(long as u64) as f64 / together;
    Some(Predicted::between(low, f64::midpoint(low, high), high))
}
