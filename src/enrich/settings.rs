//! What the configuration says about addresses. Pure data.

use std::sync::Arc;

use ipnet::IpNet;

/// Networks and databases that enrichment looks addresses up in.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Ours: tagged `own`.
    pub own: Vec<IpNet>,
    /// Others that are never blocked: tagged `protected`.
    pub protected: Vec<IpNet>,
    /// Whose forwarded address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Special-purpose ranges that count as internet addresses here.
    pub ordinary: Vec<IpNet>,
    /// Named lists: an address in one gets the list's name as tag.
    pub lists: Vec<(String, Vec<IpNet>)>,
    /// The bytes of a country or city mmdb.
    pub country: Option<Arc<[u8]>>,
    /// The bytes of an ASN mmdb.
    pub asn: Option<Arc<[u8]>>,
    /// Where a proxy's word may stand, in the order they are tried; per pipeline.
    pub client: Vec<ClientSource>,
}

/// A place in an event where the client's address may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientSource {
    /// `sekisho.http.x_forwarded_for`, believed only from trusted proxies, walked from the right.
    XForwardedFor,
    /// `source.ip`, the direct peer.
    Peer,
}
