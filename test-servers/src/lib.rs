//! Real servers for tests: moto in AWS's place, localstack for S3's conditional writes, azurite and fake-gcs-server in
//! those of Azure Blob Storage and Google Cloud Storage, PostgreSQL, OpenBao, and a genuine Kubernetes control plane; and
//! the command `sops`, whose files tests read.
//!
//! A fixture owns its servers. It starts them on free ports of 127.0.0.1, in process groups of their own, and ends them
//! when it is dropped, when the test panics, and when the process is killed. What a fixture needs and does not find in
//! the cache folder (`~/.cache/stackkit/servers`, or `STACKKIT_SERVERS_CACHE`) it installs there, once, in pinned
//! versions; what cannot be installed is an error that names the command to run, never a test that passes silently.
//!
//! | module | what it holds |
//! |---|---|
//! | `moto` | [`Moto`], its log of calls, [`Fault`]s, [`Credentials`] of users and roles |
//! | `kubernetes` | [`Kubernetes`], its binaries, certificates and start |
//! | `localstack` | [`Localstack`] |
//! | `azurite` | [`Azurite`] |
//! | `fake_gcs` | [`FakeGcs`] |
//! | `openbao` | [`OpenBao`] |
//! | `postgres` | [`Postgres`], its statements |
//! | `sops` | [`Sops`], a command and no server |
//! | `lossy` | [`Lossy`], a way on which requests are heard and answers get lost |
//! | `cache` | the cache folder, its locks, installing commands |
//! | `go` | programs built from Go modules |
//! | `python` | virtual environments |
//! | `process` | one server process and the shell that ends it when its owner is gone |
//! | `http` | a client for the servers' own control paths |
//! | `error` | [`Error`] |
//!
//! ```no_run
//! use test_servers::{Fault, FaultMode, Moto};
//!
//! let moto = Moto::start()?;
//! moto.inject(&[Fault::on("ec2:CreateVpc", FaultMode::Throttle)])?;
//! // … let the code under test create a VPC at `moto.endpoint()` …
//! assert_eq!(moto.calls()?, ["ec2:CreateVpc", "ec2:CreateVpc"]);
//! # Ok::<_, test_servers::Error>(())
//! ```

mod azurite;
mod cache;
mod error;
mod fake_gcs;
mod go;
mod http;
mod kubernetes;
mod localstack;
mod lossy;
mod moto;
mod openbao;
mod postgres;
mod process;
mod python;
mod sops;

pub use azurite::Azurite;
pub use cache::cache_folder;
pub use error::Error;
pub use fake_gcs::FakeGcs;
pub use kubernetes::{Kubernetes, Proxy, Request};
pub use localstack::Localstack;
pub use lossy::Lossy;
pub use moto::{Call, Credentials, Fault, FaultMode, Moto};
pub use openbao::OpenBao;
pub use postgres::Postgres;
pub use sops::Sops;

/// One of the servers that can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Server {
    /// moto, in AWS's place.
    Moto,
    /// A Kubernetes control plane, with kwok for its node.
    Kubernetes,
    /// localstack, for S3 with conditional writes.
    Localstack,
    /// azurite, in the place of Azure Blob Storage. It runs on Node.js.
    Azurite,
    /// fake-gcs-server, in the place of Google Cloud Storage.
    FakeGcs,
    /// OpenBao, the free continuation of Vault.
    OpenBao,
    /// PostgreSQL, which the operating system's package brings: it is only looked for.
    Postgres,
    /// The command `sops`, which is no server: it is only installed.
    Sops,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Moto,
        Self::Kubernetes,
        Self::Localstack,
        Self::Azurite,
        Self::FakeGcs,
        Self::OpenBao,
        Self::Postgres,
        Self::Sops,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Moto => "moto",
            Self::Kubernetes => "kubernetes",
            Self::Localstack => "localstack",
            Self::Azurite => "azurite",
            Self::FakeGcs => "fake-gcs",
            Self::OpenBao => "openbao",
            Self::Postgres => "postgres",
            Self::Sops => "sops",
        }
    }
}

/// Makes sure that a server is in the cache folder, and says on stderr what that takes.
///
/// The fixtures do this by themselves; done beforehand it takes the wait out of the first test.
///
/// # Errors
///
/// [`Error::Install`] where it cannot be installed, [`Error::NoCache`] and [`Error::File`] where the cache is out of reach.
pub fn install(server: Server) -> Result<(), Error> {
    match server {
        Server::Moto => moto::install().map(drop),
        Server::Kubernetes => kubernetes::install().map(drop),
        Server::Localstack => localstack::install().map(drop),
        Server::Azurite => azurite::install().map(drop),
        Server::FakeGcs => fake_gcs::install().map(drop),
        Server::OpenBao => openbao::install().map(drop),
        Server::Postgres => postgres::install(),
        Server::Sops => sops::install().map(drop),
    }
}
