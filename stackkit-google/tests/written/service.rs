//! `Service`: a server on a loopback port that notes each request and answers as a closure says, or as a test wants the
//! next answers to be.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use google_cloud_auth::credentials::{CacheableResource, Credentials, CredentialsProvider, EntityTag};
use http::{Extensions, HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: Json,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    pub fn ok(body: Json) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_string() }
    }

    /// An error in the form of Google's APIs.
    pub fn error(status: u16, word: &str, message: &str) -> Self {
        let body = json!({ "error": { "code": status, "message": message, "status": word } });
        Self { status, headers: Vec::new(), body: body.to_string() }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    next: VecDeque<Reply>,
}

/// The server. It ends when it is dropped.
pub struct Service {
    address: String,
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("its address").to_string();
        let (seen, over) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let service = Self { address, seen: Arc::clone(&seen), over: Arc::clone(&over) };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &seen, answer.as_ref()));
            }
        });
        service
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the next requests are answered with, whatever they are.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.seen).next.extend(replies);
    }

    /// The requests so far. They are forgotten here.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut lock(&self.seen).requests)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // It waits for a connection.
        drop(TcpStream::connect(&self.address));
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>, answer: &(dyn Fn(&Request) -> Reply + Send + Sync)) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
    let Some(request) = read(&stream) else { return };
    let next = {
        let mut seen = lock(seen);
        seen.requests.push(request.clone());
        seen.next.pop_front()
    };
    let Reply { status, headers, body } = next.unwrap_or_else(|| answer(&request));
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    let _ = stream.write_all(format!("{head}connection: close\r\n{headers}\r\n{body}").as_bytes());
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some(Request {
        method,
        path: path.to_owned(),
        query: query.split('&').filter_map(pair).collect(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Json::Null),
    })
}

/// Credentials that are one token.
#[derive(Debug)]
struct Token;

impl CredentialsProvider for Token {
    async fn headers(
        &self,
        _: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, google_cloud_auth::errors::CredentialsError> {
        let mut data = HeaderMap::new();
        data.insert("authorization", HeaderValue::from_static("Bearer a-token"));
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

pub fn credentials() -> Credentials {
    Credentials::from(Token)
}

/// That a request is one of these, asked by who the token says.
pub fn assert_request(request: &Request, method: &str, path: &str) {
    assert_eq!((request.method.as_str(), request.path.as_str()), (method, path), "{request:?}");
    assert_eq!(request.headers.get("authorization").map(String::as_str), Some("Bearer a-token"), "{request:?}");
}

/// A checksum as the APIs take it.
pub fn checksum(bytes: &[u8]) -> String {
    crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(bytes).to_string()
}
