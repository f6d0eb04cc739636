//! `Cidr`: a block of addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::property::{DecodeError, Open, Plain, Property, Sampler};
use crate::secret::Secret;
use crate::value::Value;

/// A block of IPv4 or IPv6 addresses, such as `10.0.0.0/16`. No host bits are ever set in it.
///
/// [`crate::cidr!`] checks a literal when the program is compiled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

/// Why a text is no block of addresses, or a block cannot be divided as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CidrError {
    /// The text is no address and prefix.
    #[error("`{0}` is not an address block: expected one such as `10.0.0.0/16`")]
    Syntax(String),
    /// Host bits are set.
    #[error("`{0}` has host bits set: the block is `{1}`")]
    HostBits(String, Cidr),
    /// A subnet's prefix is shorter than the block's own, or longer than an address.
    #[error("`{block}` has no subnets with prefix /{prefix}: the prefix must be from {} to {}", block.prefix(), block.0.max_prefix_len())]
    Prefix {
        /// The block.
        block: Cidr,
        /// The prefix asked for.
        prefix: u8,
    },
    /// There are fewer subnets of that prefix.
    #[error("`{block}` has fewer than {} subnets with prefix /{prefix}", .index.saturating_add(1))]
    Index {
        /// The block.
        block: Cidr,
        /// The prefix asked for.
        prefix: u8,
        /// The index asked for, from 0.
        index: u64,
    },
}

impl Cidr {
    /// The length of the prefix in bits.
    pub fn prefix(&self) -> u8 {
        self.0.prefix_len()
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.0.network()
    }

    /// Whether the whole of another block lies within this one.
    pub fn contains(&self, other: &Cidr) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether an address lies within it.
    pub fn contains_address(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// All blocks of a longer prefix within it, in order.
    ///
    /// # Errors
    /// When the prefix is shorter than its own, or longer than an address.
    pub fn subnets(&self, prefix: u8) -> Result<impl Iterator<Item = Cidr> + use<>, CidrError> {
        let subnets = self.0.subnets(prefix).map_err(|_| CidrError::Prefix { block: *self, prefix })?;
        Ok(subnets.map(Cidr))
    }

    /// One block of a longer prefix within it, counted from 0.
    ///
    /// ```
    /// let vpc = stackkit::cidr!("10.0.0.0/16");
    /// assert_eq!(vpc.nth_subnet(24, 3)?, stackkit::cidr!("10.0.3.0/24"));
    /// # Ok::<(), stackkit::types::CidrError>(())
    /// ```
    ///
    /// # Errors
    /// When the prefix is shorter than its own or longer than an address, or when there are not so many.
    pub fn nth_subnet(&self, prefix: u8, index: u64) -> Result<Cidr, CidrError> {
        let max = self.0.max_prefix_len();
        if prefix < self.prefix() || prefix > max {
            return Err(CidrError::Prefix { block: *self, prefix });
        }
        let bits = u32::from(prefix - self.prefix());
        if bits < u64::BITS && index >> bits != 0 {
            return Err(CidrError::Index { block: *self, prefix, index });
        }
        // A shift by the full width happens only for prefix 0, whose one subnet is the block itself.
        let offset = u128::from(index).checked_shl(u32::from(max - prefix)).unwrap_or(0);
        let address = match self.address() {
            IpAddr::V4(first) => {
                let offset = u32::try_from(offset).unwrap_or(0);
                IpAddr::from((u32::from(first) | offset).to_be_bytes())
            }
            IpAddr::V6(first) => IpAddr::from((u128::from(first) | offset).to_be_bytes()),
        };
        let net = IpNet::new(address, prefix).map_err(|_| CidrError::Prefix { block: *self, prefix })?;
        Ok(Cidr(net))
    }

    /// From what `cidr!` has checked.
    pub(crate) const fn v4(octets: [u8; 4], prefix: u8) -> Self {
        let [a, b, c, d] = octets;
        Self(IpNet::V4(Ipv4Net::new_assert(std::net::Ipv4Addr::new(a, b, c, d), prefix)))
    }

    /// From what `cidr!` has checked.
    pub(crate) const fn v6(segments: [u16; 8], prefix: u8) -> Self {
        let [a, b, c, d, e, f, g, h] = segments;
        Self(IpNet::V6(Ipv6Net::new_assert(std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)))
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let net: IpNet = text.parse().map_err(|_| CidrError::Syntax(text.to_owned()))?;
        if net.addr() == net.network() {
            Ok(Self(net))
        } else {
            Err(CidrError::HostBits(text.to_owned(), Self(net.trunc())))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Property for Cidr {
    type Mark = Open;
    type Hidden = Secret<Cidr>;
    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        match value {
            Value::Text(text) => text.parse().map_err(|e: CidrError| DecodeError::new(e.to_string())),
            other => Err(DecodeError::expected("an address block", other)),
        }
    }
    fn canonical(value: Value) -> Value {
        match value.as_text().and_then(|text| text.parse::<Cidr>().ok()) {
            Some(block) => block.to_value(),
            None => value,
        }
    }
    fn type_name() -> String {
        "Cidr".into()
    }
    fn sample(sampler: &Sampler) -> Value {
        Value::Text(format!("10.{}.0.0/16", sampler.number() % 256))
    }
}
impl Plain for Cidr {}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_refused_with_the_right_block() {
        let error = "10.0.3.7/16".parse::<Cidr>().unwrap_err();
        assert_eq!(error.to_string(), "`10.0.3.7/16` has host bits set: the block is `10.0.0.0/16`");
        for wrong in ["10.0.0.0", "10.0.0.0/33", "ten/8", ""] {
            assert!(matches!(wrong.parse::<Cidr>(), Err(CidrError::Syntax(_))), "{wrong}");
        }
    }

    #[test]
    fn subnets_are_found_without_counting() {
        assert_eq!(cidr("10.0.0.0/16").nth_subnet(24, 255), Ok(cidr("10.0.255.0/24")));
        assert!(cidr("10.0.0.0/16").nth_subnet(24, 256).is_err());
        assert_eq!(cidr("0.0.0.0/0").nth_subnet(0, 0), Ok(cidr("0.0.0.0/0")));
        assert!(cidr("0.0.0.0/0").nth_subnet(0, 1).is_err());
        assert_eq!(cidr("0.0.0.0/0").nth_subnet(32, 1), Ok(cidr("0.0.0.1/32")));
        assert_eq!(cidr("2001:db8::/32").nth_subnet(64, 1 << 31), Ok(cidr("2001:db8:8000::/64")));
        assert_eq!(cidr("::/0").nth_subnet(128, u64::MAX), Ok(cidr("::ffff:ffff:ffff:ffff/128")));
        let error = cidr("10.0.0.0/16").nth_subnet(8, 0).unwrap_err();
        assert_eq!(error.to_string(), "`10.0.0.0/16` has no subnets with prefix /8: the prefix must be from 16 to 32");
        let error = cidr("10.0.0.0/16").nth_subnet(17, 2).unwrap_err();
        assert_eq!(error.to_string(), "`10.0.0.0/16` has fewer than 3 subnets with prefix /17");
        let all: Vec<Cidr> = cidr("10.0.0.0/16").subnets(17).unwrap().collect();
        assert_eq!(all, [cidr("10.0.0.0/17"), cidr("10.0.128.0/17")]);
        assert!(cidr("10.0.0.0/16").subnets(8).is_err());
    }

    #[test]
    fn blocks_contain_blocks_and_addresses() {
        assert!(cidr("10.0.0.0/8").contains(&cidr("10.1.0.0/16")));
        assert!(!cidr("10.1.0.0/16").contains(&cidr("10.0.0.0/8")));
        assert!(cidr("10.0.0.0/8").contains_address("10.9.9.9".parse().unwrap()));
        assert!(!cidr("fd00::/8").contains_address("10.9.9.9".parse().unwrap()));
    }

    #[test]
    fn the_canonical_form_is_that_of_the_network() {
        assert_eq!(Cidr::canonical(Value::text("2001:DB8:0:0::/32")), Value::text("2001:db8::/32"));
        assert_eq!(Cidr::canonical(Value::text("nonsense")), Value::text("nonsense"));
        assert_eq!(Cidr::from_value(&cidr("fd00::/8").to_value()), Ok(cidr("fd00::/8")));
        assert_eq!(
            (Cidr::v4([10, 0, 0, 0], 8), Cidr::v6([0xfd00, 0, 0, 0, 0, 0, 0, 0], 8)),
            (cidr("10.0.0.0/8"), cidr("fd00::/8"))
        );
    }
}
