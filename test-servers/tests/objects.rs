//! azurite and fake-gcs-server start, answer on loopback alone, and are gone afterwards; a way to them hears requests.

use std::{
    error::Error,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use test_servers::{Azurite, FakeGcs, Lossy};

type Outcome = Result<(), Box<dyn Error>>;

/// Whether a process exists, a zombie being none.
fn alive(pid: u32) -> bool {
    let status = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output();
    status.is_ok_and(|status| {
        let state = String::from_utf8_lossy(&status.stdout).trim().to_owned();
        !state.is_empty() && !state.starts_with('Z')
    })
}

/// Sends a request and reads the answer. An empty one is a dropped connection.
fn ask(address: SocketAddr, request: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => drop(other?),
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[test]
fn azurite_wants_to_know_who_asks_and_is_gone_when_it_is_dropped() -> Outcome {
    let server = Azurite::start()?;
    let (address, pid) = (loopback(server.port()), server.pid());
    let answer = ask(address, "GET /devstoreaccount1?comp=list", "")?;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("AuthorizationFailure"), "{answer}");
    assert!(alive(pid));
    drop(server);
    assert!(!alive(pid) && TcpStream::connect(address).is_err());
    Ok(())
}

#[test]
fn fake_gcs_keeps_buckets_and_is_gone_after_a_panic() -> Outcome {
    let (sender, receiver) = std::sync::mpsc::channel();
    let outcome = std::thread::spawn(move || {
        let server = FakeGcs::start().unwrap_or_else(|error| panic!("{error}"));
        let address = loopback(server.port());
        let made = ask(address, "POST /storage/v1/b?project=test", r#"{"name":"states"}"#);
        let listed = ask(address, "GET /storage/v1/b", "");
        let _ = sender.send((server.pid(), address, made, listed));
        panic!("on purpose");
    })
    .join();
    assert!(outcome.is_err());
    let (pid, address, made, listed) = receiver.recv()?;
    assert!(made?.contains("200 OK"));
    assert!(listed?.contains(r#""name":"states""#));
    assert!(!alive(pid) && TcpStream::connect(address).is_err());
    Ok(())
}

#[test]
fn a_way_hears_requests_and_loses_one_answer() -> Outcome {
    let server = FakeGcs::start()?;
    let way = Lossy::start(loopback(server.port()))?;
    way.lose_answer_to(b"states");
    assert_eq!(ask(way.address(), "POST /storage/v1/b?project=test", r#"{"name":"states"}"#)?, "");
    assert!(!way.waits());
    assert!(ask(way.address(), "GET /storage/v1/b", "")?.contains(r#""name":"states""#), "it was done all the same");
    assert_eq!(way.requests(), ["POST /storage/v1/b?project=test", "GET /storage/v1/b"]);
    assert_eq!(way.requests(), [""; 0]);
    Ok(())
}

#[test]
fn without_node_the_command_is_named() -> Outcome {
    let empty = tempfile::tempdir()?;
    let run = Command::new(env!("CARGO_BIN_EXE_test-servers"))
        .args(["install", "azurite"])
        .env("STACKKIT_SERVERS_CACHE", empty.path().join("cache"))
        .env("PATH", empty.path())
        .output()?;
    assert!(!run.status.success());
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("no `node` on PATH") && said.contains("apt-get install nodejs npm"), "{said}");
    Ok(())
}
