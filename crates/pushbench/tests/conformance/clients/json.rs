//! The JSON of the chat, written from its documentation and without the codec of `wire`.

use serde_json::{Value, json};
use wire::{Ack, ErrorBody, Gap, Joined, Message, Reset, ServerItem};

pub(super) fn item(bytes: &[u8]) -> ServerItem<'static> {
    let value: Value =
        serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(bytes)));
    let number = |value: &Value, field: &str| value[field].as_u64().unwrap_or_else(|| panic!("{field} in {value}"));
    if let Some(gap) = value.get("gap") {
        return ServerItem::Gap(Gap { from: number(gap, "from"), to: number(gap, "to") });
    }
    if let Some(reset) = value.get("reset") {
        return ServerItem::Reset(Reset { head: number(reset, "head") });
    }
    if let Some(ack) = value.get("ack") {
        return ServerItem::Ack(Ack { ordinal: number(ack, "ordinal"), seq: number(ack, "seq") });
    }
    if let Some(joined) = value.get("joined") {
        return ServerItem::Joined(Joined { after: number(joined, "after") });
    }
    if value.get("error").is_some() {
        return ServerItem::Error(error_body(bytes));
    }
    ServerItem::Message(Message {
        seq: number(&value, "seq"),
        author: u32::try_from(number(&value, "author")).unwrap(),
        ordinal: number(&value, "ordinal"),
        text: value["text"].as_str().unwrap().to_owned().into(),
    })
}

pub(super) fn error_body(bytes: &[u8]) -> ErrorBody {
    serde_json::from_slice(bytes).unwrap_or_else(|error| {
        let found = String::from_utf8_lossy(bytes);
        panic!("a refusal has {{error, field, value, hint}}, this one is {found:?}: {error}")
    })
}

pub(super) fn post(author: u32, ordinal: u64, text: &str) -> String {
    json!({ "author": author, "ordinal": ordinal, "text": text }).to_string()
}
