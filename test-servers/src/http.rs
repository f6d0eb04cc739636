//! As much of an HTTP client as a fixture needs to talk to a server that it started itself, on loopback and in the clear.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// Longest wait for a connection, a read or a write.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer: its status code and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends one request to 127.0.0.1 and reads the whole answer.
pub(crate) fn request(port: u16, method: &str, path: &str, content_type: &str, body: &str) -> io::Result<Answer> {
    request_to((Ipv4Addr::LOCALHOST, port).into(), method, path, content_type, body)
}

/// Sends one request to an address and reads the whole answer.
pub(crate) fn request_to(
    address: SocketAddr,
    method: &str,
    path: &str,
    content_type: &str,
    body: &str,
) -> io::Result<Answer> {
    send(address, &format!("{method} {path}"), &[("Content-Type", content_type)], body)
}

/// Sends one request with these headers to an address and reads the whole answer.
pub(crate) fn send(
    address: SocketAddr,
    method_and_path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(
        stream,
        "{method_and_path} HTTP/1.0\r\nHost: {address}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    // HTTP/1.0: the server closes the connection after the answer, and never sends it in chunks.
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| malformed("no end of the headers"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.ok_or_else(|| malformed("no status"))?, body: body.to_owned() })
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed answer: {what}"))
}
