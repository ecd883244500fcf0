//! Which addresses the service may reach on somebody's behalf. Pure: addresses in, yes or no out.
//!
//! Allowed is only what the registries hand out as globally reachable unicast. A range that is not known here is refused
//! for IPv6 (outside `2000::/3`) and listed for IPv4. Addresses that carry an IPv4 address inside are judged by it, or
//! refused where nothing on the public internet uses them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Networks that are no place for a request from a user: (first address, prefix length).
const REFUSED_V4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),        // this host
    ([10, 0, 0, 0], 8),       // private
    ([100, 64, 0, 0], 10),    // shared behind carriers; a cloud's metadata
    ([127, 0, 0, 0], 8),      // loopback
    ([168, 63, 129, 16], 32), // a cloud's metadata on a public address
    ([169, 254, 0, 0], 16),   // link-local; metadata
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocol assignments; metadata
    ([192, 0, 2, 0], 24),     // documentation
    ([192, 88, 99, 0], 24),   // relays to 6to4
    ([192, 168, 0, 0], 16),   // private
    ([198, 18, 0, 0], 15),    // benchmarks
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, broadcast
];

/// Within `2000::/3`, what is not the public internet.
const REFUSED_V6: &[([u16; 8], u8)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),     // Teredo, ORCHID and other protocol assignments
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),     // 6to4: an IPv4 address in disguise
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),     // documentation
];

/// Is the address on the public internet?
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !REFUSED_V4.iter().any(|(first, bits)| Net::new(IpAddr::V4(Ipv4Addr::from(*first)), *bits).contains(IpAddr::V4(address)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = embedded(address) {
        return is_public_v4(inner);
    }
    let unicast = address.segments()[0] & 0xe000 == 0x2000;
    unicast && !REFUSED_V6.iter().any(|(first, bits)| Net::new(IpAddr::V6(Ipv6Addr::from(*first)), *bits).contains(IpAddr::V6(address)))
}

/// The IPv4 address inside one of the forms that a host or a gateway turns back into IPv4:
/// mapped `::ffff:a.b.c.d`, compatible `::a.b.c.d`, translated `::ffff:0:a.b.c.d`, NAT64 `64:ff9b::a.b.c.d`.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let carries = matches!(s, [0, 0, 0, 0, 0, 0xffff | 0, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _]);
    let [.., a, b, c, d] = address.octets();
    carries.then(|| Ipv4Addr::new(a, b, c, d))
}

/// A network: every address that shares the first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Net {
    first: IpAddr,
    bits: u8,
}

impl Net {
    const fn new(first: IpAddr, bits: u8) -> Self {
        Self { first, bits }
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(net), IpAddr::V4(a)) => {
                let shift = 32 - u32::from(self.bits.min(32));
                u32::from(net).checked_shr(shift).unwrap_or(0) == u32::from(a).checked_shr(shift).unwrap_or(0)
            }
            (IpAddr::V6(net), IpAddr::V6(a)) => {
                let shift = 128 - u32::from(self.bits.min(128));
                u128::from(net).checked_shr(shift).unwrap_or(0) == u128::from(a).checked_shr(shift).unwrap_or(0)
            }
            _ => false,
        }
    }
}

/// What the operator lets the service reach although it is not public: networks, addresses and host names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    nets: Vec<Net>,
    hosts: Vec<String>,
}

impl Allow {
    /// Nothing besides the public internet.
    pub fn public_only() -> Self {
        Self::default()
    }

    /// Parses entries such as `10.1.0.0/16`, `192.168.1.5`, `fd00::/8` or `git.internal`. A host name allows whatever it
    /// resolves to, so it should be one that the operator controls.
    ///
    /// # Errors
    /// The first entry that is none of these.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut allow = Self::default();
        for entry in entries.into_iter().map(str::trim).filter(|e| !e.is_empty()) {
            match entry.split_once('/') {
                Some((address, bits)) => allow.nets.push(net(entry, address, bits)?),
                None => match IpAddr::from_str(entry) {
                    Ok(address @ IpAddr::V4(_)) => allow.nets.push(Net::new(address, 32)),
                    Ok(address @ IpAddr::V6(_)) => allow.nets.push(Net::new(address, 128)),
                    Err(_) if is_host_name(entry) => allow.hosts.push(normal(entry)),
                    Err(_) => return Err(format!("`{entry}` is neither a network, an address nor a host name")),
                },
            }
        }
        Ok(allow)
    }

    /// May this address be dialled?
    pub fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.nets.iter().any(|net| net.contains(address))
    }

    /// Is the name itself allowed, wherever it leads?
    pub fn names(&self, host: &str) -> bool {
        self.hosts.contains(&normal(host))
    }
}

fn net(entry: &str, address: &str, bits: &str) -> Result<Net, String> {
    let bad = || format!("`{entry}` is not a network such as 10.0.0.0/8");
    let first = IpAddr::from_str(address).map_err(|_| bad())?;
    let bits: u8 = bits.parse().map_err(|_| bad())?;
    let most = if first.is_ipv4() { 32 } else { 128 };
    if bits > most { Err(bad()) } else { Ok(Net::new(first, bits)) }
}

fn is_host_name(text: &str) -> bool {
    text.len() <= 253 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// Names are compared in lower case, without the root's dot.
fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.1.1",
            "198.17.9.9",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ];
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text} is public");
        }
        for text in refused {
            assert!(!is_public(text.parse().unwrap()), "{text} is not public");
        }
    }

    #[test]
    fn allow_lists() {
        let allow = Allow::parse(["10.1.0.0/16", "192.168.1.5", "fd12::/16", "Git.Internal", ""]).unwrap();
        for yes in ["10.1.255.1", "192.168.1.5", "fd12:1::2", "9.9.9.9"] {
            assert!(allow.permits(yes.parse().unwrap()), "{yes}");
        }
        for no in ["10.2.0.1", "192.168.1.6", "fd13::1", "127.0.0.1"] {
            assert!(!allow.permits(no.parse().unwrap()), "{no}");
        }
        assert!(allow.names("git.internal") && allow.names("GIT.internal.") && !allow.names("x.git.internal"));
        assert!(Allow::parse(["0.0.0.0/0"]).unwrap().permits("127.0.0.1".parse().unwrap()));
        for bad in ["10.0.0.0/33", "fd00::/129", "10.0.0.0/", "/8", "a b", "http://x", "10.0.0.0/-1"] {
            assert!(Allow::parse([bad]).is_err(), "{bad}");
        }
    }
}
