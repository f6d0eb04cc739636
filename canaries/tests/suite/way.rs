//! `Way`: the way from a program to its store, which keeps all that is sent to it, what is overwritten or deleted there
//! later too, and which can be cut.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A way to one server.
pub struct Way {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What went by.
#[derive(Default)]
struct Seen {
    /// What was sent to the server: one text a connection, for stretches of two do not follow each other.
    sent: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    open: Mutex<Vec<TcpStream>>,
    cut: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Way {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let seen = Arc::new(Seen::default());
        let sees = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if !sees.cut.load(Ordering::SeqCst)
                    && let Ok(server) = TcpStream::connect(server)
                {
                    sees.pass(client, server);
                }
            }
        });
        Self { address, seen }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was sent since this was asked before.
    pub fn sent(&self) -> Vec<u8> {
        let texts = lock(&self.seen.sent);
        texts.iter().flat_map(|text| [std::mem::take(&mut *lock(text)), b"\n".to_vec()]).flatten().collect()
    }

    /// Ends all connections, and lets none through any more.
    pub fn cut(&self) {
        self.seen.cut.store(true, Ordering::SeqCst);
        for stream in lock(&self.seen.open).drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn mend(&self) {
        self.seen.cut.store(false, Ordering::SeqCst);
    }
}

impl Seen {
    fn pass(&self, client: TcpStream, server: TcpStream) {
        let (Ok(from_client), Ok(to_server), Ok(to_close)) =
            (client.try_clone(), server.try_clone(), client.try_clone())
        else {
            return;
        };
        let text = Arc::new(Mutex::new(Vec::new()));
        lock(&self.sent).push(Arc::clone(&text));
        lock(&self.open).push(to_close);
        thread::spawn(move || forward(from_client, to_server, |bytes| lock(&text).extend_from_slice(bytes)));
        thread::spawn(move || forward(server, client, |_| {}));
    }
}

/// Passes bytes on until one side has ended.
fn forward(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let bytes = buffer.get(..length).unwrap_or_default();
        // Noted before it can have an effect.
        note(bytes);
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
