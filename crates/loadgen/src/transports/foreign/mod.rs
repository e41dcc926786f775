//! Servers with a protocol of their own, as a scenario describes it (`[target.protocol]`). A text
//! carries the address of its post, so that nothing has to be known about what is around it.

mod joining;
mod names;
pub(super) mod packets;
mod poller;
pub(super) mod posts;
pub(super) mod requests;
mod stream;
mod unit;
mod websocket;

use std::convert::Infallible;
use std::rc::Rc;

use scenario::TargetProtocol;
use wire::Transport;

use self::requests::Speaker;
use crate::client::Client;
use crate::error::SessionEnd;
use crate::run_context::RunContext;
use crate::session::Session;
use crate::transports::http::requester::Requester;
use crate::transports::socketio;

pub(super) async fn run_session(session: &Session, protocol: &Rc<TargetProtocol>) -> Result<Infallible, SessionEnd> {
    let speaker = Rc::new(Speaker::new(session, protocol));
    let mut requester = Requester::new(session.run.tuning().keep_alive);
    speaker.prepare(session, &mut requester).await?;
    match session.run.transport {
        Transport::Polling => poller::run_polling(session, speaker, requester).await,
        Transport::LongPolling => poller::run_long_polling(session, speaker, requester).await,
        Transport::HttpStreaming => stream::run_http_streaming(session, speaker).await,
        Transport::Sse => stream::run_sse(session, speaker).await,
        transport if transport.is_socketio() => socketio::run_session(session).await,
        _ => websocket::run_session(session, speaker).await,
    }
}

pub(crate) use self::unit::Unit;

/// Marks the posts of such a server as accepted, where it acknowledges nothing: what was sent on a
/// connection that never broke has reached it.
pub(crate) fn confirm_sent_posts(run: &RunContext, clients: &[Rc<Client>]) {
    for client in clients.iter().filter(|client| client.joined.get() && !client.was_disconnected.get()) {
        let posts = (1..=run.plan.posts_of(client.id)).filter_map(|ordinal| run.plan.post_index(client.id, ordinal));
        posts.filter(|index| run.posts.sent_us(*index).is_some()).for_each(|index| run.posts.mark_accepted(index));
    }
}
