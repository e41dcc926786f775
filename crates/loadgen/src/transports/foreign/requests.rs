//! Requests of a protocol as bytes, those that come before reading, and what is learned from
//! responses.

use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;

use results::{ByteClass, Direction, FaultKind, TrafficKind};
use scenario::{Request as RequestForm, TargetProtocol, Template, ValueSource};

use super::names::{NamedPost, Names, Place, value_in};
use crate::client::Client;
use crate::error::{Fault, SessionEnd};
use crate::learned::Learned;
use crate::protocol::http_response::{Part, headers_of};
use crate::session::Session;
use crate::transports::http::connection::{Expected, Request};
use crate::transports::http::requester::Requester;

/// What a server answers to a request that it has accepted; 304 is a poll that found nothing.
const ACCEPTED: &[u16] = &[200, 201, 202, 204, 304];
pub(super) const READ: Expected =
    Expected { statuses: ACCEPTED, heads: TrafficKind::Empty, framing: TrafficKind::Delivery };
pub(super) const STREAM: Expected =
    Expected { statuses: ACCEPTED, heads: TrafficKind::SetUp, framing: TrafficKind::Delivery };
pub(super) const POST: Expected = Expected::new(ACCEPTED, TrafficKind::Posting);
const SET_UP: Expected = Expected::new(ACCEPTED, TrafficKind::SetUp);
/// Methods whose requests say that they have no body.
const HAVE_BODIES: [&str; 3] = ["POST", "PUT", "PATCH"];
/// Largest body in which a value is looked for.
const BODY_BYTES_MAX: usize = 8 << 20;

/// A client that follows a protocol.
#[derive(Debug)]
pub(in crate::transports) struct Speaker {
    pub(super) names: Names,
    host: SocketAddr,
    protocol: Rc<TargetProtocol>,
}

impl Speaker {
    pub(in crate::transports) fn new(session: &Session, protocol: &Rc<TargetProtocol>) -> Self {
        let (run, client) = (&session.run, &session.client);
        Self { names: Names::of(run, client), host: client.node(run).http, protocol: Rc::clone(protocol) }
    }

    pub(super) fn protocol(&self) -> &TargetProtocol {
        &self.protocol
    }

    /// Appends a request with the headers of the transport. Returns the bytes of its body.
    pub(super) fn push_request(
        &self,
        learned: &Learned,
        form: &RequestForm,
        headers: &str,
        post: Option<&NamedPost>,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut path = Vec::new();
        self.push_path(learned, form, "/", post, &mut path);
        self.push_head(learned, form, (&path, headers), post, out);
        let mut body = Vec::new();
        if let Some(template) = &form.body {
            self.names.render(template, learned, post, Place::Body, &mut body);
            if !form.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
                out.extend_from_slice(b"content-type: application/json\r\n");
            }
        }
        if form.body.is_some() || HAVE_BODIES.contains(&method(form)) {
            write!(out, "content-length: {}\r\n", body.len()).expect("writing to memory does not fail");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&body);
        body.len()
    }

    /// The head of a request of a Socket.IO session: the path with a query, and no body.
    pub(in crate::transports) fn session_head(
        &self,
        learned: &Learned,
        form: &RequestForm,
        query: &str,
        headers: &str,
    ) -> Vec<u8> {
        let (mut path, mut out) = (Vec::new(), Vec::new());
        self.push_path(learned, form, "/socket.io/", None, &mut path);
        path.push(if path.contains(&b'?') { b'&' } else { b'?' });
        path.extend_from_slice(query.as_bytes());
        self.push_head(learned, form, (&path, headers), None, &mut out);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// Appends the path. A parameter that names a value that is not known is left out.
    fn push_path(
        &self,
        learned: &Learned,
        form: &RequestForm,
        default: &str,
        post: Option<&NamedPost>,
        out: &mut Vec<u8>,
    ) {
        let Some(path) = &form.path else {
            out.extend_from_slice(default.as_bytes());
            return;
        };
        let begin = out.len();
        let render = |path: &Template, out: &mut Vec<u8>| self.names.render(path, learned, post, Place::Path, out);
        if !render(path, out) {
            out.truncate(begin);
            render(&path.with_parameters(|parameter| render(parameter, &mut Vec::new())), out);
        }
    }

    /// Appends request line and headers. A header that names a value that is not known is left out.
    fn push_head(
        &self,
        learned: &Learned,
        form: &RequestForm,
        (path, headers): (&[u8], &str),
        post: Option<&NamedPost>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(method(form).as_bytes());
        out.push(b' ');
        out.extend_from_slice(path);
        write!(out, " HTTP/1.1\r\nhost: {}\r\n{headers}{}", self.host, learned.cookie_header())
            .expect("writing to memory does not fail");
        for (name, value) in &form.headers {
            let before = out.len();
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            if self.names.render(value, learned, post, Place::Header, out) {
                out.extend_from_slice(b"\r\n");
            } else {
                out.truncate(before);
            }
        }
    }

    /// Logs in, once for each client, and makes the requests that come before reading.
    pub(super) async fn prepare(&self, session: &Session, requester: &mut Requester) -> Result<(), SessionEnd> {
        let client = &*session.client;
        if let Some(login) = &self.protocol.login
            && !client.learned.borrow().has_logged_in
        {
            let (head, body) = self.make(session, requester, &login.request).await?;
            let mut learned = client.learned.borrow_mut();
            learned.keep_cookies(&head)?;
            for (name, source) in &login.values {
                let value = value_in(source, &head, &body)?.ok_or_else(|| {
                    let source = String::from(source.clone());
                    Fault::new(FaultKind::BadBytes, format!("the response to the login has nothing at {source}"))
                })?;
                learned.learn(name, &value);
            }
            learned.has_logged_in = true;
            drop(learned);
            // The time to connect does not contain the login.
            client.begin_connecting(&session.run);
        }
        for form in self.protocol.join.iter().filter_map(|step| step.request.as_ref()) {
            self.make(session, requester, form).await?;
        }
        Ok(())
    }

    /// Makes a request before reading. Returns head and body of the response.
    async fn make(
        &self,
        session: &Session,
        requester: &mut Requester,
        form: &RequestForm,
    ) -> Result<(Vec<u8>, Vec<u8>), SessionEnd> {
        let mut bytes = Vec::new();
        let body_bytes = self.push_request(&session.client.learned.borrow(), form, "", None, &mut bytes);
        let request = Request { bytes: &bytes, body: body_bytes, payload: 0, expected: SET_UP };
        let (mut head, mut body) = (Vec::new(), Vec::new());
        let on_part = |part: Part<'_>| {
            match part {
                Part::Head(_, bytes) => head.extend_from_slice(checked_head(bytes)?),
                Part::Body(bytes) => append(bytes, &mut body)?,
                Part::Framing(_) | Part::End => {}
            }
            Ok(())
        };
        requester.request_parts(session, &request, on_part).await?;
        session.run.count_bytes(Direction::Down, TrafficKind::SetUp, ByteClass::Envelope, body.len());
        Ok((head, body))
    }

    /// Keeps the values that the next request needs. A response that has a text must have them all.
    pub(super) fn learn_cursor(&self, client: &Client, head: &[u8], body: &[u8], has_text: bool) -> Result<(), Fault> {
        let sources = self.protocol.cursor.iter().filter(|(_, source)| **source != ValueSource::EventId);
        for (name, source) in sources {
            match value_in(source, head, body)? {
                Some(value) => client.learned.borrow_mut().learn(name, &value),
                None if has_text => {
                    let source = String::from(source.clone());
                    let detail =
                        format!("a response with messages has nothing at {source}, where {{{name}}} comes from");
                    return Err(Fault::new(FaultKind::BadBytes, detail));
                }
                None => {}
            }
        }
        Ok(())
    }
}

fn method(form: &RequestForm) -> &str {
    form.method.as_deref().unwrap_or(if form.body.is_some() { "POST" } else { "GET" })
}

/// Appends a piece of a body in which values are looked for.
pub(super) fn append(bytes: &[u8], body: &mut Vec<u8>) -> Result<(), Fault> {
    if body.len() + bytes.len() > BODY_BYTES_MAX {
        return Err(Fault::new(FaultKind::BadBytes, format!("a body of more than {BODY_BYTES_MAX} bytes")));
    }
    body.extend_from_slice(bytes);
    Ok(())
}

/// The head of a response whose body can be read.
pub(super) fn checked_head(head: &[u8]) -> Result<&[u8], Fault> {
    let mut coding = None;
    headers_of(head, |name, value| {
        if name.eq_ignore_ascii_case("content-encoding") && !value.eq_ignore_ascii_case("identity") {
            coding = Some(value.to_owned());
        }
    })?;
    match coding {
        None => Ok(head),
        Some(coding) => {
            let detail = format!("the body is encoded as {coding:?}, although the request asks for no encoding");
            Err(Fault::new(FaultKind::BadBytes, detail))
        }
    }
}
