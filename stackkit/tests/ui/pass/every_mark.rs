//! A resource with every mark, filled with everything that fits.
#![deny(warnings, missing_docs)]

use std::collections::BTreeMap;

use stackkit::{CaselessText, Cidr, Id, Input, JsonPolicy, Output, Properties, Secret, Set, cidr, list, map, resource, text};

/// A network.
#[resource("acme:net:Network", immutable, settle = 5)]
#[derive(PartialEq)]
pub struct Network {
    /// Its addresses.
    pub block: Cidr,
    /// Its id.
    #[resource(output)]
    pub id: Id<Network>,
}

/// A database.
#[resource("acme:db:Database", stateful, at_least_once, delete_before_replace, version = 2, settle = 30)]
pub struct Database {
    /// Where it is.
    #[resource(replace)]
    pub network: Id<Network>,
    /// How it stores.
    pub storage: Storage,
    /// Its physical name.
    #[resource(name, replace)]
    pub name: Option<String>,
    /// What it runs.
    #[resource(default = Engine::Postgres)]
    pub engine: Engine,
    /// Where it listens.
    #[resource(default = 5432)]
    pub port: u16,
    /// What its owner says.
    #[resource(write_only)]
    pub password: Option<Secret<String>>,
    /// Where its password is.
    pub password_secret_arn: Option<String>,
    /// Whether the cloud makes a password.
    pub manage_password: Option<bool>,
    /// A name that only sounds like a secret.
    #[resource(not_secret)]
    pub token: Option<String>,
    /// What holds several secrets.
    pub credentials: Option<Credentials>,
    /// Where it lies.
    #[resource(computed, replace)]
    pub zone: Option<String>,
    /// Who may come in.
    #[resource(default = ["10.0.0.0/8"])]
    pub allowed: Set<Cidr>,
    /// Who may do what.
    pub policy: Option<JsonPolicy>,
    /// Disks.
    pub disks: Option<Vec<Storage>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// A keyword.
    pub r#type: Option<CaselessText>,
    /// Where it is reached.
    #[resource(output)]
    pub endpoint: String,
    /// What it runs at present.
    #[resource(output, volatile)]
    pub status: Option<String>,
    /// What it was given.
    #[resource(output)]
    pub initial_password: Secret<String>,
}

/// What it runs.
#[derive(Clone, Copy, Debug, PartialEq, Properties)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
}

/// How it stores.
#[derive(Clone, Debug, Properties)]
pub struct Storage {
    /// Gibibytes.
    pub size: u32,
    /// Operations a second.
    pub iops: Option<u32>,
    /// What it is made of.
    #[property(default = "gp3", rename = "type")]
    pub medium: String,
}

/// Who may come in.
#[derive(Clone, Debug, Properties)]
pub struct Credentials {
    /// Who.
    pub user: String,
    /// Proof.
    pub password: Secret<String>,
}

/// A configuration: plain values, none of which is built.
#[derive(Clone, Debug, Properties)]
struct Config {
    size: u32,
    replicas: Option<u32>,
    #[property(default = "eu-central-1")]
    region: String,
    admin_password: Secret<String>,
}

fn component(port: Input<u16>, network: &Output<Id<Network>>, password: &Output<Secret<String>>) -> Database {
    Database::new(network, Storage::new(20)).port(port).password(password)
}

fn main() {
    let network = <Network as stackkit::Resource>::outputs(0);
    let first = component(Input::new(1), &network.id, &Output::known(Secret::new("x".to_owned())));
    let other = <Database as stackkit::Resource>::outputs(1);
    let config: Option<Config> = None;
    let size: &Output<Storage> = &other.storage;
    let _ = Database::new("net-1", size)
        .name("orders")
        .engine("maria-db")
        .engine(Engine::Postgres)
        .engine(&other.engine)
        .port(config.as_ref().and_then(|config| config.replicas).map(|_| 1))
        .password(config.as_ref().map(|config| &config.admin_password))
        .password("a literal becomes a secret")
        .password(&other.initial_password)
        .password(text!("{}-{}", other.initial_password, other.endpoint))
        .credentials(Credentials::new("app", &other.initial_password))
        .zone(&other.zone)
        .allowed([cidr!("10.0.0.0/16"), cidr!("fd00::/8")])
        .allowed(list![cidr!("10.0.0.0/16"), "10.1.0.0/16", Output::known(cidr!("10.2.0.0/16"))])
        .policy(r#"{"Statement": []}"#)
        .policy(text!(r#"{{"Statement": [{{"Resource": "{}"}}]}}"#, other.endpoint))
        .disks([Storage::new(1).iops(5), Storage::new(config.map_or(2, |config| config.size)).medium(&other.endpoint)])
        .labels(map! { "a" => &other.endpoint, "b" => "text" })
        .labels([("a", &other.endpoint)])
        .r#type(&other.endpoint)
        .status_unused();
    let state = DatabaseState {
        args: stackkit::resource::Fields::from_values(&stackkit::Resource::into_values(first)).unwrap_or_else(|_| unreachable()),
        endpoint: String::new(),
        status: None,
        initial_password: Secret::new(String::new()),
    };
    let _: (&u16, &Engine, &Set<Cidr>) = (&state.port, &state.engine, &state.allowed);
}

fn unreachable() -> DatabaseArgs {
    std::process::exit(0)
}

/// What a draft is good for.
pub trait Unused: Sized {
    /// Ends the chain.
    fn status_unused(self) {}
}
impl Unused for Database {}
