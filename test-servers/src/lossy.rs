//! `Lossy`: a way to a server on which requests are heard and answers get lost.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// What a request has to hold for its answer to get lost.
type Mark = Arc<Mutex<Option<Vec<u8>>>>;
/// The first lines of requests.
type Heard = Arc<Mutex<Vec<String>>>;

/// Passes connections on to a server. When told to, it lets one request through and cuts the connection instead of
/// passing the answer on: the caller cannot know what became of it.
///
/// Its threads end with the process.
#[derive(Debug)]
pub struct Lossy {
    address: SocketAddr,
    mark: Mark,
    heard: Heard,
}

impl Lossy {
    /// Listens on a free port of 127.0.0.1 in front of a server.
    ///
    /// # Errors
    ///
    /// When there is no free port.
    pub fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (mark, heard) = (Mark::default(), Heard::default());
        let (marked, hears) = (Arc::clone(&mark), Arc::clone(&heard));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that cannot be reached is one whose connections close at once.
                if let Ok(server) = TcpStream::connect(server) {
                    pass(client, server, &marked, &hears);
                }
            }
        });
        Ok(Self { address, mark, heard })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loses the answer to the next request that holds these bytes. TLS would hide them.
    pub fn lose_answer_to(&self, bytes: &[u8]) {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.to_vec());
    }

    /// The HTTP requests since this was asked last, oldest first, such as `PUT /bucket/key?x=1`. TLS would hide them too.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether an answer that was to get lost has not yet.
    pub fn waits(&self) -> bool {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// The request that begins with these bytes, without its protocol. A client sends the next one on a connection when it has
/// the answer to the one before, so that each begins what is read at once.
fn request(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_suffix(" HTTP/1.1")?;
    line.starts_with(|first: char| first.is_ascii_uppercase()).then(|| line.to_owned())
}

fn pass(client: TcpStream, server: TcpStream, mark: &Mark, heard: &Heard) {
    let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
    let lose = Arc::new(Mutex::new(false));
    let (asked, mark, heard) = (Arc::clone(&lose), Arc::clone(mark), Arc::clone(heard));
    thread::spawn(move || {
        forward(from_client, to_server, |bytes| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).extend(request(bytes));
            let mut mark = mark.lock().unwrap_or_else(PoisonError::into_inner);
            let holds = |mark: &Vec<u8>| bytes.windows(mark.len()).any(|window| window == mark.as_slice());
            if mark.as_ref().is_some_and(holds) {
                *mark = None;
                *asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
            }
            true
        })
    });
    thread::spawn(move || forward(server, client, |_| !*lose.lock().unwrap_or_else(PoisonError::into_inner)));
}

/// Copies until one side closes, or until `may` says no.
fn forward(mut from: TcpStream, mut to: TcpStream, may: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let bytes = buffer.get(..length).unwrap_or_default();
        if !may(bytes) || to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
