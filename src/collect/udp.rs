//! Syslog over UDP: each datagram is one record. I/O.
//!
//! Whoever can send a datagram can write any sender into it; so those that did not come over loopback are marked, and
//! nothing they say ever blocks anyone (design §8.4). What nobody takes in time the kernel throws away and counts.

use std::fs::File;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::counters::Count;
use super::frames;
use super::tcp::Shared;

/// What the kernel may hold for a socket, if it lets us: a tenth of a second of a hundred thousand messages a second
/// needs about so much, with the kernel's own overhead.
pub const RECEIVE_BYTES: usize = 8 * 1024 * 1024;
/// More than any datagram holds.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// How often a waiting thread looks whether it shall stop.
const STOP_PAUSE: Duration = Duration::from_millis(100);
/// Once it shall stop, so many datagrams are still taken: as many as the kernel may hold, and not those of a flood.
const LEFT_AT_STOP: usize = 20_000;
/// How often the kernel is asked what it threw away.
const DROPS_PAUSE: Duration = Duration::from_secs(1);
/// Where it says so, by version of IP.
const TABLES: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];

/// Takes datagrams until it is stopped; `dropped` is told when the kernel has thrown some away.
///
/// # Errors
/// Where the socket cannot be set up.
pub fn receive(socket: &UdpSocket, shared: &Shared, dropped: &dyn Fn(u64)) -> io::Result<()> {
    socket.set_read_timeout(Some(STOP_PAUSE))?;
    let inode = inode(socket);
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    let (mut drops_seen, mut asked_at) = (0, None);
    let mut left_at_stop = LEFT_AT_STOP;
    while left_at_stop > 0 {
        left_at_stop -= usize::from(shared.is_stopped());
        match socket.recv_from(&mut datagram) {
            Ok((count, from)) => put(&datagram[..count], is_spoofable(from.ip()), shared),
            Err(error) if is_quiet(&error) => {
                // Only once nothing is left: what the kernel had is not thrown away by stopping.
                if shared.is_stopped() {
                    return Ok(());
                }
            }
            Err(_) => {
                shared.counters.add(Count::Errors, 1);
                std::thread::sleep(STOP_PAUSE);
            }
        }
        if is_due(&mut asked_at) {
            let drops = inode.and_then(kernel_drops).unwrap_or(drops_seen);
            if drops > drops_seen {
                shared.counters.add(Count::Dropped, drops - drops_seen);
                dropped(drops);
            }
            drops_seen = drops;
        }
    }
    Ok(())
}

fn put(datagram: &[u8], spoofable: bool, shared: &Shared) {
    let (value, cut) = frames::value(datagram);
    if value.is_empty() {
        return;
    }
    shared.funnel.put(|funnel| {
        funnel.push(&value, spoofable);
        funnel.cut += u64::from(cut);
    });
}

/// Whether a datagram from there may have been sent by somebody else: the kernel lets none in that says it comes from
/// loopback and does not.
pub fn is_spoofable(from: IpAddr) -> bool {
    !from.to_canonical().is_loopback()
}

fn is_quiet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn is_due(asked_at: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let due = asked_at.is_none_or(|asked| now.duration_since(asked) >= DROPS_PAUSE);
    if due {
        *asked_at = Some(now);
    }
    due
}

/// The number by which the kernel's table names a socket.
fn inode(socket: &UdpSocket) -> Option<u64> {
    let descriptor = OwnedFd::from(socket.try_clone().ok()?);
    Some(File::from(descriptor).metadata().ok()?.ino())
}

/// How many datagrams the kernel threw away because nobody took them from this socket in time.
fn kernel_drops(inode: u64) -> Option<u64> {
    TABLES.iter().filter_map(|table| std::fs::read_to_string(table).ok()).find_map(|table| drops_in(&table, inode))
}

/// The last column of the line with this inode, the tenth column (`proc_net_udp(5)`).
fn drops_in(table: &str, inode: u64) -> Option<u64> {
    let wanted = inode.to_string();
    let line = table.lines().skip(1).find(|line| line.split_ascii_whitespace().nth(9) == Some(wanted.as_str()))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_believed() {
        for (address, spoofable) in [
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("10.0.0.1", true),
            ("fe80::1", true),
            ("0.0.0.0", true),
        ] {
            assert_eq!(is_spoofable(address.parse().unwrap()), spoofable, "{address}");
        }
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n \
                     1203: 0100007F:158A 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 42\n";
        assert_eq!(drops_in(table, 4711), Some(42));
        assert_eq!(drops_in(table, 42), None);
        assert_eq!(drops_in("", 1), None);
    }

    #[test]
    fn a_real_socket_is_in_the_table() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(inode(&socket).and_then(kernel_drops), Some(0));
    }
}
