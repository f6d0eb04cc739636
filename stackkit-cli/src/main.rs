//! `stackkit`: the commands that need no program, for whoever looks after stacks without building what declares them.

use std::process::ExitCode;

use stackkit::cli::{Links, main_without_program};
use stackkit::seal::LinkedKeys;
use stackkit::state::place::LinkedBackend;

/// Every kind of backend whose feature is on.
const BACKENDS: &[LinkedBackend] = &[
    #[cfg(feature = "azure")]
    LinkedBackend::of::<stackkit_azure::AzureBlobState>(),
    #[cfg(feature = "google")]
    LinkedBackend::of::<stackkit_google::GcsState>(),
    #[cfg(feature = "kubernetes")]
    LinkedBackend::of::<stackkit_k8s::KubernetesState>(),
    #[cfg(feature = "postgres")]
    LinkedBackend::of::<stackkit_postgres::Postgres>(),
    #[cfg(feature = "s3")]
    LinkedBackend::of::<stackkit_aws::S3State>(),
];

/// Every kind of key whose feature is on.
const KEYS: &[LinkedKeys] = &[
    #[cfg(feature = "age")]
    LinkedKeys::of::<stackkit_age::Age>(),
    #[cfg(feature = "azure-keys")]
    LinkedKeys::of::<stackkit_azure::KeyVault>(),
    #[cfg(feature = "google-keys")]
    LinkedKeys::of::<stackkit_google::CloudKms>(),
    #[cfg(feature = "kms")]
    LinkedKeys::of::<stackkit_aws::Kms>(),
    #[cfg(feature = "vault")]
    LinkedKeys::of::<stackkit_vault::Transit>(),
];

fn main() -> ExitCode {
    main_without_program(Links { backends: BACKENDS, keys: KEYS })
}
