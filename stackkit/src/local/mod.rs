//! The local provider: random values, files, certificates and commands on the machine that runs the program.
//!
//! | Type | What it is | Imported by |
//! |---|---|---|
//! | [`RandomId`] | random bytes for names | its hexadecimal form |
//! | [`RandomPassword`] | a random password, only ever secret | the path of a file that holds it |
//! | [`File`], [`SecretFile`], [`Directory`] | files and folders | their path |
//! | [`TlsPrivateKey`] | a private key, only ever secret | the path of its PEM file |
//! | [`SelfSignedCert`], [`CertRequest`], [`SignedCert`] | certificates that renew themselves | |
//! | [`Command`] | programs that make, change and delete something | |
//!
//! Looked up by `stack.lookup(…)` and `stack.data(…)`: [`Environment`] a variable of the process, [`ReadFile`] a text
//! file that somebody else writes; [`EnvironmentSecret`] and [`FileSecret`] where these hold a secret.
//!
//! Relative paths are taken from the stack's folder, so that a project can be moved as a whole. None of these types is
//! stateful: what they make is either in the state or can be made again.
//!
//! ```
//! use stackkit::prelude::*;
//!
//! #[stackkit::program]
//! async fn settings(stack: &mut Stack) -> Result<()> {
//!     let folder = stack.add("settings", local::Directory::new("settings").mode("0700"));
//!     let password = stack.add("database", local::RandomPassword::new(32));
//!     let url = text!("postgres://app:{}@localhost/app", password.value);
//!     stack.add("database", local::SecretFile::new(text!("{}/database", folder.path), url));
//!     Ok(())
//! }
//! ```

mod cert_request;
mod certificate;
mod command;
mod directory;
mod disk;
mod environment;
mod environment_secret;
mod file;
mod file_secret;
mod foreign;
mod mode;
mod process;
mod random;
mod random_id;
mod random_password;
mod read_file;
mod secret_file;
mod self_signed_cert;
mod signed_cert;
mod tls_private_key;

use std::time::SystemTime;

pub use self::cert_request::{CertRequest, CertRequestArgs, CertRequestOutputs, CertRequestState};
pub use self::certificate::KeyPurpose;
pub use self::command::{Command, CommandArgs, CommandOutputs, CommandState};
pub use self::directory::{Directory, DirectoryArgs, DirectoryOutputs, DirectoryState};
pub use self::environment::{Environment, EnvironmentArgs, EnvironmentOutputs, EnvironmentState};
pub use self::environment_secret::{
    EnvironmentSecret, EnvironmentSecretArgs, EnvironmentSecretOutputs, EnvironmentSecretState,
};
pub use self::file::{File, FileArgs, FileOutputs, FileState};
pub use self::file_secret::{FileSecret, FileSecretArgs, FileSecretOutputs, FileSecretState};
pub use self::mode::Mode;
pub use self::random_id::{RandomId, RandomIdArgs, RandomIdOutputs, RandomIdState};
pub use self::random_password::{RandomPassword, RandomPasswordArgs, RandomPasswordOutputs, RandomPasswordState};
pub use self::read_file::{ReadFile, ReadFileArgs, ReadFileOutputs, ReadFileState};
pub use self::secret_file::{SecretFile, SecretFileArgs, SecretFileOutputs, SecretFileState};
pub use self::self_signed_cert::{SelfSignedCert, SelfSignedCertArgs, SelfSignedCertOutputs, SelfSignedCertState};
pub use self::signed_cert::{SignedCert, SignedCertArgs, SignedCertOutputs, SignedCertState};
pub use self::tls_private_key::{
    KeyAlgorithm, TlsPrivateKey, TlsPrivateKeyArgs, TlsPrivateKeyOutputs, TlsPrivateKeyState,
};

use crate::error::Error;
use crate::foreign::{Becomes, ForeignResource};
use crate::provider::{NoSettings, Provider};
use crate::resource::Ops;

/// The provider of `local:*` types. It is linked into every program.
#[derive(Debug)]
pub struct Local {
    clock: fn() -> SystemTime,
}

impl Local {
    /// The provider with the time of this machine.
    pub fn new() -> Self {
        Self::with_clock(SystemTime::now)
    }

    /// The provider with a time of one's own, by which certificates are issued and come due for renewal in tests.
    pub fn with_clock(clock: fn() -> SystemTime) -> Self {
        Self { clock }
    }

    fn now(&self) -> time::OffsetDateTime {
        // Certificates know whole seconds.
        let now = time::OffsetDateTime::from((self.clock)());
        now.replace_nanosecond(0).unwrap_or(now)
    }
}

impl Default for Local {
    fn default() -> Self {
        Self::new()
    }
}

impl Provider for Local {
    const NAME: &'static str = "local";
    const TYPES: &'static [&'static dyn Ops<Self>] = crate::types![
        RandomId,
        RandomPassword,
        File,
        SecretFile,
        Directory,
        TlsPrivateKey,
        SelfSignedCert,
        CertRequest,
        SignedCert,
        Command,
    ];
    type Settings = NoSettings;
    type Error = Error;

    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Local::new())
    }

    fn foreign(resource: &ForeignResource) -> Option<Becomes> {
        foreign::foreign(resource)
    }
}

#[cfg(test)]
mod testing;
