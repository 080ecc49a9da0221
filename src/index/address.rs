//! Addresses as one kind of number: IPv4 inside IPv6. Pure.

use std::net::{IpAddr, Ipv6Addr};

/// IPv6 as it is, IPv4 mapped into it: one column holds both, and a network of either is one range.
pub(super) fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// The address of a column's value.
pub(super) fn unmapped(address: Ipv6Addr) -> IpAddr {
    IpAddr::V6(address).to_canonical()
}
