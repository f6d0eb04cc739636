//! `Rule`: one rule of a security group, as programs write it and as EC2 does.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, PrefixListId, UserIdGroupPair};
use stackkit::Properties;
use stackkit::input::IntoInput;

use super::Peer;

/// One rule of a security group: traffic of a protocol and port range, from or to a peer.
#[derive(Debug, Clone, PartialEq, Properties)]
pub struct Rule {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `all`, or the number of another protocol.
    pub protocol: String,
    /// Where the traffic comes from, or goes to.
    pub peer: Peer,
    /// First port; for ICMP the type, -1 for all. Unset for `all`.
    pub from_port: Option<i32>,
    /// Last port; for ICMP the code, -1 for all. Unset for `all`.
    pub to_port: Option<i32>,
    /// What it is for, at most 255 characters.
    pub description: Option<String>,
}

impl Rule {
    /// One TCP port.
    pub fn tcp(port: u16, peer: impl IntoInput<Peer>) -> RuleInput {
        Self::ports("tcp", port, port, peer)
    }

    /// One UDP port.
    pub fn udp(port: u16, peer: impl IntoInput<Peer>) -> RuleInput {
        Self::ports("udp", port, port, peer)
    }

    /// A range of ports of `tcp` or `udp`, both ends included.
    pub fn ports(protocol: &str, first: u16, last: u16, peer: impl IntoInput<Peer>) -> RuleInput {
        Self::new(protocol, peer).from_port(i32::from(first)).to_port(i32::from(last))
    }

    /// All ICMP messages.
    pub fn icmp(peer: impl IntoInput<Peer>) -> RuleInput {
        Self::new("icmp", peer).from_port(-1).to_port(-1)
    }

    /// All traffic.
    pub fn all(peer: impl IntoInput<Peer>) -> RuleInput {
        Self::new("all", peer)
    }

    /// What makes it the same rule to EC2, whatever its description.
    pub(super) fn key(&self) -> Key {
        (self.protocol.clone(), self.from_port, self.to_port, self.peer.normal())
    }

    /// What EC2 would refuse.
    pub(super) fn problem(&self) -> Option<String> {
        let peer = self.peer.as_str();
        if !self.peer.is_plausible() {
            return Some(format!(
                "`{peer}` is no peer: expected a CIDR block, the id of a group or prefix list, or `self`"
            ));
        }
        let range = (self.from_port, self.to_port);
        match self.protocol.as_str() {
            "all" if range != (None, None) => Some("a rule for `all` traffic has no ports: leave them out".into()),
            "tcp" | "udp" => match range {
                (Some(first), Some(last)) if (0..=65535).contains(&first) && first <= last && last <= 65535 => None,
                _ => Some(format!(
                    "a rule for `{}` needs ports from 0 to 65535, the first not above the last",
                    self.protocol
                )),
            },
            "icmp" | "icmpv6" if range.0.is_none() || range.1.is_none() => {
                Some("a rule for ICMP needs a type and a code: -1 stands for all".into())
            }
            "all" | "icmp" | "icmpv6" => None,
            number if number.parse::<u8>().is_ok() => None,
            other => {
                Some(format!("`{other}` is no protocol: expected `tcp`, `udp`, `icmp`, `icmpv6`, `all` or a number"))
            }
        }
    }

    /// As EC2's calls take it; `group` is the id of the rule's own group.
    pub(super) fn wire(&self, group: &str) -> IpPermission {
        let description = self.description.clone();
        let protocol = if self.protocol == "all" { "-1" } else { &self.protocol };
        let permission =
            IpPermission::builder().ip_protocol(protocol).set_from_port(self.from_port).set_to_port(self.to_port);
        let peer = if self.peer.as_str() == "self" { group } else { self.peer.as_str() };
        if peer.starts_with("sg-") {
            permission
                .user_id_group_pairs(UserIdGroupPair::builder().group_id(peer).set_description(description).build())
        } else if peer.starts_with("pl-") {
            permission
                .prefix_list_ids(PrefixListId::builder().prefix_list_id(peer).set_description(description).build())
        } else if peer.contains(':') {
            permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(peer).set_description(description).build())
        } else {
            permission.ip_ranges(IpRange::builder().cidr_ip(peer).set_description(description).build())
        }
        .build()
    }

    /// The rules that EC2 shows as one permission; `group` is the id of their own group.
    pub(super) fn all_of(permission: &IpPermission, group: &str) -> Vec<Self> {
        let protocol = match permission.ip_protocol() {
            Some("-1") | None => "all",
            Some(protocol) => protocol,
        };
        let ports = |port: Option<i32>| port.filter(|_| protocol != "all");
        let rule = |peer: Option<&str>, description: Option<&str>| {
            Some(Self {
                protocol: protocol.to_owned(),
                peer: Peer::new(match peer? {
                    own if own == group => "self",
                    other => other,
                }),
                from_port: ports(permission.from_port()),
                to_port: ports(permission.to_port()),
                description: description.filter(|text| !text.is_empty()).map(str::to_owned),
            })
        };
        let v4 = permission.ip_ranges().iter().filter_map(|it| rule(it.cidr_ip(), it.description()));
        let v6 = permission.ipv6_ranges().iter().filter_map(|it| rule(it.cidr_ipv6(), it.description()));
        let groups = permission.user_id_group_pairs().iter().filter_map(|it| rule(it.group_id(), it.description()));
        let lists = permission.prefix_list_ids().iter().filter_map(|it| rule(it.prefix_list_id(), it.description()));
        v4.chain(v6).chain(groups).chain(lists).collect()
    }
}

/// Protocol, ports and peer.
pub(super) type Key = (String, Option<i32>, Option<i32>, Peer);

/// The difference between two sets of rules.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) add: Vec<Rule>,
    pub(super) remove: Vec<Rule>,
    /// Rules of which the description alone differs.
    pub(super) describe: Vec<Rule>,
}

impl Difference {
    /// Rule by rule: what stays is not touched, so no traffic is interrupted.
    pub(super) fn between<'a>(
        now: impl IntoIterator<Item = &'a Rule>,
        asked: impl IntoIterator<Item = &'a Rule>,
    ) -> Self {
        let mut now: BTreeMap<Key, &Rule> = now.into_iter().map(|rule| (rule.key(), rule)).collect();
        let mut difference = Self::default();
        for rule in asked {
            match now.remove(&rule.key()) {
                None => difference.add.push(rule.clone()),
                Some(present) if present.description != rule.description => difference.describe.push(rule.clone()),
                Some(_) => {}
            }
        }
        difference.remove.extend(now.into_values().cloned());
        difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(port: i32, peer: &str, description: Option<&str>) -> Rule {
        Rule {
            protocol: "tcp".into(),
            peer: Peer::new(peer),
            from_port: Some(port),
            to_port: Some(port),
            description: description.map(str::to_owned),
        }
    }

    #[test]
    fn only_what_differs_is_touched() {
        let now = [rule(1, "10.0.0.0/8", None), rule(2, "10.0.0.0/8", None), rule(3, "sg-1", None)];
        let asked = [rule(2, "10.0.0.0/8", Some("why")), rule(3, "sg-1", None), rule(4, "sg-1", None)];
        let difference = Difference::between(&now, &asked);
        assert_eq!(difference.add, [rule(4, "sg-1", None)]);
        assert_eq!(difference.remove, [rule(1, "10.0.0.0/8", None)]);
        assert_eq!(difference.describe, [rule(2, "10.0.0.0/8", Some("why"))]);
    }

    #[test]
    fn rules_survive_the_wire() {
        let all =
            Rule { protocol: "all".into(), peer: Peer::new("self"), from_port: None, to_port: None, description: None };
        for rule in [rule(443, "2001:db8::/32", Some("v6")), rule(22, "sg-2", None), rule(80, "pl-1", None), all] {
            assert_eq!(Rule::all_of(&rule.wire("sg-own"), "sg-own"), [rule]);
        }
    }

    #[test]
    fn what_ec2_would_refuse_is_told() {
        assert_eq!(rule(443, "10.0.0.0/8", None).problem(), None);
        assert!(rule(70_000, "10.0.0.0/8", None).problem().is_some_and(|text| text.contains("65535")));
        assert!(rule(443, "everyone", None).problem().is_some_and(|text| text.contains("no peer")));
        let odd = Rule { protocol: "tcpp".into(), ..rule(1, "self", None) };
        assert!(odd.problem().is_some_and(|text| text.contains("no protocol")));
    }
}
