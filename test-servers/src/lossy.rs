//! `Lossy`: a way to a server on which answers get lost.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// What a request has to hold for its answer to get lost.
type Mark = Arc<Mutex<Option<Vec<u8>>>>;

/// Passes connections on to a server. When told to, it lets one request through and cuts the connection instead of
/// passing the answer on: the caller cannot know what became of it.
///
/// Its threads end with the process.
#[derive(Debug)]
pub struct Lossy {
    address: SocketAddr,
    mark: Mark,
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
        let mark = Mark::default();
        let marked = Arc::clone(&mark);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that cannot be reached is one whose connections close at once.
                if let Ok(server) = TcpStream::connect(server) {
                    pass(client, server, &marked);
                }
            }
        });
        Ok(Self { address, mark })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loses the answer to the next request that holds these bytes. TLS would hide them.
    pub fn lose_answer_to(&self, bytes: &[u8]) {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.to_vec());
    }

    /// Whether an answer that was to get lost has not yet.
    pub fn waits(&self) -> bool {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

fn pass(client: TcpStream, server: TcpStream, mark: &Mark) {
    let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
    let lose = Arc::new(Mutex::new(false));
    let (asked, mark) = (Arc::clone(&lose), Arc::clone(mark));
    thread::spawn(move || {
        forward(from_client, to_server, |bytes| {
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
