//! Networks as operators write them and as outcomes name them. Pure.
//!
//! IPv4 inside IPv6's mapped range is IPv4, and a network has no bit beyond its length: one form for each, so that they can
//! be compared and looked up. Deliberately without sets: those are ordered maps by this form.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The bits of a mapped address before the IPv4 part (RFC 4291 §2.5.5.2).
const MAPPED_BITS: u8 = 96;
/// What an IPv6 client is known by.
const CLIENT_BITS: u8 = 64;

/// The one form of a network.
pub fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network.trunc() };
    let inside = v6.prefix_len().checked_sub(MAPPED_BITS).zip(v6.addr().to_ipv4_mapped());
    let mapped = inside.and_then(|(length, v4)| Ipv4Net::new(v4, length).ok());
    mapped.map_or(network, IpNet::V4).trunc()
}

/// Whether two networks have an address in common.
pub fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// A network that somebody wrote. A single IPv6 address stands for its /64 where `clients` says so: that is what a client
/// is blocked by (design §8.2).
///
/// # Errors
/// A sentence that says what is wrong and what was probably meant.
pub fn read_network(text: &str, clients: bool) -> Result<IpNet, String> {
    let shown: String = text.chars().take(64).collect();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(match (address.to_canonical(), clients) {
            (IpAddr::V6(v6), true) => IpNet::V6(Ipv6Net::new_assert(v6, CLIENT_BITS)).trunc(),
            (other, _) => IpNet::from(other),
        });
    }
    let Ok(network) = text.parse::<IpNet>() else {
        return Err(format!("`{shown}` is no address and no network such as 203.0.113.9 or 2001:db8::/64"));
    };
    if network.trunc() != network {
        let (near, address) = (network.trunc(), network.addr());
        return Err(format!("`{shown}` has bits beyond its length: is {near} meant, or the one address {address}?"));
    }
    Ok(canonical(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, clients: bool) -> Result<String, String> {
        read_network(text, clients).map(|network| network.to_string())
    }

    #[test]
    fn one_form_for_each_network() {
        assert_eq!(read("203.0.113.9", true).as_deref(), Ok("203.0.113.9/32"));
        assert_eq!(read("::ffff:203.0.113.9", true).as_deref(), Ok("203.0.113.9/32"));
        assert_eq!(read("::ffff:203.0.113.0/120", false).as_deref(), Ok("203.0.113.0/24"));
        assert_eq!(read("2001:db8::1", true).as_deref(), Ok("2001:db8::/64"));
        assert_eq!(read("2001:db8::1", false).as_deref(), Ok("2001:db8::1/128"));
        assert!(read("203.0.113.9/24", true).unwrap_err().contains("is 203.0.113.0/24 meant"));
        assert!(read("0177.0.0.1", true).is_err() && read("", true).is_err() && read("1.2.3.4/33", true).is_err());
    }

    #[test]
    fn overlap_goes_both_ways() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert!(overlap(net("10.0.0.0/8"), net("10.1.0.0/16")) && overlap(net("10.1.0.0/16"), net("10.0.0.0/8")));
        assert!(!overlap(net("10.0.0.0/8"), net("11.0.0.0/8")) && !overlap(net("10.0.0.0/8"), net("::/0")));
    }
}
