//! `Peer` and `Target`: what a rule or a route leads to, told apart by its text.

use std::fmt;

use stackkit::input::IntoInput;
use stackkit::property::{DecodeError, Flows, FromText, Open, Plain, Property, Sampler};
use stackkit::{Cidr, Id, Secret, Value};

use super::{InternetGateway, SecurityGroup};

macro_rules! text_type {
    ($(#[$docs:meta])* $name:ident, $sample:literal, from $($source:ty),+) => {
        $(#[$docs])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// From its text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Property for $name {
            type Mark = Open;
            type Hidden = Secret<Self>;

            fn to_value(&self) -> Value {
                Value::text(&self.0)
            }
            fn from_value(value: &Value) -> Result<Self, DecodeError> {
                String::from_value(value).map(Self)
            }
            /// Blocks of addresses are equal when their networks are, however they are written.
            fn canonical(value: Value) -> Value {
                match value.as_text().and_then(|text| text.parse::<Cidr>().ok()) {
                    Some(block) => Value::text(block.to_string()),
                    None => value,
                }
            }
            fn type_name() -> String {
                stringify!($name).into()
            }
            fn sample(_: &Sampler) -> Value {
                Value::text($sample)
            }
        }
        impl Plain for $name {}
        impl FromText for $name {}
        impl Flows<$name> for String {}
        $(
            impl Flows<$name> for $source {}
            impl IntoInput<$name> for $source {
                fn into_value(self) -> Value {
                    self.to_value()
                }
            }
        )+
    };
}

text_type! {
    /// The other end of a rule: a CIDR block (`"10.0.0.0/8"`, `cidr!("2001:db8::/32")`), a security group
    /// (`&group.id`), a prefix list (`"pl-63a5400a"`), or `"self"`, the rule's own group.
    Peer, "10.0.0.0/8", from Cidr, Id<SecurityGroup>
}

text_type! {
    /// Where a route leads: `&gateway.id`, or the id of a NAT gateway (`nat-`), transit gateway (`tgw-`), peering
    /// (`pcx-`), virtual private gateway (`vgw-`), egress-only gateway (`eigw-`), gateway endpoint (`vpce-`) or network
    /// interface (`eni-`).
    Target, "igw-0a1b2c3d", from Id<InternetGateway>
}

/// Beginnings of ids that are neither peer nor target. An id of a kind not known here passes: new kinds come up, and
/// ids that a test makes up have none.
const OTHER_IDS: &[&str] = &["acl-", "ami-", "i-", "rtb-", "subnet-", "vol-", "vpc-"];

impl Peer {
    /// Whether it can be the other end of a rule.
    pub(super) fn is_plausible(&self) -> bool {
        let text = self.as_str();
        text == "self"
            || text.parse::<Cidr>().is_ok()
            || (is_id(text) && !OTHER_IDS.iter().chain(&["igw-", "nat-", "eni-"]).any(|other| text.starts_with(other)))
    }

    /// With a block of addresses written as EC2 writes it.
    pub(super) fn normal(&self) -> Self {
        Self(self.0.parse::<Cidr>().map_or_else(|_| self.0.clone(), |block| block.to_string()))
    }
}

impl Target {
    /// Whether a route can lead there.
    pub(super) fn is_plausible(&self) -> bool {
        let text = self.as_str();
        is_id(text) && !OTHER_IDS.iter().chain(&["sg-", "pl-"]).any(|other| text.starts_with(other))
    }
}

fn is_id(text: &str) -> bool {
    text.contains('-') && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
