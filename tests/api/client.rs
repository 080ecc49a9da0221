//! A client that says exactly what it is told to, byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing here takes so long unless it hangs.
const HANG: Duration = Duration::from_secs(60);

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .head
            .lines()
            .find(|line| line.split_once(':').is_some_and(|(other, _)| other.eq_ignore_ascii_case(name)));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }

    /// The code of an error.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(HANG)).unwrap();
    socket.set_write_timeout(Some(HANG)).unwrap();
    socket
}

/// Sends bytes and reads until the server closes.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut socket = connect(address);
    // A server that has heard enough may close before all is sent.
    let _ = socket.write_all(bytes);
    answer_of(&mut socket)
}

/// Reads an answer to its end.
pub fn answer_of(socket: &mut TcpStream) -> Answer {
    let mut all = Vec::new();
    let mut block = [0; 64 * 1024];
    loop {
        match socket.read(&mut block) {
            Ok(0) => break,
            Ok(count) => all.extend_from_slice(&block[..count]),
            // A reset after the answer is an end too.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the server neither answers nor closes: {error}"),
        }
    }
    let at = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(all.len());
    let head = String::from_utf8_lossy(&all[..at]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let body = all.get(at + 4..).unwrap_or_default().to_vec();
    Answer { status, head, body }
}

/// One request over a connection of its own, HTTP/1.0: so no answer is chunked.
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.0\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str("Host: localhost\r\n");
    }
    headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    if !body.is_empty() || method == "POST" {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    raw(address, &[request.as_bytes(), body].concat())
}

/// An event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: String,
}

/// A reader of a stream.
pub struct Events {
    reader: BufReader<TcpStream>,
}

impl Events {
    pub fn open(address: SocketAddr, since: Option<&str>) -> Events {
        let mut socket = connect(address);
        let header = since.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        socket.write_all(format!("GET /api/v1/stream HTTP/1.0\r\nHost: localhost\r\n{header}\r\n").as_bytes()).unwrap();
        Events { reader: BufReader::new(socket) }
    }

    /// The next event; `None` at the end.
    pub fn next(&mut self) -> Option<Event> {
        let mut event = Event { id: String::new(), name: String::new(), data: String::new() };
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            let line = line.trim_end();
            if line.is_empty() && !event.name.is_empty() {
                return Some(event);
            }
            match line.split_once(": ") {
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("data", data)) => event.data = data.to_owned(),
                _ => {}
            }
        }
    }
}
