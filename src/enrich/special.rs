//! The IANA special-purpose address registries, whole, with the RFC of each entry. Pure data.
//!
//! Besides the two registries: multicast, and the two ranges of IPv6 that were deprecated before the registry began.
//! Entries that IANA calls globally reachable (AS112, AMT) are listed too: infrastructure lives there, never a visitor.

use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// IPv4: network and where it is defined.
pub(super) const SPECIAL_V4: &[(Ipv4Net, &str)] = &[
    (v4([0, 0, 0, 0], 8), "RFC 791, this network"),
    (v4([0, 0, 0, 0], 32), "RFC 1122, this host on this network"),
    (v4([10, 0, 0, 0], 8), "RFC 1918, private use"),
    (v4([100, 64, 0, 0], 10), "RFC 6598, shared address space"),
    (v4([127, 0, 0, 0], 8), "RFC 1122, loopback"),
    (v4([169, 254, 0, 0], 16), "RFC 3927, link local"),
    (v4([172, 16, 0, 0], 12), "RFC 1918, private use"),
    (v4([192, 0, 0, 0], 24), "RFC 6890, IETF protocol assignments"),
    (v4([192, 0, 0, 0], 29), "RFC 7335, IPv4 service continuity prefix"),
    (v4([192, 0, 0, 8], 32), "RFC 7600, IPv4 dummy address"),
    (v4([192, 0, 0, 9], 32), "RFC 7723, port control protocol anycast"),
    (v4([192, 0, 0, 10], 32), "RFC 8155, TURN anycast"),
    (v4([192, 0, 0, 170], 31), "RFC 8880, NAT64 and DNS64 discovery"),
    (v4([192, 0, 2, 0], 24), "RFC 5737, documentation (TEST-NET-1)"),
    (v4([192, 31, 196, 0], 24), "RFC 7535, AS112-v4"),
    (v4([192, 52, 193, 0], 24), "RFC 7450, AMT"),
    (v4([192, 88, 99, 0], 24), "RFC 7526, deprecated 6to4 relay anycast"),
    (v4([192, 88, 99, 2], 32), "RFC 6751, 6a44 relay anycast"),
    (v4([192, 168, 0, 0], 16), "RFC 1918, private use"),
    (v4([192, 175, 48, 0], 24), "RFC 7534, direct delegation AS112"),
    (v4([198, 18, 0, 0], 15), "RFC 2544, benchmarking"),
    (v4([198, 51, 100, 0], 24), "RFC 5737, documentation (TEST-NET-2)"),
    (v4([203, 0, 113, 0], 24), "RFC 5737, documentation (TEST-NET-3)"),
    (v4([224, 0, 0, 0], 4), "RFC 5771, multicast"),
    (v4([240, 0, 0, 0], 4), "RFC 1112, reserved"),
    (v4([255, 255, 255, 255], 32), "RFC 8190, limited broadcast"),
];

/// IPv6: network and where it is defined.
pub(super) const SPECIAL_V6: &[(Ipv6Net, &str)] = &[
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "RFC 4291, loopback"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "RFC 4291, unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "RFC 4291, deprecated IPv4-compatible"),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "RFC 4291, IPv4-mapped; unwrapped before any look-up"),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "RFC 6052, IPv4-IPv6 translation"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "RFC 8215, IPv4-IPv6 translation"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "RFC 6666, discard only"),
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), "RFC 9780, dummy prefix"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "RFC 2928, IETF protocol assignments"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "RFC 4380, Teredo"),
    (v6([0x2001, 1, 0, 0, 0, 0, 0, 1], 128), "RFC 7723, port control protocol anycast"),
    (v6([0x2001, 1, 0, 0, 0, 0, 0, 2], 128), "RFC 8155, TURN anycast"),
    (v6([0x2001, 1, 0, 0, 0, 0, 0, 3], 128), "RFC 9665, DNS-SD service registration anycast"),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), "RFC 5180, benchmarking"),
    (v6([0x2001, 3, 0, 0, 0, 0, 0, 0], 32), "RFC 7450, AMT"),
    (v6([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48), "RFC 7535, AS112-v6"),
    (v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28), "RFC 4843, deprecated ORCHID"),
    (v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28), "RFC 7343, ORCHIDv2"),
    (v6([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28), "RFC 9374, drone remote identification"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "RFC 3849, documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "RFC 3056, 6to4"),
    (v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), "RFC 7534, direct delegation AS112"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "RFC 9637, documentation"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "RFC 9602, segment routing SIDs"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "RFC 4193, unique local"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "RFC 4291, link local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "RFC 3879, deprecated site local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "RFC 4291, multicast"),
];

const fn v4(octets: [u8; 4], length: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(segments: [u16; 8], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_no_host_bits_and_name_their_rfc() {
        assert!(SPECIAL_V4.iter().all(|(net, rfc)| *net == net.trunc() && rfc.starts_with("RFC ")));
        assert!(SPECIAL_V6.iter().all(|(net, rfc)| *net == net.trunc() && rfc.starts_with("RFC ")));
    }

    #[test]
    fn the_standard_library_agrees_where_it_has_an_opinion() {
        for bits in (0..=u32::MAX).step_by(4099) {
            let address = Ipv4Addr::from_bits(bits);
            let listed = SPECIAL_V4.iter().any(|(net, _)| net.contains(&address));
            let known = address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_documentation()
                || address.is_broadcast()
                || address.is_unspecified();
            assert!(listed || !known, "{address}");
        }
    }
}
