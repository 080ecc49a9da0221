//! Who may ask: keys, and what stands in for them on loopback. Pure but for the keys it is given.
//!
//! Without keys only the machine's own users can reach the port, but so can every web page open in their browsers. A page
//! cannot choose its `Host` and cannot hide its `Origin` on a changing request: so a `Host` that is no loopback name (a name
//! of the page's that now resolves here) and any `Origin` on such a request are refused. With keys neither matters, since a
//! page cannot send a key it does not know. Deliberately without cookies, and without CORS.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode, Uri};

use crate::event::Time;

use super::fault::ApiFault;
use super::keys::{Denied, KEYS_FILE, KeyError, Keys, Role, id_of, version};
use super::throttle::Throttle;

/// What a route asks of whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: it reveals nothing.
    Open,
    /// A key whose role includes this one.
    Role(Role),
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The key's name; `local` where none is needed.
    pub name: String,
    pub role: Role,
}

/// The rules of one listener.
pub(super) struct Gatekeeper {
    /// Without keys, on loopback. Never again once there were keys: taking the last one away must not open the door.
    unlocked: AtomicBool,
    keys: RwLock<(Keys, Version)>,
    throttle: Mutex<Throttle>,
}

type Version = Option<(u64, std::time::SystemTime, u64)>;

impl Gatekeeper {
    /// The rules for this address, with the keys of this data directory.
    ///
    /// # Errors
    /// A sentence that says what to do: keys that cannot be read, or an address that needs keys where there are none.
    pub fn new(listen: SocketAddr, data: &Path) -> Result<Gatekeeper, String> {
        let seen = version(data);
        let keys = Keys::load(data).map_err(|error| error.to_string())?;
        let loopback = listen.ip().to_canonical().is_loopback();
        if keys.is_empty() && !loopback {
            return Err(format!(
                "{listen} can be reached from other machines, so it needs keys, and {} holds none: make one with \
                 `sekisho keys add NAME --role read`, or listen on 127.0.0.1",
                data.join(KEYS_FILE).display()
            ));
        }
        let unlocked = AtomicBool::new(keys.is_empty());
        Ok(Gatekeeper { unlocked, keys: RwLock::new((keys, seen)), throttle: Mutex::default() })
    }

    /// Reads the keys again where their file has changed. Once there were keys they are needed until the end.
    ///
    /// # Errors
    /// A file that cannot be read: the keys stay as they were.
    pub fn reload(&self, data: &Path) -> Result<(), KeyError> {
        let seen = version(data);
        if self.keys.read().unwrap_or_else(PoisonError::into_inner).1 == seen {
            return Ok(());
        }
        let keys = Keys::load(data)?;
        if !keys.is_empty() {
            self.unlocked.store(false, Ordering::Release);
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = (keys, seen);
        Ok(())
    }

    /// Whether anybody on this machine may do everything.
    fn is_unlocked(&self) -> bool {
        self.unlocked.load(Ordering::Acquire)
    }

    /// Refuses what a web page on this machine could have sent, where there are no keys.
    pub fn check_origin(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiFault> {
        if !self.is_unlocked() {
            return Ok(());
        }
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let named = uri.authority().is_none_or(|authority| is_loopback_name(authority.as_str()));
        if hosts.next().is_some() || !named || !host.is_some_and(is_loopback_name) {
            let message = "the Host header names another machine, and without keys only this one may ask";
            let fault = ApiFault::new(StatusCode::FORBIDDEN, "foreign_host", message);
            return Err(fault.hint("use http://127.0.0.1 or http://localhost, or make keys with `sekisho keys add`"));
        }
        if headers.contains_key(ORIGIN) && !method.is_safe() {
            let message =
                "a request with an Origin header comes from a web page, and without keys none may change anything";
            let fault = ApiFault::new(StatusCode::FORBIDDEN, "foreign_origin", message);
            return Err(fault.hint("use curl or `sekisho`, or make keys with `sekisho keys add`"));
        }
        Ok(())
    }

    /// Who calls, if it may be known: `None` where no key was sent and one is needed.
    pub fn caller(&self, headers: &HeaderMap, peer: IpAddr, now: Time) -> Result<Option<Caller>, ApiFault> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if self.is_unlocked() {
            return Ok(Some(Caller { name: "local".to_owned(), role: Role::Admin }));
        }
        let Some(key) = sent_key(headers) else { return Ok(None) };
        match keys.0.owner(key, now) {
            Ok(stored) => Ok(Some(Caller { name: stored.name.clone(), role: stored.role })),
            Err(denied) => Err(self.denied(denied, (peer, id_of(key)), now)),
        }
    }

    /// Whether the caller may do what the route does.
    pub fn admit(&self, access: Access, caller: Option<&Caller>) -> Result<(), ApiFault> {
        let Access::Role(needed) = access else { return Ok(()) };
        let Some(caller) = caller else {
            let fault = ApiFault::new(StatusCode::UNAUTHORIZED, "no_key", "this needs a key");
            return Err(
                fault.hint("send it as `Authorization: Bearer KEY`; `sekisho keys add NAME --role ROLE` makes one")
            );
        };
        if caller.role.includes(needed) {
            return Ok(());
        }
        let (has, needs) = (caller.role.word(), needed.word());
        let fault = ApiFault::new(StatusCode::FORBIDDEN, "wrong_role", format!("a key of role {has} may not do this"));
        Err(fault.hint(format!("it needs role {needs}")))
    }

    fn denied(&self, denied: Denied, (peer, key_id): (IpAddr, Option<&str>), now: Time) -> ApiFault {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seconds) = throttle.failed(peer, key_id, now) {
            let message = "too many keys that do not count came from there";
            return ApiFault::new(StatusCode::TOO_MANY_REQUESTS, "throttled", message).again_after(seconds);
        }
        match denied {
            Denied::Unknown => ApiFault::new(StatusCode::UNAUTHORIZED, "wrong_key", "this key is not known here")
                .hint("`sekisho keys list` shows which there are"),
            Denied::Expired => ApiFault::new(StatusCode::UNAUTHORIZED, "expired_key", "this key has expired")
                .hint("make a new one with `sekisho keys add`"),
        }
    }
}

/// The key of a request: `Authorization: Bearer`, or `X-Api-Key` for clients that cannot send that.
fn sent_key(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        // Something that is no bearer token is a wrong key, not a missing one.
        let (scheme, key) = value.to_str().ok()?.split_once(' ').unwrap_or_default();
        return Some(if scheme.eq_ignore_ascii_case("bearer") { key.trim() } else { "" });
    }
    headers.get("x-api-key").and_then(|value| value.to_str().ok())
}

/// Whether `localhost:7070`, `127.0.0.1` or `[::1]:7070` is meant: a name that no page can own. Any port will do: a tunnel
/// has another, and a page's own name is not made loopback by one.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            return address.parse::<std::net::Ipv6Addr>().is_ok_and(|v6| IpAddr::V6(v6).to_canonical().is_loopback())
                && is_port(port);
        }
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let port = &host[name.len()..];
    let address = name.parse::<std::net::Ipv4Addr>().is_ok_and(|v4| v4.is_loopback());
    is_port(port) && (address || name.eq_ignore_ascii_case("localhost"))
}

/// Nothing, or `:7070`.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names() {
        for host in ["localhost", "LOCALHOST:7070", "127.0.0.1", "127.0.0.1:7070", "127.9.9.9", "[::1]", "[::1]:7070"] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "192.0.2.1",
            "[::2]",
            "[::1",
            "::1",
            "localhost:",
            "localhost:x",
            "localhost:7070:1",
            "localhost:99999",
            "127.1",
            "0.0.0.0",
            "localhost.",
            "[::1]x",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }

    #[test]
    fn an_address_that_others_reach_needs_keys() {
        let folder = tempfile::tempdir().unwrap();
        let at = |listen: &str| Gatekeeper::new(listen.parse().unwrap(), folder.path());
        assert!(at("127.0.0.1:0").is_ok() && at("[::1]:0").is_ok());
        for listen in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
            assert!(at(listen).err().unwrap().contains("sekisho keys add"), "{listen}");
        }
        super::super::keys::add_key(folder.path(), "a", Role::Read, (Time(0), None)).unwrap();
        assert!(at("0.0.0.0:0").is_ok());
    }

    #[test]
    fn once_there_are_keys_they_are_needed_and_a_broken_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let gate = Gatekeeper::new("127.0.0.1:0".parse().unwrap(), data).unwrap();
        let peer = IpAddr::from([127, 0, 0, 1]);
        let caller = |headers: &HeaderMap| gate.caller(headers, peer, Time(1));
        assert_eq!(caller(&HeaderMap::new()).unwrap().unwrap().name, "local");
        let key = super::super::keys::add_key(data, "a", Role::Read, (Time(0), None)).unwrap();
        gate.reload(data).unwrap();
        assert_eq!(caller(&HeaderMap::new()), Ok(None));
        let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("bearer {key}").parse().unwrap())]);
        assert_eq!(caller(&headers).unwrap().unwrap().name, "a");
        #[expect(clippy::disallowed_methods, reason = "the test breaks the file")]
        std::fs::write(data.join(KEYS_FILE), "broken").unwrap();
        assert!(gate.reload(data).is_err());
        assert_eq!(caller(&headers).unwrap().unwrap().name, "a");
        #[expect(clippy::disallowed_methods, reason = "the test takes the file away")]
        std::fs::remove_file(data.join(KEYS_FILE)).unwrap();
        gate.reload(data).unwrap();
        assert_eq!(caller(&HeaderMap::new()), Ok(None));
    }
}
